// SPDX-License-Identifier: Apache-2.0
using Axoneme.DnsProxy;
using Axoneme.Network;
using Axoneme.Proxy.Control;
using Axoneme.Proxy.Rules;
using Axoneme.Proxy.Sockets;
using static Axoneme.Proxy.Tests.Text;

namespace Axoneme.Proxy.Tests;

public sealed class RuleTests
{
    private static readonly SocketAddress Server = new(Ip("10.0.0.10"), 53);

    [Theory]
    [InlineData(0u, 4711u, true)]
    [InlineData(4711u, 4711u, true)]
    [InlineData(4711u, 4712u, false)]
    [InlineData(11u, 4711u, true)]
    [InlineData(11u, 2u, false)]
    [InlineData(13u, 0x0100_0007u, true)]
    [InlineData(14u, 0x0200_0007u, true)]
    [InlineData(12u, 0x0001_0100u, true)]
    [InlineData(9u, 2u, true)]
    [InlineData(10u, 2u, false)]
    public void A_rule_counts_for_the_identities_it_names(uint peer, uint identity, bool allowed)
        => Assert.Equal(allowed, Rules(new DnsRule(new SecurityIdentity(peer), L4Protocol.Udp, 53, 16, [Pattern("*")]))
            .Allows(Server, new SecurityIdentity(identity), IdentityNumbering.Default, L4Protocol.Udp, "www.example"));

    [Theory]
    [InlineData(11u, 0x0003_0100u, 3u, 16, true)]
    [InlineData(12u, 0x0003_0100u, 3u, 16, false)]
    [InlineData(12u, 0x0002_0100u, 3u, 16, true)]
    [InlineData(11u, 0x0001_8100u, 3u, 15, true)]
    [InlineData(12u, 0x0001_8100u, 3u, 15, false)]
    [InlineData(11u, 104u, 3u, 16, true)]
    public void Who_is_of_the_own_cluster_is_a_matter_of_its_number(uint peer, uint identity, uint cluster, int bits, bool allowed)
        => Assert.Equal(allowed, Rules(new DnsRule(new SecurityIdentity(peer), L4Protocol.Udp, 53, 16, [Pattern("*")])).Allows(
            Server, new SecurityIdentity(identity), new IdentityNumbering { ClusterId = cluster, Bits = bits }, L4Protocol.Udp, "www.example"));

    [Theory]
    [InlineData(L4Protocol.Any, 53, 16, true)]
    [InlineData(L4Protocol.Tcp, 53, 16, false)]
    [InlineData(L4Protocol.Udp, 54, 16, false)]
    [InlineData(L4Protocol.Udp, 52, 15, true)]
    [InlineData(L4Protocol.Udp, 0, 0, true)]
    public void A_rule_counts_for_its_protocol_and_block_of_ports(L4Protocol protocol, int port, int length, bool allowed)
        => Assert.Equal(allowed, Rules(new DnsRule(default, protocol, (ushort)port, (byte)length, [Pattern("*")]))
            .Allows(Server, new SecurityIdentity(4711), IdentityNumbering.Default, L4Protocol.Udp, "www.example"));

    [Fact]
    public void Rules_add_up()
    {
        EndpointRules rules = Rules(
            new DnsRule(new SecurityIdentity(4711), L4Protocol.Udp, 53, 16, [Pattern("a.example")]), new DnsRule(default, L4Protocol.Any, 53, 16, [Pattern("*.org")]));
        Assert.True(rules.Allows(Server, new SecurityIdentity(4711), IdentityNumbering.Default, L4Protocol.Udp, "a.example"));
        Assert.True(rules.Allows(Server, new SecurityIdentity(4711), IdentityNumbering.Default, L4Protocol.Udp, "b.org"));
        Assert.False(rules.Allows(Server, new SecurityIdentity(4712), IdentityNumbering.Default, L4Protocol.Udp, "a.example"));
    }

    [Fact]
    public void An_address_that_changes_hands_keeps_its_new_owner()
    {
        var directory = new EndpointDirectory();
        directory.Update([Endpoint(1, "10.0.0.1"), Endpoint(2, "10.0.0.2")], []);
        directory.Update([Endpoint(2, "10.0.0.1")], []);
        Assert.Equal((ushort)2, directory.Find(Ip("10.0.0.1"))!.Id);
        Assert.Null(directory.Find(Ip("10.0.0.2")));
        Assert.Equal([(ushort)1], directory.Update([], [1]));
        Assert.Equal((ushort)2, directory.Find(Ip("10.0.0.1"))!.Id);
    }

