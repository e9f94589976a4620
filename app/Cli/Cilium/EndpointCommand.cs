// SPDX-License-Identifier: Apache-2.0
using Axoneme.AgentApi;

namespace Axoneme.Cli.Cilium;

/// <summary><c>cilium endpoint list|get|health|config</c>.</summary>
internal sealed class EndpointCommand(TextWriter output)
{
    public async Task<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        var flags = new AgentFlags("cilium endpoint list|get ID|health ID|config ID [KEY=VALUE...] [flags]");
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
            case ["config", string id]:
                await PrintConfigAsync(agent, id, flags, cancellation).ConfigureAwait(false);
                return 0;
            case ["config", string id, .. var settings] when settings.All(s => s.Contains('=', StringComparison.Ordinal)):
                await agent.PatchEndpointConfigAsync(
                    id, new EndpointSpec(settings.Select(s => s.Split('=', 2)).ToDictionary(s => s[0], s => s[1])), cancellation).ConfigureAwait(false);
                await output.WriteLineAsync($"Endpoint {id} configuration updated successfully").ConfigureAwait(false);
                return 0;
            case ["health", string id]:
                PrintHealth(await agent.GetEndpointAsync(id, cancellation).ConfigureAwait(false));
                return 0;
            default:
                throw new UserErrorException("usage: cilium endpoint list|get ID|health ID|config ID [KEY=VALUE...]");
        }
    }

    private async Task PrintConfigAsync(AgentClient agent, string id, AgentFlags flags, CancellationToken cancellation)
    {
        EndpointConfigStatus config = await agent.GetEndpointConfigAsync(id, cancellation).ConfigureAwait(false);
        if (flags.IsStructured)
        {
            flags.WriteStructured(output, config, AgentJson.Default.EndpointConfigStatus);
            return;
        }

        foreach ((string key, string value) in (config.Realized.Options ?? new Dictionary<string, string>()).OrderBy(o => o.Key, StringComparer.Ordinal))
            await output.WriteLineAsync($"{key,-34}: {value}").ConfigureAwait(false);
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
