// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Api;
using Axoneme.Bpf;
using Axoneme.Datapath;
using Axoneme.Metrics;

namespace Axoneme.Agent.Metrics;

/// <summary>Maps: how large and how full they are, and what was written to them.</summary>
internal static class MapMetrics
{
    public static void Register(MetricRegistry registry, ApiSources sources)
    {
        registry.AddCallback("bpf_map_capacity", "Entries that a map has room for", MetricKind.Gauge, ["map_group"], sink =>
        {
            foreach (MapFill map in sources.Running?.MapPressure?.Current ?? [])
                sink(map.Capacity, MapPressure.ShortName(map.Map));
        });
        registry.AddCallback("bpf_map_pressure", "Share of a map that is in use", MetricKind.Gauge, ["map_name"], sink =>
        {
            foreach (MapFill map in sources.Running?.MapPressure?.Current ?? [])
                sink(map.Ratio, MapPressure.ShortName(map.Map));
        });
        registry.AddCallback(
            "bpf_map_ops_total", "Entries written and removed by the agent", MetricKind.Counter, ["map_name", "operation", "outcome"], sink =>
            {
                foreach (BpfMapOperations map in BpfMapOperations.All)
                {
                    string name = MapPressure.ShortName(map.Map);
                    Write(map.Updates, "update", "success");
                    Write(map.UpdateFailures, "update", "fail");
                    Write(map.Deletes, "delete", "success");
                    Write(map.DeleteFailures, "delete", "fail");

                    void Write(long count, string operation, string outcome)
                    {
                        if (count > 0)
                            sink(count, name, operation, outcome);
                    }
                }
            });
    }
}
