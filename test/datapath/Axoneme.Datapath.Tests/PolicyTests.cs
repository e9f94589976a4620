// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath.Tests;

public sealed class PolicyTests
{
    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Default_deny_drops_and_an_allowed_port_passes(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Server, 80));
        Outcome denied = c.Node.Send(c.Client, syn);
        Assert.Equal(TcVerdict.Drop, denied.Verdict);
        Assert.Equal(DropReason.PolicyDenied, denied.Dropped);
        Assert.Equal((byte)VerdictAction.Denied, Assert.Single(denied.Verdicts).PolicyAction);

        Node.Rule(c.Server, TrafficDirection.Ingress, c.Client.Identity, 6, 80, cookie: 42);
        Outcome allowed = c.Node.Send(c.Client, syn);
        Assert.Equal(TcVerdict.Redirect, allowed.Verdict);
        Event verdict = Assert.Single(allowed.Verdicts);
        Assert.Equal((byte)VerdictAction.Allowed, verdict.PolicyAction);
        Assert.Equal((byte)PolicyMatch.L3L4, verdict.PolicyMatch);
        Assert.Equal((byte)TrafficDirection.Ingress, verdict.PolicyDirection);
        Assert.Equal((42u, c.Server.Id, (ushort)80), (verdict.PolicyCookie, verdict.EndpointId, verdict.PolicyPort.Value));
        Assert.Equal(DropReason.PolicyDenied, c.Node.Send(c.Client, syn with { ToPort = 81 }).Dropped);
    }

    /// <summary>Clusters are told apart by the upper bits; fixed numbers of pods are those of the own cluster.</summary>
    [Theory]
    [InlineData(0, 16, 40000, true)]
    [InlineData(0, 15, 40000, false)]
    [InlineData(0, 16, 104, true)]
    [InlineData(5, 16, 104, true)]
    [InlineData(5, 16, 300, false)]
    [InlineData(5, 16, (5 << 16) + 7, true)]
    [InlineData(300, 15, (300 << 15) + 7, true)]
    [InlineData(300, 15, (301 << 15) + 7, false)]
    public void Identity_belongs_to_the_class_of_its_cluster(uint cluster, byte bits, uint identity, bool isOwn)
    {
        const uint AggregateCluster = 11, AggregateMesh = 12;
        var f = new Family(IsV6: false);
        foreach (uint aggregate in new[] { AggregateCluster, AggregateMesh })
        {
            using var c = new Cluster(f, edge: new EdgeOptions { ClusterId = cluster, ClusterIdentityBits = bits });
            c.Node.AddIdentity(f.Remote, identity, "172.30.0.12");
            c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
            Node.Rule(c.Server, TrafficDirection.Ingress, aggregate, 6, 80);
            Outcome outcome = c.Node.FromNetwork(Packet.TcpFrom(f.At(f.Remote, 40000), f.At(f.Server, 80)));
            Assert.Equal(isOwn == (aggregate == AggregateCluster), outcome.Dropped is null);
        }
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Answers_need_no_rule(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Enforce(c.Client, PolicyStateFlags.IngressEnforced | PolicyStateFlags.EgressEnforced);
        Node.Rule(c.Client, TrafficDirection.Egress, c.Server.Identity, 17, 53);
        Packet query = Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Server, 53));
        Assert.Equal(TcVerdict.Redirect, c.Node.Send(c.Client, query).Verdict);
        Assert.Equal(TcVerdict.Redirect, c.Node.Send(c.Server, query.Reply()).Verdict);
        Assert.Equal(DropReason.PolicyDenied, c.Node.Send(c.Server, query.Reply() with { FromPort = 54 }).Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_new_revision_cuts_a_connection_that_is_no_longer_allowed(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        PolicyKey rule = Node.Rule(c.Server, TrafficDirection.Ingress, c.Client.Identity, 6, 80);
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Server, 80));
        c.Node.Send(c.Client, syn);
        c.Node.Send(c.Server, syn.Reply());
        Packet data = syn with { Flags = Tcp.Ack };
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        Assert.Equal(TcVerdict.Redirect, c.Node.Send(c.Client, data).Verdict);

        c.Server.Policy.TryDelete(rule);
        Assert.Equal(TcVerdict.Redirect, c.Node.Send(c.Client, data).Verdict);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        Assert.Equal(DropReason.PolicyDenied, c.Node.Send(c.Client, data).Dropped);
        Assert.Equal(DropReason.PolicyDenied, c.Node.Send(c.Client, data).Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Deny_beats_allow_and_precedence_beats_both(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        Node.Rule(c.Server, TrafficDirection.Ingress, 0, 6, 80, deny: true);
        Node.Rule(c.Server, TrafficDirection.Ingress, c.Client.Identity);
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Server, 80));
        Assert.Equal(DropReason.PolicyDeny, c.Node.Send(c.Client, syn).Dropped);
        Assert.Equal(TcVerdict.Redirect, c.Node.Send(c.Client, syn with { ToPort = 81 }).Verdict);
        Node.Rule(c.Server, TrafficDirection.Ingress, c.Client.Identity, precedence: 1000);
        Assert.Equal(TcVerdict.Redirect, c.Node.Send(c.Client, syn).Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_denial_that_no_rule_asked_for_is_a_default_deny(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        Node.Rule(c.Server, TrafficDirection.Ingress, 0);
        Node.Rule(c.Server, TrafficDirection.Ingress, c.Client.Identity, deny: true, precedence: 1000, cookie: 0);
        Outcome outcome = c.Node.Send(c.Client, Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Server, 80)));
        Assert.Equal(DropReason.PolicyDenied, outcome.Dropped);
        Event verdict = Assert.Single(outcome.Verdicts);
        Assert.Equal(((byte)DropReason.PolicyDenied, (byte)PolicyMatch.None, 0u), (verdict.Reason, verdict.PolicyMatch, verdict.PolicyCookie));
    }

    [Theory]
    [InlineData(7, 0)]
    [InlineData(99, 0)]
    [InlineData(100, 11)]
    [InlineData(65535, 11)]
    [InlineData(0x30000 + 256, 12)]
    [InlineData(0x0100_0001, 13)]
    [InlineData(0x01FF_FFFF, 13)]
    [InlineData(0x0200_0001, 14)]
    public void An_identity_is_also_known_by_its_class(uint identity, uint aggregate)
    {
        var f = new Family(IsV6: false);
        using var c = new Cluster(f);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        c.Node.Configure(c.Client, identity);
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Server, 80));
        foreach (uint other in new uint[] { 0, 11, 12, 13, 14 }.Where(i => i != aggregate))
            Node.Entry(c.Server, TrafficDirection.Ingress, other, 6, 80);
        Assert.Equal(DropReason.PolicyDenied, c.Node.Send(c.Client, syn).Dropped);
        Node.Entry(c.Server, TrafficDirection.Ingress, aggregate, 6, 80, cookie: 5);
        Event verdict = Assert.Single(c.Node.Send(c.Client, syn with { FromPort = 40001 }).Verdicts);
        Assert.Equal(((byte)VerdictAction.Allowed, 5u), (verdict.PolicyAction, verdict.PolicyCookie));
        Node.Entry(c.Server, TrafficDirection.Ingress, identity, 6, 80, deny: true);
        Assert.Equal(DropReason.PolicyDeny, c.Node.Send(c.Client, syn with { FromPort = 40002 }).Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Rules_on_trial_tell_what_they_would_deny_and_decide_nothing(Family f)
    {
        using var c = new Cluster(f);
        Pod shadow = c.Node.AddShadow(c.Server);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressShadowed);
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Server, 80));
        Outcome unknown = c.Node.Send(c.Client, syn);
        Assert.Equal(TcVerdict.Redirect, unknown.Verdict);
        Event verdict = Assert.Single(unknown.Verdicts);
        Assert.Equal(((byte)VerdictAction.WouldDeny, (byte)DropReason.PolicyDenied, 0u, c.Server.Id),
            (verdict.PolicyAction, verdict.Reason, verdict.PolicyCookie, verdict.EndpointId));
        // The connection is known now.
        Assert.Empty(c.Node.Send(c.Client, syn with { Flags = Tcp.Ack }).Verdicts);

        Node.Rule(shadow, TrafficDirection.Ingress, c.Client.Identity, 6, 81, deny: true, cookie: 7);
        Node.Rule(shadow, TrafficDirection.Ingress, c.Client.Identity, 6, 82, cookie: 8);
        Event denied = Assert.Single(c.Node.Send(c.Client, syn with { ToPort = 81 }).Verdicts);
        Assert.Equal(((byte)VerdictAction.WouldDeny, (byte)DropReason.PolicyDeny, 7u), (denied.PolicyAction, denied.Reason, denied.PolicyCookie));
        Assert.Empty(c.Node.Send(c.Client, syn with { ToPort = 82 }).Verdicts);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Rules_on_trial_that_want_the_proxy_do_not_deny(Family f)
    {
        using var c = new Cluster(f);
        Pod shadow = c.Node.AddShadow(c.Client);
        c.Node.Enforce(c.Client, PolicyStateFlags.EgressShadowed);
        PolicyKey key = Node.Rule(shadow, TrafficDirection.Egress, c.Server.Identity, 17, 53);
        Packet question = Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Server, 53));
        foreach (PolicyEntry entry in new PolicyEntry[]
        {
            new() { PrefixLen = 24, ProxyPort = 10053 },
            new() { PrefixLen = 24, Flags = (byte)(PolicyFlags.Deny | PolicyFlags.NoProxy) },
        })
        {
            shadow.Policy.Update(key, entry);
            Outcome outcome = c.Node.Send(c.Client, question = question with { FromPort = (ushort)(question.FromPort + 1) });
            Assert.Equal(TcVerdict.Redirect, outcome.Verdict);
            Assert.Empty(outcome.Verdicts);
        }
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_redirect_without_a_socket_is_told_and_dropped(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Enforce(c.Client, PolicyStateFlags.EgressEnforced);
        PolicyKey key = Node.Rule(c.Client, TrafficDirection.Egress, c.Server.Identity, 17, 53);
        c.Client.Policy.Update(key, new PolicyEntry { PrefixLen = 24, ProxyPort = 1, Cookie = 4 });
        Packet question = Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Server, 53));
        Outcome redirected = c.Node.Send(c.Client, question);
        Assert.Equal(DropReason.SocketLookupFailed, redirected.Dropped);
        Event verdict = Assert.Single(redirected.Verdicts);
        Assert.Equal(((byte)VerdictAction.Redirected, (ushort)1, 4u), (verdict.PolicyAction, verdict.PolicyProxyPort.Value, verdict.PolicyCookie));
        // Known now, but there still is nobody.
        Outcome again = c.Node.Send(c.Client, question);
        Assert.Equal(DropReason.SocketLookupFailed, again.Dropped);
        Assert.Empty(again.Verdicts);

        c.Client.Policy.Update(key, new PolicyEntry { PrefixLen = 24, Flags = (byte)(PolicyFlags.Deny | PolicyFlags.NoProxy) });
        Outcome denied = c.Node.Send(c.Client, question with { FromPort = 5001 });
        Assert.Equal(DropReason.SocketLookupFailed, denied.Dropped);
        Assert.Equal((byte)VerdictAction.Denied, Assert.Single(denied.Verdicts).PolicyAction);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Only_datagrams_and_streams_of_pods_can_be_redirected(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Enforce(c.Client, PolicyStateFlags.EgressEnforced);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        PolicyKey any = Node.Rule(c.Client, TrafficDirection.Egress, c.Server.Identity);
        c.Client.Policy.Update(any, new PolicyEntry { ProxyPort = 1 });
        Outcome echo = c.Node.Send(c.Client, Packet.Ping(f.Client, f.Server));
        Assert.Equal(DropReason.ProxyRedirectionNotSupportedForProtocol, echo.Dropped);

        c.Node.Enforce(c.Client, 0);
        PolicyKey ingress = Node.Rule(c.Server, TrafficDirection.Ingress, c.Client.Identity);
        c.Server.Policy.Update(ingress, new PolicyEntry { ProxyPort = 1 });
        Outcome received = c.Node.Send(c.Client, Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Server, 53)));
        Assert.Equal(DropReason.ProxyRedirectionNotSupportedForProtocol, received.Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Rules_on_trial_tell_what_they_would_let_pass(Family f)
    {
        using var c = new Cluster(f);
        Pod shadow = c.Node.AddShadow(c.Client);
        Node.Rule(shadow, TrafficDirection.Egress, c.Server.Identity, 6, 80, cookie: 9);
        c.Node.Enforce(c.Client, PolicyStateFlags.EgressEnforced | PolicyStateFlags.EgressShadowed);
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Server, 80));
        Outcome outcome = c.Node.Send(c.Client, syn);
        Assert.Equal(DropReason.PolicyDenied, outcome.Dropped);
        Assert.Equal([VerdictAction.Denied, VerdictAction.WouldAllow], outcome.Verdicts.Select(v => (VerdictAction)v.PolicyAction));
        Assert.Equal((9u, (byte)PolicyMatch.L3L4), (outcome.Verdicts[1].PolicyCookie, outcome.Verdicts[1].PolicyMatch));
        // Of the same opinion.
        Assert.Equal((byte)VerdictAction.Denied, Assert.Single(c.Node.Send(c.Client, syn with { ToPort = 81 }).Verdicts).PolicyAction);

        c.Node.Enforce(c.Client, PolicyStateFlags.EgressEnforced);
        Assert.Single(c.Node.Send(c.Client, syn).Verdicts);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void An_endpoint_whose_policy_has_no_room_opens_no_connection_and_keeps_those_it_has(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Enforce(c.Server, PolicyStateFlags.IngressEnforced);
        Node.Rule(c.Server, TrafficDirection.Ingress, c.Client.Identity, 6, 80);
        Packet syn = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Server, 80));
        c.Node.Send(c.Client, syn);
        c.Node.Send(c.Server, syn.Reply());
        c.Node.Map(Maps.CiliumPolicyState).TryLookup(c.Server.Id, out PolicyState state);
        c.Node.Map(Maps.CiliumPolicyState).Update(c.Server.Id, state with { Flags = state.Flags | (uint)PolicyStateFlags.Overflow });
        Assert.Equal(TcVerdict.Redirect, c.Node.Send(c.Client, syn with { Flags = Tcp.Ack }).Verdict);
        Assert.Equal(
            DropReason.NoConfigurationAvailableToPerformPolicyDecision, c.Node.Send(c.Client, syn with { FromPort = 40001 }).Dropped);
        Assert.Equal(
            DropReason.NoConfigurationAvailableToPerformPolicyDecision,
            c.Node.Send(c.Server, Packet.TcpFrom(f.At(f.Server, 40000), f.At(f.Client, 80))).Dropped);
        c.Node.Map(Maps.CiliumPolicyState).Update(c.Server.Id, state with { Revision = state.Revision + 100 });
        Assert.Equal(TcVerdict.Redirect, c.Node.Send(c.Client, syn with { FromPort = 40001 }).Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Audit_lets_pass_and_says_so(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Enforce(c.Client, PolicyStateFlags.EgressEnforced | PolicyStateFlags.Audit);
        Outcome outcome = c.Node.Send(c.Client, Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Server, 53)));
        Assert.Equal(TcVerdict.Redirect, outcome.Verdict);
        Event verdict = Assert.Single(outcome.Verdicts);
        Assert.Equal(((byte)VerdictAction.Audited, (byte)DropReason.PolicyDenied), (verdict.PolicyAction, verdict.Reason));
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_ping_is_judged_by_its_type(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Enforce(c.Client, PolicyStateFlags.EgressEnforced);
        Packet ping = Packet.Ping(f.Client, f.Server);
        Assert.Equal(DropReason.PolicyDenied, c.Node.Send(c.Client, ping).Dropped);
        Node.Rule(c.Client, TrafficDirection.Egress, 0, f.Icmp, f.EchoRequest);
        Assert.Equal(TcVerdict.Redirect, c.Node.Send(c.Client, ping).Verdict);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void An_endpoint_without_policy_yet_is_not_open(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Map(Maps.CiliumPolicyState).Update(c.Server.Id, default);
        Assert.Equal(DropReason.EpNotReady, c.Node.Send(c.Client, Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Server, 53))).Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_whole_address_is_known_better_than_its_prefix(Family f)
    {
        using var c = new Cluster(f);
        c.Node.Enforce(c.Client, PolicyStateFlags.EgressEnforced);
        Packet query = Packet.UdpFrom(f.At(f.Client, 5000), f.At(f.Outside, 53));
        Node.Rule(c.Client, TrafficDirection.Egress, Cluster.PrefixIdentity);
        Outcome byPrefix = c.Node.Send(c.Client, query);
        Assert.Equal((TcVerdict.Pass, Cluster.PrefixIdentity), (byPrefix.Verdict, byPrefix.Trace.DestinationIdentity));
        c.Node.AddIdentity(f.Outside, 20009);
        Assert.Equal(DropReason.PolicyDenied, c.Node.Send(c.Client, query with { FromPort = 5001 }).Dropped);
    }
}
