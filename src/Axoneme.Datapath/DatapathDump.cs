// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>A counter of cilium_metrics, summed over processors.</summary>
/// <param name="Reason">0 forwarded, or a reason why packets were dropped or treated specially.</param>
public sealed record MetricEntry(DropReason Reason, MetricDirection Direction, ulong Packets, ulong Bytes);

/// <summary>Reads the pinned maps as typed values, without an agent.</summary>
public sealed class DatapathDump : IDisposable
{
    private readonly DatapathMaps _maps;

    /// <param name="bpfRoot">The root that the agent was started with.</param>
    public DatapathDump(string bpfRoot) => _maps = DatapathMaps.OpenPinned(new DatapathPaths(bpfRoot));

    public void Dispose() => _maps.Dispose();

    /// <summary>Connections of both families.</summary>
    public IEnumerable<ConntrackEntry> Conntrack()
    {
        uint now = KernelClock.NowSeconds();
        foreach ((Ct4Key key, CtEntry entry) in _maps.Ct4.Entries())
            yield return ConntrackEntry.Decode(key, entry, now);
        foreach ((Ct6Key key, CtEntry entry) in _maps.Ct6.Entries())
            yield return ConntrackEntry.Decode(key, entry, now);
    }

    public IEnumerable<IpcacheEntry> Ipcache() => new IpcacheTarget(_maps).Read().Select(e => e.Value);

    public IEnumerable<EndpointMapEntry> Endpoints() => new EndpointMapTarget(_maps).Read().Select(e => e.Value);

    public IEnumerable<ServiceMapEntry> Services() => new ServiceTarget(_maps).Read().Values;

    /// <summary>The policy of an endpoint; null when it has none.</summary>
    public EndpointPolicy? Policy(ushort endpointId) => new PolicyTarget(_maps).Read(endpointId);

    /// <summary>Counters that are not zero.</summary>
    public IEnumerable<MetricEntry> Metrics() => ReadMetrics(_maps);

    internal static IEnumerable<MetricEntry> ReadMetrics(DatapathMaps maps)
    {
        foreach ((uint index, Metric[] values) in maps.Metrics.Entries())
        {
            ulong packets = 0;
            ulong bytes = 0;
            foreach (Metric value in values)
            {
                packets += value.Packets;
                bytes += value.Bytes;
            }

            const int Shift = (int)MetricIndex.DirectionShift;
            if (packets != 0)
                yield return new MetricEntry((DropReason)(index & ((1u << Shift) - 1)), (MetricDirection)(index >> Shift), packets, bytes);
        }
    }
}
