// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Globalization;
using Axoneme.Datapath;
using Axoneme.Hosting;
using Axoneme.Tables;

namespace Axoneme.Agent.Metrics;

/// <summary>How full the maps are, counted in the background because the kernel keeps no count. What is nearly full is reported.</summary>
internal sealed class MapPressure(MapCensus census, Table<ushort, EndpointPolicy> policies, Modules modules)
{
    public const string ModuleName = "map-pressure";

    private const string Prefix = "cilium_";

    // As alerts on the metric are usually set.
    private const double HighRatio = 0.9;

    // A full conntrack map takes some tens of milliseconds; numbers that old are good enough to see a map fill up.
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(30);

    private ImmutableArray<MapFill> _current = [];

    /// <summary>As of the last count; empty before the first one.</summary>
    public IReadOnlyList<MapFill> Current => _current;

    /// <summary>The name that metrics have: without what all maps have in front.</summary>
    public static string ShortName(string map) => map.StartsWith(Prefix, StringComparison.Ordinal) ? map[Prefix.Length..] : map;

    public async Task RunAsync(CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(Interval);
        do
        {
            // Policy maps are written from a table that knows their number of entries.
            _current =
            [
                .. await census.CountAsync(cancellation),
                .. policies.Snapshot().Values.Select(p => new MapFill($"{Prefix}policy_v2_{p.EndpointId:D5}", p.Entries.Count, census.PolicyCapacity)),
            ];
            string problem = Problem(_current);
            modules.Report(ModuleName, healthy: problem.Length == 0, problem.Length == 0 ? "running" : problem);
        }
        while (await timer.WaitForNextTickAsync(cancellation));
    }

    /// <summary>Which maps are nearly full, the fullest first; empty when none is.</summary>
    internal static string Problem(IEnumerable<MapFill> fills) => string.Join("; ", fills
        .Where(map => map.Ratio >= HighRatio)
        .OrderByDescending(map => map.Ratio)
        .Select(map => string.Create(CultureInfo.InvariantCulture, $"{map.Map} is {map.Ratio * 100:0}% full ({map.Entries} of {map.Capacity})")));
}
