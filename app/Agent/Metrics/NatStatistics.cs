// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Configuration;
using Axoneme.Datapath;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.Agent.Metrics;

/// <summary>Keeps the destinations that hold most source ports, in a table for people and as one number for alerts.</summary>
/// <param name="portCount">Source ports that there are.</param>
internal sealed class NatStatistics(NatCensus census, int portCount, MapOptions options)
{
    public const string ModuleName = "nat-stats";

    private double _busiest4;
    private double _busiest6;

    public Table<(IpAddress Address, L4Address Destination), NatUsage> Table { get; } = new(
        "nat-stats",
        usage => (usage.Address, usage.Destination),
        columns:
        [
            new("Address", u => u.Address.ToString()),
            new("Destination", u => u.Destination.ToString()),
            new("Ports", u => u.Ports.ToString()),
        ]);

    /// <summary>Share of the source ports that the busiest destination holds, from 0 to 1.</summary>
    public double Busiest(bool isV6) => Volatile.Read(ref isV6 ? ref _busiest6 : ref _busiest4);

    public async Task RunAsync(CancellationToken cancellation)
    {
        if (options.NatStatsInterval <= TimeSpan.Zero)
            return;
        using var timer = new PeriodicTimer(options.NatStatsInterval);
        do
        {
            IReadOnlyList<NatUsage> v4 = await census.BusiestAsync(isV6: false, options.NatStatsEntries, cancellation);
            IReadOnlyList<NatUsage> v6 = await census.BusiestAsync(isV6: true, options.NatStatsEntries, cancellation);
            Volatile.Write(ref _busiest4, Share(v4));
            Volatile.Write(ref _busiest6, Share(v6));
            Replace([.. v4, .. v6]);
        }
        while (await timer.WaitForNextTickAsync(cancellation));
    }

    private double Share(IReadOnlyList<NatUsage> usages) => usages.Count == 0 ? 0 : (double)usages[0].Ports / portCount;

    private void Replace(IReadOnlyList<NatUsage> usages)
    {
        HashSet<(IpAddress, L4Address)> present = [.. usages.Select(u => (u.Address, u.Destination))];
        (IpAddress, L4Address)[] gone = [.. Table.Snapshot().Keys.Where(key => !present.Contains(key))];
        if (usages.Count + gone.Length == 0)
            return;
        Table.Write(writer =>
        {
            foreach ((IpAddress, L4Address) key in gone)
                writer.Remove(key);
            foreach (NatUsage usage in usages)
                writer.Upsert(usage);
        });
    }
}
