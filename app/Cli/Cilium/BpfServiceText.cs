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
}

/// <summary><c>bpf lb list</c>: services slot by slot.</summary>
internal sealed class BpfServiceText(TextWriter output, AgentFlags flags)
{
    private static readonly (LbFlags Flag, string Name)[] Types =
    [
        (LbFlags.ExternalIp, "ExternalIPs"), (LbFlags.NodePort, "NodePort"), (LbFlags.HostPort, "HostPort"), (LbFlags.LoadBalancer, "LoadBalancer"),
    ];

    public void Print(IEnumerable<ServiceSlotEntry> slots, ServiceView view)
    {
        ServiceSlotEntry[] ordered = [.. slots.Where(s => view == ServiceView.Slots || s.Slot == 0)
            .OrderBy(s => s.Key.Frontend).ThenBy(s => s.Key.Scope).ThenBy(s => s.Slot)];
        if (view == ServiceView.ReverseNat)
            new BpfTable("ID", "SERVICE ADDRESS (REVNAT_ID)").Print(output, flags, ordered.OrderBy(s => s.ReverseNat).Select(s => ($"{s.ReverseNat}", $"{s.Key}")));
        else
            new BpfTable("SERVICE ADDRESS", "BACKEND ADDRESS (REVNAT_ID) (SLOT)").Print(output, flags, ordered.Select(s => ($"{s.Key} ({s.Slot})", Value(s))));
    }

    public void PrintBackends(IEnumerable<(uint Id, BackendMapEntry Backend)> backends)
        => new BpfTable("ID", "BACKEND ADDRESS (STATE)").Print(output, flags, backends.OrderBy(b => b.Id).ThenBy(b => b.Backend.Address)
            .Select(b => ($"{b.Id}", $"{b.Backend.Address} ({b.Backend.State.ToString().ToLowerInvariant()})")));

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
        string? type = Types.FirstOrDefault(t => flags.HasFlag(t.Flag)).Name;
        yield return more.HasFlag(LbFlags2.LocalRedirect) ? "LocalRedirect" : type ?? "ClusterIP";
        if (flags.HasFlag(LbFlags.ExternalLocal))
            yield return "Local";
        if (more.HasFlag(LbFlags2.InternalLocal))
            yield return "InternalLocal";
        if (more.HasFlag(LbFlags2.TwoScopes))
            yield return "two-scopes";
        if (flags.HasFlag(LbFlags.Affinity))
            yield return "sessionAffinity";
        if (!flags.HasFlag(LbFlags.Routable))
            yield return "non-routable";
        if (flags.HasFlag(LbFlags.SourceRanges))
            yield return "check source-range";
        if (more.HasFlag(LbFlags2.L7))
            yield return "l7-load-balancer";
        if (more.HasFlag(LbFlags2.Loopback))
            yield return "loopback-hostport";
        if (more.HasFlag(LbFlags2.Quarantined))
            yield return "quarantined";
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
