// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Configuration;
using Axoneme.Datapath;
using Axoneme.LoadBalancing;

namespace Axoneme.Agent.Services;

/// <summary>The tables that the map writer makes, as the settings want them.</summary>
internal static class MaglevFilling
{
    /// <summary>Null where no service can have a table.</summary>
    public static MaglevSettings? For(ServiceOptions options)
    {
        if (options.Algorithm != BackendSelection.Maglev && !options.AlgorithmAnnotation)
            return null;
        var table = new MaglevTable(options.MaglevSeed.AsSpan());
        return new MaglevSettings((uint)options.MaglevTableSize, Convert.ToBase64String(options.MaglevSeed.AsSpan()), (backends, slots) =>
        {
            var entries = new MaglevBackend[backends.Length];
            for (int i = 0; i < entries.Length; i++)
                entries[i] = new MaglevBackend(backends[i].Address, backends[i].Weight);
            table.Fill(entries, slots);
        });
    }
}