    [Fact]
    public void The_old_state_is_in_force_until_the_new_one_is_complete()
    {
        (ProxyShared shared, RuleState rules) = State();
        Apply(rules, new SnapshotBegin(), new UpdateEndpoints([Endpoint(1, "10.0.0.1")], []), new SnapshotEnd());
        Assert.NotNull(shared.Endpoints.Find(Ip("10.0.0.1")));
        Apply(rules, new SnapshotBegin(), new UpdateEndpoints([Endpoint(2, "10.0.0.2")], []));
        Assert.NotNull(shared.Endpoints.Find(Ip("10.0.0.1")));
        Assert.Null(shared.Endpoints.Find(Ip("10.0.0.2")));
        rules.Abort();
        Assert.False(rules.TryApply(new SnapshotEnd()));
        Apply(rules, new SnapshotBegin(), new UpdateEndpoints([Endpoint(2, "10.0.0.2")], []), new SnapshotEnd());
        Assert.Null(shared.Endpoints.Find(Ip("10.0.0.1")));
        Assert.NotNull(shared.Endpoints.Find(Ip("10.0.0.2")));
    }

    [Fact]
    public void State_survives_in_a_file()
    {
        (ProxyShared shared, RuleState rules) = State();
        Apply(rules, new SnapshotBegin(), new SetOptions(new ProxyOptions { MinimalTtlSeconds = 9 }),
            new UpdateEndpoints([.. Enumerable.Range(1, 250).Select(i => Endpoint((ushort)i, $"10.0.1.{i}"))], []),
            new UpdateSets([new SelectorSet(new SecurityIdentity(5), [Pattern("*.example")]), new SelectorSet(default, [Pattern("b.org")])], []),
            new UpdatePrefixes([IpPrefix.Parse("10.0.0.0/8")], []), new SnapshotEnd());
        Apply(rules, new UpdateEndpoints([], [3]), new UpdateSets([new SelectorSet(new SecurityIdentity(6), [Pattern("c.org")])], []));
        string path = Path.GetTempFileName();
        try
        {
            new StateFile(path).Save(rules.Describe());
            Assert.True(new StateFile(path).TryLoad(out List<ProxyMessage> messages, out _));
            (ProxyShared again, RuleState restored) = State();
            Apply(restored, [.. messages]);
            Assert.Equal(249, again.Endpoints.All.Count);
            Assert.Null(again.Endpoints.Find(Ip("10.0.1.3")));
            Assert.Equal(9, again.Options.MinimalTtlSeconds);
            Assert.Equal(3, restored.Describe().OfType<UpdateSets>().Single().Upsert.Count);

            // What somebody cut is read as far as it goes.
            File.WriteAllBytes(path, File.ReadAllBytes(path)[..^5]);
            Assert.False(new StateFile(path).TryLoad(out List<ProxyMessage> cut, out string problem));
            Assert.Equal(messages.Count - 1, cut.Count);
            Assert.Contains(path, problem, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData("tofqdns-proxy-port=1")]
    [InlineData("--tofqdns-proxy-port=65536")]
    [InlineData("--no-such=1")]
    [InlineData("--config-dir=/nonexistent")]
    public void Wrong_settings_are_named(string argument)
    {
        string name = argument.TrimStart('-').Split('=')[0];
        Assert.Contains(name, Assert.Throws<ProxySettingException>(() => ProxySettings.Parse([argument])).Message, StringComparison.Ordinal);
    }

    private static (ProxyShared Shared, RuleState Rules) State()
    {
        var shared = new ProxyShared(new ManualTime(), new FakeTable());
        return (shared, new RuleState(shared));
    }

    private static void Apply(RuleState rules, params ProxyMessage[] messages)
    {
        foreach (ProxyMessage message in messages)
            Assert.True(rules.TryApply(message));
    }

    private static EndpointRules Rules(params DnsRule[] rules) => new(new ProxiedEndpoint(1, new SecurityIdentity(4711), [], rules));

    private static ProxiedEndpoint Endpoint(ushort id, string address)
        => new(id, new SecurityIdentity(4711), [Ip(address)], [new DnsRule(default, L4Protocol.Any, 53, 16, [Pattern("*")])]);
}
