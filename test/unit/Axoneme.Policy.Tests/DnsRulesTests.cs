// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy.Tests;

public sealed class DnsRulesTests
{
    private static readonly SecurityIdentity Resolver = new(400);

    private readonly PolicyEngine _engine = new(PolicyOptions.Default);
    private readonly PolicyRepository _repository;

    public DnsRulesTests()
    {
        _repository = new PolicyRepository(_engine);
        _engine.UpsertEndpoint(1, new SecurityIdentity(300), LabelSet.Parse("k8s:app=web", "k8s:io.kubernetes.pod.namespace=blue"));
        _engine.UpsertIdentity(
            Resolver, LabelSet.Parse("k8s:app=dns", "k8s:io.kubernetes.pod.namespace=blue", "k8s:io.cilium.k8s.policy.cluster=default"));
    }

    private PolicyStatus Apply(string egress, string name = "p", string direction = "egress") => _repository.Upsert(new CiliumNetworkPolicy
    {
        Metadata = new ObjectMeta { Name = name, Namespace = "blue", Uid = "u" },
        Spec = JsonSerializer.Deserialize($$"""{"endpointSelector":{},"{{direction}}":[{{egress}}]}""", KubernetesJson.Default.PolicyRule)!,
    });

    private string[] Rules()
    {
        _engine.Commit();
        // A rule for anyone is one for each class.
        return [.. DnsRules.Of(_engine.FindEndpoint(1)!).Where(r => r.Peer.Value is 11 or > 14).Select(r => $"{r.Peer.Value} {r.Protocol} {r.Port} {string.Join(' ', r.Names)}")];
    }

    private const string ToResolver = "\"toEndpoints\":[{\"matchLabels\":{\"app\":\"dns\"}}]";

    [Fact]
    public void Names_of_all_rules_for_a_server_add_up()
    {
        Assert.Equal("", Apply("{" + ToResolver + ""","toPorts":[{"ports":[{"port":"53"}],"rules":{"dns":[{"matchName":"A.org."}]}}]}""").Message);
        Apply("{" + ToResolver + ""","toPorts":[{"ports":[{"port":"53","protocol":"UDP"}],"rules":{"dns":[{"matchPattern":"*.b.org"}]}}]}""", "q");
        Assert.Equal(["400 Tcp 53 a.org", "400 Udp 53 *.b.org a.org"], Rules());
    }

    [Fact]
    public void Rule_for_anyone_counts_for_each_server()
    {
        Apply("""{"toPorts":[{"ports":[{"port":"53","protocol":"UDP"}],"rules":{"dns":[{"matchName":"a.org"}]}}]}""");
        Apply("{" + ToResolver + ""","toPorts":[{"ports":[{"port":"53","protocol":"UDP"}],"rules":{"dns":[{"matchName":"b.org"}]}}]}""", "q");
        Assert.Equal(["11 Udp 53 a.org", "400 Udp 53 a.org b.org"], Rules());
    }

    [Theory]
    [InlineData("""{"toEndpoints":[{"matchLabels":{"app":"dns"}}]}""")]
    [InlineData("""{"toEndpoints":[{"matchLabels":{"app":"dns"}}],"toPorts":[{"ports":[{"port":"50","endPort":60,"protocol":"UDP"}]}]}""")]
    [InlineData("""{"toEndpoints":[{"matchLabels":{"app":"dns"}}],"toPorts":[{"ports":[{"port":"53","protocol":"UDP"}],"rules":{"dns":[]}}]}""")]
    public void Plain_allow_of_the_same_traffic_widens_to_every_name(string plain)
    {
        Apply("""{"toPorts":[{"ports":[{"port":"53","protocol":"UDP"}],"rules":{"dns":[{"matchName":"a.org"}]}}]}""");
        Apply(plain, "q");
        Assert.Equal(["11 Udp 53 a.org", "400 Udp 53 *"], Rules());
        Apply("{" + ToResolver + ""","toPorts":[{"ports":[{"port":"53","protocol":"UDP"}],"rules":{"dns":[{"matchName":"b.org"}]}}]}""", "r");
        Assert.Equal(["11 Udp 53 a.org", "400 Udp 53 *"], Rules());
    }

