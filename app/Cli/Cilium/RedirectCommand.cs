// SPDX-License-Identifier: Apache-2.0
using Axoneme.AgentApi;

namespace Axoneme.Cli.Cilium;

/// <summary><c>cilium lrp list</c>: local redirect policies and what they do on this node.</summary>
internal sealed class RedirectCommand(TextWriter output)
{
    public async Task<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        var flags = new AgentFlags("cilium lrp list [flags]");
        if (flags.Parse(arguments, output) is not { } rest)
            return 0;
        if (rest is not ["list"])
            throw new UserErrorException("usage: cilium lrp list");
        using AgentClient agent = flags.Connect();
        Print(await agent.GetRedirectPoliciesAsync(cancellation).ConfigureAwait(false), flags);
        return 0;
    }

    internal void Print(IReadOnlyList<RedirectPolicyModel> policies, AgentFlags flags)
    {
        if (flags.IsStructured)
        {
            flags.WriteStructured(output, policies, AgentJson.Default.IReadOnlyListRedirectPolicyModel);
            return;
        }

        TabWriter table = new TabWriter(output).Row("LRP namespace", "LRP name", "FrontendType", "Matching Service");
        foreach (RedirectPolicyModel policy in policies)
        {
            table.Row(policy.Namespace, policy.Name, policy.FrontendType, policy.ServiceId ?? "");
            foreach (RedirectMapping mapping in policy.FrontendMappings ?? [])
            {
                IEnumerable<string> backends = (mapping.Backends ?? []).Select(b => $"{Address(b.BackendAddress)}({b.PodId})");
                table.Row("|", $"{Address(mapping.FrontendAddress)} -> {string.Join(", ", backends)}");
            }
        }

        table.Flush();
    }

    private static string Address(FrontendAddress a)
        => a.Ip.Contains(':', StringComparison.Ordinal) ? $"[{a.Ip}]:{a.Port}/{a.Protocol}" : $"{a.Ip}:{a.Port}/{a.Protocol}";
}
