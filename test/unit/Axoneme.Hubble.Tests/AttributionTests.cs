// SPDX-License-Identifier: Apache-2.0
using Axoneme.Hubble.Api;
using Axoneme.Network;
using TrafficDirection = Axoneme.Hubble.Api.TrafficDirection;

namespace Axoneme.Hubble.Tests;

/// <summary>Who decided: shop/cart-abc (endpoint 7) sends to shop/db-0 (endpoint 8).</summary>
public sealed class AttributionTests
{
    private const byte PolicyDenied = 133;
    private const byte PolicyDeny = 181;
    private const byte Established = 2;

    private static readonly byte[] Packet = Packets.Frame("10.244.0.5", "10.244.0.6", 6, Packets.Tcp(40000, 5432, 2));
    private static readonly byte[] OtherPacket = Packets.Frame("10.244.0.5", "10.244.0.6", 6, Packets.Tcp(40001, 5432, 2));

    private readonly FlowDecoder _decoder = new(new KnownCluster());
    private readonly FlowRenderer _renderer = new(new HubbleOptions { NodeName = "n1", Version = "1.2.3" }, Guid.Empty);

    [Fact]
    public void A_denying_rule_is_named_with_its_field_and_its_log_text()
    {
        Flow flow = Decode(Verdict(PolicyAction.Denied, cookie: 5, PolicyDeny));
        Policy policy = Assert.Single(flow.IngressDeniedBy);
        Assert.Equal(("CiliumNetworkPolicy", "shop", "allow-db", 3ul), (policy.Kind, policy.Namespace, policy.Name, policy.Revision));
        Assert.Equal(["k8s:x=y", "axoneme:rule=spec.ingress[0]"], policy.Labels);
        Assert.Equal(["audited by finance"], flow.PolicyLog);
        Assert.Equal("TCP Flags: SYN; denied in direction ingress by CiliumNetworkPolicy shop/allow-db (spec.ingress[0])", flow.Summary);
    }

    [Fact]
    public void An_allowing_rule_is_named_in_the_fields_and_not_in_the_text()
    {
        Flow flow = Decode(Verdict(PolicyAction.Allowed, cookie: 5));
        Assert.Equal("allow-db", Assert.Single(flow.IngressAllowedBy).Name);
        Assert.Empty(flow.IngressDeniedBy);
        Assert.Equal("TCP Flags: SYN", flow.Summary);
    }

    [Fact]
    public void A_rule_whose_proxy_is_missing_is_not_said_to_deny()
        => Assert.Equal(
            "TCP Flags: SYN; not passed on in direction ingress: CiliumNetworkPolicy shop/allow-db (spec.ingress[0]) needs a proxy or authentication that is not there",
            Decode(Verdict(PolicyAction.Denied, cookie: 5, reason: 189)).Summary);

    [Fact]
    public void A_default_deny_names_the_policies_that_close_the_direction()
    {
        Flow flow = Decode(Verdict(PolicyAction.Denied, cookie: 0, PolicyDenied));
        Assert.Equal(["allow-db", "shut"], flow.IngressDeniedBy.Select(p => p.Name));
        Assert.Equal(
            "TCP Flags: SYN; default deny in direction ingress because CiliumNetworkPolicy shop/allow-db, NetworkPolicy shop/shut select shop/db-0, none matches",
            flow.Summary);
    }

    [Fact]
    public void A_default_deny_that_no_policy_asked_for_says_so()
    {
        KernelEvent kernel = Verdict(PolicyAction.Denied, cookie: 0, PolicyDenied);
        kernel.IsEgressPolicy = true;
        kernel.EndpointId = 7;
        Flow flow = Decode(kernel);
        Assert.Empty(flow.EgressDeniedBy);
        Assert.Contains("although no policy selects shop/cart-abc", flow.Summary, StringComparison.Ordinal);
    }

