// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;

namespace Axoneme.Cli.Cilium;

internal enum ServiceView
{
    Slots,
    Frontends,
    Backends,
    ReverseNat,
    Affinity,
    SourceRanges,
}

/// <summary><c>bpf lb</c>: the maps of services, each as it is.</summary>
internal sealed class BpfServiceText(TextWriter output, AgentFlags flags)
{
    private static readonly (LbFlags Flag, string Name)[] Types =
    [
        (LbFlags.ExternalIp, "ExternalIPs"), (LbFlags.NodePort, "NodePort"), (LbFlags.HostPort, "HostPort"), (LbFlags.LoadBalancer, "LoadBalancer"),
    ];

    /// <summary>What <c>bpf lb list</c> shows of the maps.</summary>
    public void Print(DatapathDump maps, ServiceView view)
    {
        switch (view)
        {
            case ServiceView.Backends:
                PrintBackends(maps.Backends());
                break;
            case ServiceView.ReverseNat:
                PrintReverseNat(maps.ReverseNat());
                break;
            case ServiceView.Affinity:
                PrintAffinity(maps.Affinity());
                break;
            case ServiceView.SourceRanges:
                PrintSourceRanges(maps.SourceRanges(), maps.ServiceSlots());
                break;
            default:
                Print(maps.ServiceSlots(), view);
                break;
        }
    }

    /// <summary>Services slot by slot, or only what is said of the services.</summary>
    public void Print(IEnumerable<ServiceSlotEntry> slots, ServiceView view)
    {
        IEnumerable<ServiceSlotEntry> ordered = slots.Where(s => view == ServiceView.Slots || s.Slot == 0)
            .OrderBy(s => s.Key.Frontend).ThenBy(s => s.Key.Scope).ThenBy(s => s.Slot);
        new BpfTable("SERVICE ADDRESS", "BACKEND ADDRESS (REVNAT_ID) (SLOT)").Print(output, flags, ordered.Select(s => ($"{s.Key} ({s.Slot})", Value(s))));
    }

    public void PrintBackends(IEnumerable<(uint Id, BackendMapEntry Backend)> backends)
        => new BpfTable("ID", "BACKEND ADDRESS (STATE)").Print(output, flags, backends.OrderBy(b => b.Id).ThenBy(b => b.Backend.Address)
            .Select(b => ($"{b.Id}", $"{b.Backend.Address} ({b.Backend.State.ToString().ToLowerInvariant()})")));

    public void PrintReverseNat(IEnumerable<ReverseNatEntry> entries)
        => new BpfTable("ID", "SERVICE ADDRESS").Print(output, flags, entries.OrderBy(e => e.Number).ThenBy(e => e.Address)
            .Select(e => ($"{e.Number}", e.Address.IsV6 ? $"[{e.Address}]:{e.Port}" : $"{e.Address}:{e.Port}")));

    public void PrintAffinity(IEnumerable<AffinityEntry> entries)
        => new BpfTable("CLIENT (REVNAT_ID)", "BACKEND_ID (LAST USED)").Print(output, flags, entries
            .OrderBy(e => e.Number).ThenBy(e => e.Client is null).ThenBy(e => e.Client ?? default).ThenBy(e => e.NetworkNamespaceCookie)
            .Select(e => (
                $"{(e.Client is { } address ? address.ToString() : $"netns cookie {e.NetworkNamespaceCookie}")} ({e.Number})",
                $"{e.Backend} ({TimeText.Format(e.SinceLastUse)} ago)")));

    /// <param name="ranges">The whole map.</param>
    /// <param name="slots">Tell whose number it is, and whether the ranges are let in or kept out.</param>
    public void PrintSourceRanges(IEnumerable<SourceRangeEntry> ranges, IEnumerable<ServiceSlotEntry> slots)
    {
        ILookup<ushort, ServiceSlotEntry> services = slots.Where(s => s.Slot == 0).ToLookup(s => s.ReverseNat);
        new BpfTable("SERVICE ADDRESS (REVNAT_ID)", "SOURCE RANGE").Print(output, flags, ranges.OrderBy(r => r.Number).ThenBy(r => r.Range).Select(r =>
        {
            // Numbers are given out by family.
            ServiceSlotEntry? service = services[r.Number].FirstOrDefault(s => s.Key.Frontend.Address.IsV6 == r.Range.IsV6);
            string policy = service is { } known && known.Flags2.HasFlag(LbFlags2.SourceRangesDeny) ? " (deny)" : "";
            return ($"{service?.Key.ToString() ?? "unknown"} ({r.Number})", $"{r.Range}{policy}");
        }));
    }

    private static string Value(ServiceSlotEntry slot)
    {
        if (slot.Slot == 0)
            return $"{(slot.Key.Frontend.Address.IsV6 ? "[::]" : "0.0.0.0")}:0 ({slot.ReverseNat}) (0) [{string.Join(", ", Words(slot))}]";
        string backend = slot.Backend is { } found ? $"{found.Address}" : $"backend {slot.BackendId} not found";
        return $"{backend} ({slot.ReverseNat}) ({slot.Slot})";
    }

    private static IEnumerable<string> Words(ServiceSlotEntry slot)
    {
        (LbFlags flags, LbFlags2 more) = (slot.Flags, slot.Flags2);
        // No port: the entry that refuses what is not served on the address.
        if (slot.Key.Frontend.Port == 0)
        {
            yield return "wildcard";
            yield break;
        }

        string? type = Types.FirstOrDefault(t => flags.HasFlag(t.Flag)).Name;
        yield return more.HasFlag(LbFlags2.LocalRedirect) ? "LocalRedirect" : type ?? "ClusterIP";
        if (flags.HasFlag(LbFlags.ExternalLocal))
            yield return "Local";
        if (more.HasFlag(LbFlags2.InternalLocal))
            yield return "InternalLocal";
        if (more.HasFlag(LbFlags2.TwoScopes))
            yield return "two-scopes";
        if (flags.HasFlag(LbFlags.Affinity))
            yield return slot.AffinitySeconds > 0 ? $"sessionAffinity {slot.AffinitySeconds}s" : "sessionAffinity";
        if (!flags.HasFlag(LbFlags.Routable))
            yield return "non-routable";
        if (flags.HasFlag(LbFlags.SourceRanges))
            yield return more.HasFlag(LbFlags2.SourceRangesDeny) ? "deny source-range" : "check source-range";
        if (slot.Algorithm == LbAlgorithm.Maglev)
            yield return "maglev";
        if (more.HasFlag(LbFlags2.Dsr))
            yield return "dsr";
        if (more.HasFlag(LbFlags2.L7))
            yield return "l7-load-balancer";
        if (more.HasFlag(LbFlags2.Loopback))
            yield return "loopback-hostport";
        if (more.HasFlag(LbFlags2.Delegate))
            yield return "delegate-if-local";
    }
}

/// <summary>A map as two columns of text; as JSON an object with a list of values for each key.</summary>
internal sealed record BpfTable(string Key, string Value)
{
    public void Print(TextWriter output, AgentFlags flags, IEnumerable<(string Key, string Value)> rows)
    {
        if (flags.IsStructured)
        {
            var lists = rows.GroupBy(r => r.Key).ToDictionary(g => g.Key, g => (IReadOnlyList<string>)[.. g.Select(r => r.Value)]);
            flags.WriteStructured(output, lists, CliJson.Default.IReadOnlyDictionaryStringIReadOnlyListString);
            return;
        }

        TabWriter table = new TabWriter(output).Row(Key, Value);
        foreach ((string key, string value) in rows)
            table.Row(key, value);
        table.Flush();
    }
}
