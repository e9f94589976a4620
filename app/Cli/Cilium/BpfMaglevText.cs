// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Datapath;

namespace Axoneme.Cli.Cilium;

/// <summary><c>bpf lb maglev</c>: which backend each slot of a service's table stands for.</summary>
internal sealed class BpfMaglevText(TextWriter output, AgentFlags flags)
{
    /// <summary>The tables in full, which is what scripts compare between nodes.</summary>
    public void PrintAll(IEnumerable<MaglevEntry> tables)
        => new BpfTable("SVC ID", "LOOKUP TABLE").Print(output, flags, tables.OrderBy(t => t.Number).ThenBy(t => t.IsV6)
            .Select(t => ($"{t.Number}/{Family(t)}", $"[{string.Join(' ', t.Backends)}]")));

    /// <summary>One service's tables with each backend's share of the slots.</summary>
    /// <exception cref="UserErrorException">The service has no table.</exception>
    public void PrintOne(ushort service, IEnumerable<MaglevEntry> tables)
    {
        MaglevEntry[] own = [.. tables.Where(t => t.Number == service).OrderBy(t => t.IsV6)];
        if (own.Length == 0)
            throw new UserErrorException($"service {service} has no Maglev table");
        if (flags.IsStructured)
        {
            PrintAll(own);
            return;
        }

        TabWriter table = new TabWriter(output).Row("SVC ID", "BACKEND_ID", "SLOTS", "SHARE");
        foreach (MaglevEntry entry in own)
        {
            foreach ((uint backend, int slots) in entry.Backends.CountBy(b => b).OrderBy(b => b.Key))
                table.Row($"{entry.Number}/{Family(entry)}", $"{backend}", $"{slots}", Share(slots, entry.Backends));
        }

        table.Flush();
    }

    private static string Share(int slots, ImmutableArray<uint> all) => $"{100.0 * slots / all.Length:0.00}%";

    private static string Family(MaglevEntry entry) => entry.IsV6 ? "v6" : "v4";
}