    [Fact]
    public void The_drop_after_a_verdict_carries_what_the_verdict_said()
    {
        Decode(Verdict(PolicyAction.Denied, cookie: 5, PolicyDeny));
        Flow drop = Decode(Drop(Packet, PolicyDeny));
        Assert.Equal("allow-db", Assert.Single(drop.IngressDeniedBy).Name);
        // The sender's program refused in the name of the receiver's policy.
        Assert.Equal(TrafficDirection.Ingress, drop.TrafficDirection);
        Assert.EndsWith("denied in direction ingress by CiliumNetworkPolicy shop/allow-db (spec.ingress[0])", drop.Summary, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true, PolicyDeny, 1_000)]
    [InlineData(false, PolicyDenied, 1_000)]
    [InlineData(false, PolicyDeny, 1_000_000_000)]
    public void A_drop_of_another_packet_reason_or_time_is_not_explained_by_the_verdict(bool otherPacket, byte reason, long laterNs)
    {
        Decode(Verdict(PolicyAction.Denied, cookie: 5, PolicyDeny));
        KernelEvent kernel = Drop(otherPacket ? OtherPacket : Packet, reason);
        kernel.TimestampNs += laterNs;
        Assert.Empty(Decode(kernel).IngressDeniedBy);
    }

    [Fact]
    public void A_drop_whose_verdict_was_lost_is_explained_where_no_rule_matched()
    {
        KernelEvent kernel = Drop(Packet, PolicyDenied);
        kernel.EndpointId = 8;
        Assert.Equal(["allow-db", "shut"], Decode(kernel).IngressDeniedBy.Select(p => p.Name));
        kernel.DropReason = PolicyDeny;
        Assert.Empty(Decode(kernel).IngressDeniedBy);
    }

    [Fact]
    public void An_established_connection_that_a_change_cuts_is_called_that()
    {
        KernelEvent kernel = Verdict(PolicyAction.Denied, cookie: 0, PolicyDenied);
        kernel.TraceReason = Established;
        Assert.Contains("; established connection cut: default deny in direction ingress", Decode(kernel).Summary, StringComparison.Ordinal);
        Assert.Contains("; established connection cut: ", Decode(Drop(Packet, PolicyDenied)).Summary, StringComparison.Ordinal);
    }

    [Fact]
    public void An_audited_packet_names_who_would_have_denied_it()
    {
        Flow flow = Decode(Verdict(PolicyAction.Audited, cookie: 0));
        Assert.Equal(Api.Verdict.Audit, flow.Verdict);
        Assert.Equal(["allow-db", "shut"], flow.IngressDeniedBy.Select(p => p.Name));
        Assert.Contains("audit: would be denied by default in direction ingress because", flow.Summary, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(PolicyAction.WouldDeny, 5, "shadow: would be denied in direction ingress by CiliumNetworkPolicy shop/allow-db (spec.ingress[0])")]
    [InlineData(PolicyAction.WouldAllow, 5, "shadow: would be allowed in direction ingress by CiliumNetworkPolicy shop/allow-db (spec.ingress[0])")]
    [InlineData(PolicyAction.WouldDeny, 0, "shadow: would be denied by default in direction ingress because NetworkPolicy shop/planned selects shop/db-0, none matches")]
    public void A_shadow_verdict_names_the_rules_that_are_not_enforced(PolicyAction action, uint cookie, string sentence)
    {
        Flow flow = Decode(Verdict(action, cookie));
        Assert.Equal((Api.Verdict.Audit, "TCP Flags: SYN; " + sentence), (flow.Verdict, flow.Summary));
        Assert.Equal(action == PolicyAction.WouldAllow ? 1 : 0, flow.IngressAllowedBy.Count);
        Assert.Equal(action == PolicyAction.WouldDeny ? 1 : 0, flow.IngressDeniedBy.Count);
    }

    private static KernelEvent Verdict(PolicyAction action, uint cookie, byte reason = 0) => new()
    {
        Type = MonitorEvent.PolicyVerdict,
        TimestampNs = 1_000_000,
        EndpointId = 8,
        PolicyAction = action,
        PolicyCookie = cookie,
        DropReason = reason,
        Packet = Packet,
    };

    private static KernelEvent Drop(byte[] packet, byte reason) => new()
    {
        Type = MonitorEvent.Drop,
        TimestampNs = 1_002_000,
        EndpointId = 7,
        DropReason = reason,
        Packet = packet,
    };

    private Flow Decode(in KernelEvent kernel)
    {
        _decoder.Decode(kernel, out FlowRecord record);
        return _renderer.Render(record);
    }
}
