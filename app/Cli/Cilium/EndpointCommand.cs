// SPDX-License-Identifier: Apache-2.0
using Axoneme.AgentApi;

namespace Axoneme.Cli.Cilium;

/// <summary><c>cilium endpoint list|get|health</c>.</summary>
internal sealed class EndpointCommand(TextWriter output)
{
    public async Task<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        var flags = new AgentFlags("cilium endpoint list|get ID|health ID [flags]");
        string? label = null;
        flags.Set.Value("labels", v => label = v, "LABEL", "only endpoints with this label", 'l').Switch("no-headers", _ => { }, "kept for scripts");
        if (flags.Parse(arguments, output) is not { } rest)
            return 0;
        using AgentClient agent = flags.Connect();
        switch (rest)
        {
            case ["list"]:
                PrintList([.. (await agent.GetEndpointsAsync(cancellation).ConfigureAwait(false)).Where(e => HasLabel(e, label))], flags);
                return 0;
            case ["get"] when label is not null:
                WriteJson([.. (await agent.GetEndpointsAsync(cancellation).ConfigureAwait(false)).Where(e => HasLabel(e, label))], flags);
                return 0;
            case ["get", string id]:
                WriteJson([await agent.GetEndpointAsync(id, cancellation).ConfigureAwait(false)], flags);
                return 0;
            case ["health", string id]:
                PrintHealth(await agent.GetEndpointAsync(id, cancellation).ConfigureAwait(false));
                return 0;
            default:
                throw new UserErrorException("usage: cilium endpoint list|get ID|health ID");
        }
    }

    internal void PrintList(IReadOnlyList<EndpointModel> endpoints, AgentFlags flags)
    {
        if (flags.IsStructured)
        {
            WriteJson(endpoints, flags);
            return;
        }

        var table = new TabWriter(output);
        table.Row("ENDPOINT", "POLICY (ingress)", "POLICY (egress)", "IDENTITY", "LABELS (source:key[=value])", "IPv6", "IPv4", "STATUS");
        table.Row("", "ENFORCEMENT", "ENFORCEMENT", "", "", "", "", "");
        foreach (EndpointModel endpoint in endpoints.OrderBy(e => e.Id))
            AddRows(table, endpoint);
        table.Flush();
    }

    private static void AddRows(TabWriter table, EndpointModel endpoint)
    {
        EndpointStatus? status = endpoint.Status;
        IReadOnlyList<string> labels = status?.Identity?.Labels ?? status?.Labels?.SecurityRelevant ?? [];
        string mode = status?.Policy?.Realized?.PolicyEnabled ?? "none";
        EndpointAddressPair? address = status?.Networking?.Addressing is [var first, ..] ? first : null;
        table.Row(
            $"{endpoint.Id}", Enforcement(mode, "ingress"), Enforcement(mode, "egress"), status?.Identity is { } identity ? $"{identity.Id}" : "<no label id>",
            labels.Count > 0 ? labels[0] : "no labels", address?.Ipv6 ?? "", address?.Ipv4 ?? "", status?.State ?? "");
        foreach (string label in labels.Skip(1))
            table.Row("", "", "", "", label, "", "", "");
    }

    private static string Enforcement(string mode, string direction) => mode switch
    {
        "both" => "Enabled",
        "audit-both" => "Disabled (Audit)",
        _ when mode == direction => "Enabled",
        _ when mode == $"audit-{direction}" => "Disabled (Audit)",
        _ => "Disabled",
    };

    private void PrintHealth(EndpointModel endpoint)
    {
        EndpointHealth? health = endpoint.Status?.Health;
        new TabWriter(output)
            .Row("Overall Health:", health?.OverallHealth ?? "Disabled")
            .Row("BPF Health:", health?.Bpf ?? "Disabled")
            .Row("Policy Health:", health?.Policy ?? "Disabled")
            .Row("Connected:", health?.Connected == true ? "yes" : "no")
            .Flush();
    }

    // One endpoint is an array of one: readers of the output need not tell the cases apart.
    private void WriteJson(IReadOnlyList<EndpointModel> endpoints, AgentFlags flags)
        => flags.WriteStructured(output, endpoints, AgentJson.Default.IReadOnlyListEndpointModel);

    private static bool HasLabel(EndpointModel endpoint, string? label)
        => label is null || (endpoint.Status?.Identity?.Labels ?? []).Any(l => l == label || l.EndsWith($":{label}", StringComparison.Ordinal));
}
