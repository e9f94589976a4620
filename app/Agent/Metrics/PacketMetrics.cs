// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Api;
using Axoneme.AgentApi;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Metrics;

namespace Axoneme.Agent.Metrics;

/// <summary>What the programs count: packets that were forwarded and dropped, by direction and reason.</summary>
internal sealed class PacketMetrics
{
    // One scrape asks for several families out of the same counters; reading them takes about a millisecond.
    private static readonly TimeSpan Freshness = TimeSpan.FromSeconds(1);

    private readonly ApiSources _sources;
    private readonly Lock _gate = new();
    private IReadOnlyList<MetricEntry> _entries = [];
    private long _readAt = long.MinValue;

    private PacketMetrics(ApiSources sources) => _sources = sources;

    public static void Register(MetricRegistry registry, ApiSources sources)
    {
        var counters = new PacketMetrics(sources);
        Add("forward_count_total", "Packets forwarded", IsForwarded, e => e.Packets);
        Add("forward_bytes_total", "Bytes forwarded", IsForwarded, e => e.Bytes);
        Add("fragmented_count_total", "Fragments seen", e => e.Reason == DropReason.Fragment, e => e.Packets);
        Add("mtu_error_message_total", "Messages sent that a packet was too big", e => e.Reason == DropReason.MtuMessage, e => e.Packets);
        AddDrops("drop_count_total", "Packets dropped", e => e.Packets);
        AddDrops("drop_bytes_total", "Bytes dropped", e => e.Bytes);

        void Add(string name, string help, Func<MetricEntry, bool> counts, Func<MetricEntry, ulong> value)
            => registry.AddCallback(name, help, MetricKind.Counter, ["direction"], sink =>
            {
                foreach (MetricEntry entry in counters.Read().Where(counts))
                    sink(value(entry), DirectionName(entry.Direction));
            });

        void AddDrops(string name, string help, Func<MetricEntry, ulong> value)
            => registry.AddCallback(name, help, MetricKind.Counter, ["reason", "direction"], sink =>
            {
                foreach (MetricEntry entry in counters.Read().Where(e => e.Reason >= DropReason.Min))
                    sink(value(entry), DropReasons.TextOf((int)entry.Reason), DirectionName(entry.Direction));
            });
    }

    private static bool IsForwarded(MetricEntry entry) => entry.Reason == DropReason.Forwarded;

    private static string DirectionName(MetricDirection direction) => direction.ToString().ToUpperInvariant();

    private IReadOnlyList<MetricEntry> Read()
    {
        if (_sources.Running?.Datapath is not { } datapath)
            return [];
        lock (_gate)
        {
            if (_readAt == long.MinValue || TimeProvider.System.GetElapsedTime(_readAt) > Freshness)
            {
                _entries = [.. DatapathDump.ReadMetrics(datapath.Maps)];
                _readAt = TimeProvider.System.GetTimestamp();
            }

            return _entries;
        }
    }
}
