// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Cli.Cilium;

/// <summary><c>bpf policy get</c>: what an endpoint's policy map allows and denies.</summary>
/// <param name="names">Null to print the numbers of identities.</param>
internal sealed class BpfPolicyText(TextWriter output, AgentFlags flags, DatapathPaths paths, IdentityNames? names)
{
    // Entries have no counters of their own (the events and metrics count), and no authentication.
    private const string NotCounted = "-";

    public static string Name(L4Protocol protocol) => protocol switch
    {
        L4Protocol.IcmpV6 => "ICMPv6",
        _ => protocol.ToString().ToUpperInvariant(),
    };

    public void PrintOne(EndpointPolicy policy)
    {
        if (flags.IsStructured)
            PrintAll([policy]);
        else
            PrintTable(policy);
    }

    public void PrintAll(IEnumerable<EndpointPolicy> policies)
    {
        if (flags.IsStructured)
        {
            flags.WriteStructured(output, [.. policies.Select(Model)], CliJson.CamelCase.IReadOnlyListEndpointPolicyModel);
            return;
        }

        foreach (EndpointPolicy policy in policies)
        {
            output.WriteLine($"Endpoint ID: {policy.EndpointId}");
            output.WriteLine($"Path: {paths.PolicyMap(policy.EndpointId)}");
            output.WriteLine();
            PrintTable(policy);
            output.WriteLine();
        }
    }

    private void PrintTable(EndpointPolicy policy)
    {
        TabWriter table = new TabWriter(output).Row(
            "POLICY", "DIRECTION", names is null ? "IDENTITY" : "LABELS (source:key[=value])", "PORT/PROTO", "PROXY PORT", "AUTH TYPE", "BYTES",
            "PACKETS", "PREFIX", "COOKIE");
        foreach (PolicyMapEntry entry in Ordered(policy))
        {
            IReadOnlyList<string> peers = Peers(entry.Key.Identity);
            table.Row(Verdict(entry), $"{entry.Key.Direction}", peers[0], Port(entry.Key), entry.ProxyPort == 0 ? "NONE" : $"{entry.ProxyPort}",
                "disabled", NotCounted, NotCounted, $"{PrefixLength(entry.Key)}", $"{entry.Cookie}");
            foreach (string label in peers.Skip(1))
                table.Row("", "", label, "", "", "", "", "", "", "");
        }

        table.Flush();
    }

    private EndpointPolicyModel Model(EndpointPolicy policy)
        => new(policy.EndpointId, paths.PolicyMap(policy.EndpointId), [.. Ordered(policy).Select(e => new PolicyEntryModel
        {
            Policy = Verdict(e),
            Direction = $"{e.Key.Direction}",
            Identity = e.Key.Identity.Value,
            Labels = e.Key.Identity.Value == 0 ? null : names?.Find(e.Key.Identity),
            Port = Port(e.Key),
            ProxyPort = e.ProxyPort,
            Prefix = PrefixLength(e.Key),
            Precedence = e.Precedence,
            Cookie = e.Cookie,
        })]);

    // As they are asked: what wins comes first.
    private static IEnumerable<PolicyMapEntry> Ordered(EndpointPolicy policy)
        => policy.Entries.Values.OrderBy(e => e.Key.Direction).ThenByDescending(e => e.Precedence).ThenBy(e => e.Key.Identity)
            .ThenBy(e => e.Key.Protocol).ThenBy(e => e.Key.Port);

    private IReadOnlyList<string> Peers(SecurityIdentity identity)
        => names is null ? [$"{identity.Value}"] : identity.Value == 0 ? ["ANY"] : names.Find(identity) ?? [$"{identity.Value}"];

    private static string Verdict(PolicyMapEntry entry) => entry.Deny ? "Deny" : "Allow";

    // 16 bits of the port are one port, fewer a block of them.
    private static string Port(PolicyMapKey key)
    {
        if (key.Protocol == L4Protocol.Any)
            return "ANY";
        string ports = key.PortBits switch
        {
            0 => "ANY",
            16 => $"{key.Port}",
            _ => $"{key.Port}-{key.Port + (1 << (16 - key.PortBits)) - 1}",
        };
        return $"{ports}/{Name(key.Protocol)}";
    }

    // Of protocol and port: the identity and the direction are always given.
    private static int PrefixLength(PolicyMapKey key)
        => key.Protocol == L4Protocol.Any ? 0 : (int)(PolicyPrefix.Protocol - PolicyPrefix.Static) + key.PortBits;
}
