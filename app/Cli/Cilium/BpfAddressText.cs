// SPDX-License-Identifier: Apache-2.0
using Axoneme.AgentApi;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Cli.Cilium;

/// <summary><c>bpf ipcache</c> and <c>bpf endpoint</c>: who has an address, and what is known of those on this node.</summary>
internal sealed class BpfAddressText(TextWriter output, AgentFlags flags)
{
    public void PrintIpcache(IEnumerable<IpcacheEntry> entries)
        => new BpfTable("IP PREFIX/ADDRESS", "IDENTITY").Print(output, flags, entries.OrderBy(e => e.Prefix).Select(e => ($"{e.Prefix}", Identity(e))));

    /// <summary>Prints the entry that the programs would find for the address; the exit status is 1 without one.</summary>
    public int PrintIdentityOf(IpAddress address, IEnumerable<IpcacheEntry> entries)
    {
        IpcacheEntry? found = entries.Where(e => e.Prefix.Contains(address)).MaxBy(e => e.Prefix.Length);
        if (found is null)
            throw new UserErrorException($"{address} does not map to any identity");
        if (flags.IsStructured)
            PrintIpcache([found]);
        else
            output.WriteLine($"{address} maps to identity {Identity(found)}");
        return 0;
    }

    public void PrintEndpoints(IEnumerable<EndpointMapEntry> entries)
        => new BpfTable("IP ADDRESS", "LOCAL ENDPOINT INFO").Print(output, flags, entries.OrderBy(e => e.Address).Select(e => (
            e.Address.IsV6 ? $"[{e.Address}]:0" : $"{e.Address}:0", Local(e))));

    private static string Identity(IpcacheEntry entry)
    {
        string[] words = [.. entry.SkipTunnel ? (string[])["skiptunnel"] : [], .. entry.Node is null ? (string[])[] : ["hastunnel"]];
        string none = entry.Prefix.IsV6 ? "::" : "0.0.0.0";
        return $"identity={entry.Identity.Value} encryptkey=0 tunnelendpoint={entry.Node?.ToString() ?? none} "
            + $"flags={(words.Length > 0 ? string.Join(',', words) : "<none>")}";
    }

    private static string Local(EndpointMapEntry entry)
        => entry.IsHost ? "(localhost)"
            : $"id={entry.EndpointId} sec_id={entry.Identity.Value} flags=0x0000 ifindex={entry.Device} mac={entry.PodMac} "
                + $"nodemac={entry.HostMac} parent_ifindex=0";
}

/// <summary><c>bpf metrics list</c>: what was forwarded and dropped, by reason.</summary>
internal sealed class BpfMetricText(TextWriter output, AgentFlags flags)
{
    // Counters are kept by reason and direction; where in the programs it happened is in the events.
    private const string NotKept = "-";

    public void Print(IEnumerable<MetricEntry> entries)
    {
        MetricEntry[] ordered = [.. entries.OrderBy(e => e.Reason).ThenBy(e => e.Direction)];
        if (flags.IsStructured)
        {
            MetricModel[] models = [.. ordered.GroupBy(e => e.Reason).Select(g => new MetricModel(
                (int)g.Key, DropReasons.TextOf((int)g.Key),
                g.ToDictionary(e => $"{e.Direction}".ToLowerInvariant(), e => new MetricCounters(e.Packets, e.Bytes))))];
            flags.WriteStructured(output, models, CliJson.CamelCase.IReadOnlyListMetricModel);
            return;
        }

        TabWriter table = new TabWriter(output).Row("REASON", "DIRECTION", "PACKETS", "BYTES", "LINE", "FILE");
        foreach (MetricEntry entry in ordered)
            table.Row(DropReasons.TextOf((int)entry.Reason), $"{entry.Direction}".ToUpperInvariant(), $"{entry.Packets}", $"{entry.Bytes}", NotKept, NotKept);
        table.Flush();
    }
}