    [Fact]
    public void Denied_server_is_not_in_the_rules()
    {
        Apply("""{"toPorts":[{"ports":[{"port":"53","protocol":"UDP"}],"rules":{"dns":[{"matchName":"a.org"}]}}]}""");
        Apply("{" + ToResolver + "}", "q", "egressDeny");
        Assert.Equal(["11 Udp 53 a.org"], Rules());
        Assert.False(PolicyEvaluator.Evaluate(_engine.FindEndpoint(1)!, TrafficDirection.Egress, Resolver, L4Protocol.Udp, 53).Allowed);
    }

    [Theory]
    [InlineData("""{"toPorts":[{"rules":{"dns":[{"matchName":"a.org"}]}}]}""", "spec.egress[0].toPorts[0].ports: is missing: rules.dns needs a port")]
    [InlineData("""{"toPorts":[{"ports":[{"port":"0"}],"rules":{"dns":[{"matchName":"a.org"}]}}]}""", "spec.egress[0].toPorts[0].ports[0].port: rules.dns needs a port other than 0")]
    [InlineData("""{"toPorts":[{"ports":[{"port":"53","endPort":54}],"rules":{"dns":[{"matchName":"a.org"}]}}]}""", "spec.egress[0].toPorts[0].ports[0].endPort: rules.dns takes no range of ports")]
    [InlineData("""{"toPorts":[{"ports":[{"port":"53","protocol":"SCTP"}],"rules":{"dns":[{"matchName":"a.org"}]}}]}""", "spec.egress[0].toPorts[0].ports[0].protocol: rules.dns is for TCP and UDP, not SCTP")]
    [InlineData("""{"toPorts":[{"ports":[{"port":"53"}],"rules":{"dns":[{}]}}]}""", "spec.egress[0].toPorts[0].rules.dns[0]: must have exactly one of matchName and matchPattern")]
    [InlineData("""{"toFQDNs":[{"matchName":"a.org","matchPattern":"*"}]}""", "spec.egress[0].toFQDNs[0]: must have exactly one of matchName and matchPattern")]
    [InlineData("""{"toFQDNs":[{"matchName":"*.org"}]}""", "spec.egress[0].toFQDNs[0].matchName: has '*', which is no character of a name")]
    [InlineData("""{"toFQDNs":[{"matchPattern":"a b"}]}""", "spec.egress[0].toFQDNs[0].matchPattern: has ' ', which is no character of a name pattern")]
    public void Names_are_checked_and_errors_name_their_field(string egress, string error)
    {
        PolicyStatus status = Apply(egress);
        Assert.False(status.Valid);
        Assert.Equal(error, status.Message);
    }

    [Fact]
    public void Names_belong_to_egress_allow_rules()
    {
        PolicyStatus status = Apply("""{"toFQDNs":[{"matchName":"a.org"}]}""", direction: "egressDeny");
        Assert.Equal("spec.egressDeny[0].toFQDNs: is for allow rules only: a name's addresses are not all known", status.Message);
        status = Apply("""{"toPorts":[{"ports":[{"port":"53"}],"rules":{"dns":[{"matchName":"a.org"}]}}]}""", direction: "ingress");
        Assert.Equal("spec.ingress[0].toPorts[0].rules.dns: is for egress only", status.Message);
    }

    [Fact]
    public void Ports_with_and_without_names_in_one_entry_stay_apart()
    {
        Apply("{" + ToResolver + ""","toPorts":[{"ports":[{"port":"53","protocol":"UDP"}],"rules":{"dns":[{"matchPattern":"*"}]}},{"ports":[{"port":"80","protocol":"TCP"}]}]}""");
        Assert.Equal(["400 Udp 53 *"], Rules());
        PolicyVerdict plain = PolicyEvaluator.Evaluate(_engine.FindEndpoint(1)!, TrafficDirection.Egress, Resolver, L4Protocol.Tcp, 80);
        Assert.True(plain.Allowed && plain.Entry!.Redirect is null);
    }
}
