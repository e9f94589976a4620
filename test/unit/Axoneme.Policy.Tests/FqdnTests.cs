// SPDX-License-Identifier: Apache-2.0
using Axoneme.Dns;
using Axoneme.Network;

namespace Axoneme.Policy.Tests;

public sealed class FqdnTests
{
    private static readonly DateTimeOffset Start = DateTimeOffset.UnixEpoch;
    private static readonly SecurityIdentity Web = new(300);
    private static readonly IpAddress One = IpAddress.Parse("192.0.2.1");
    private static readonly IpAddress Two = IpAddress.Parse("192.0.2.2");

    private readonly Dictionary<IpPrefix, SecurityIdentity> _ipcache = [];

    private static PolicyEngine Engine(FqdnOptions? options = null)
    {
        var engine = new PolicyEngine(PolicyOptions.Default with { Fqdn = options ?? new FqdnOptions() });
        engine.UpsertEndpoint(1, Web, LabelSet.Parse("k8s:app=web"));
        return engine;
    }

    private static DnsPattern Pattern(string text) => DnsPattern.TryParsePattern(text, out DnsPattern pattern, out _) ? pattern : throw new FormatException(text);

    private static PolicyDocument Document(string name, params IEnumerable<IdentitySelector> peers) => new(
        new PolicyObjectKey(PolicyKind.CiliumNetworkPolicy, "blue", name),
        [
            new NetworkRule
            {
                Subject = new LabelsSelector(LabelRequirement.Equal("k8s", "app", "web")),
                Direction = TrafficDirection.Egress,
                Peers = [.. peers],
                Origin = new RuleOrigin(new PolicyObjectKey(PolicyKind.CiliumNetworkPolicy, "blue", name), "u", "spec.egress[0]", LabelSet.Empty),
            },
        ]);

    private static FqdnSelector Name(string pattern) => new(Pattern(pattern));

    private PolicyUpdate Commit(PolicyEngine engine)
    {
        PolicyUpdate update = engine.Commit();
        foreach (IpPrefix prefix in update.PrefixDeletes)
            _ipcache.Remove(prefix);
        foreach ((IpPrefix prefix, SecurityIdentity id) in update.PrefixUpserts)
            _ipcache[prefix] = id;
        return update;
    }

    private bool Allows(PolicyEngine engine, IpAddress address)
        => _ipcache.TryGetValue(IpPrefix.Single(address), out SecurityIdentity id)
            && PolicyEvaluator.Evaluate(engine.FindEndpoint(1)!, TrafficDirection.Egress, id, L4Protocol.Tcp, 443).Allowed;

    [Fact]
    public void First_answer_changes_no_policy_map_and_opens_the_address()
    {
        PolicyEngine engine = Engine();
        engine.UpsertPolicy(Document("a", Name("*.example.com"), Name("api.example.com")));
        Commit(engine);
        engine.Names.Learn("API.example.com.", [One, IpAddress.Parse("2001:db8::1")], 1, Start, TimeSpan.FromSeconds(60));
        engine.Names.Learn("www.example.com", [Two], 1, Start, TimeSpan.FromSeconds(60));
        PolicyUpdate update = Commit(engine);
        Assert.Empty(update.Endpoints);
        Assert.Equal(3, update.PrefixUpserts.Length);
        Assert.True(Allows(engine, One));
        Assert.True(Allows(engine, Two));
        Assert.True(Allows(engine, IpAddress.Parse("2001:db8::1")));
        Assert.Equal("fqdn:*.example.com,fqdn:api.example.com,reserved:world-ipv4", engine.FindIdentity(_ipcache[IpPrefix.Single(One)])!.Labels.ToString());
    }

    [Theory]
    [InlineData(5, 59, true)]
    [InlineData(5, 60, false)]
    [InlineData(90, 89, true)]
    [InlineData(90, 90, false)]
    public void Address_stays_for_the_minimal_time_even_if_its_answer_says_less(int ttl, int later, bool stays)
    {
        PolicyEngine engine = Engine(new FqdnOptions { MinimalTtl = TimeSpan.FromSeconds(60), IdleGrace = TimeSpan.Zero });
        engine.UpsertPolicy(Document("a", Name("example.com")));
        engine.Names.Learn("example.com", [One], 1, Start, TimeSpan.FromSeconds(ttl));
        Commit(engine);
        engine.Names.Expire(Start.AddSeconds(later), new HashSet<IpAddress>());
        Commit(engine);
        Assert.Equal(stays, Allows(engine, One));
    }

    [Fact]
    public void Addresses_with_the_same_names_share_an_identity()
    {
        PolicyEngine engine = Engine();
        engine.UpsertPolicy(Document("a", Name("example.com")));
        engine.Names.Learn("example.com", [.. Enumerable.Range(1, 300).Select(i => IpAddress.FromV4((uint)(0xC0000200 + i)))], 1, Start, TimeSpan.FromSeconds(60));
        Commit(engine);
        Assert.Equal(300, _ipcache.Count);
        Assert.Single(_ipcache.Values.Distinct());
    }

    [Fact]
    public void Names_known_before_the_rule_are_reachable_with_it()
    {
        PolicyEngine engine = Engine();
        engine.Names.Learn("example.com", [One], 1, Start, TimeSpan.FromSeconds(60));
        Assert.Empty(Commit(engine).PrefixUpserts);
        engine.UpsertPolicy(Document("a", Name("example.com")));
        Commit(engine);
        Assert.True(Allows(engine, One));
        engine.DeletePolicy(Document("a").Key);
        Commit(engine);
        Assert.Empty(_ipcache);
        engine.DropRetiredIdentities();
        Commit(engine);
        Assert.DoesNotContain(engine.Identities, i => i.Id.IsLocalCidr);
    }

    [Fact]
    public void Address_inside_a_block_is_reached_by_either_rule()
    {
        PolicyEngine engine = Engine();
        engine.UpsertPolicy(Document("a", Name("example.com")));
        engine.Names.Learn("example.com", [One], 1, Start, TimeSpan.FromSeconds(60));
        Commit(engine);
        SecurityIdentity alone = _ipcache[IpPrefix.Single(One)];
        engine.UpsertPolicy(Document("b", new CidrSelector(IpPrefix.Parse("192.0.2.0/24"))));
        PolicyUpdate update = Commit(engine);
        Assert.NotEqual(alone, _ipcache[IpPrefix.Single(One)]);
        Assert.Contains(update.Endpoints[0].Delta.Upserts, u => u.Key.Identity == _ipcache[IpPrefix.Single(One)]);
        Assert.True(PolicyEvaluator.Evaluate(engine.FindEndpoint(1)!, TrafficDirection.Egress, alone, L4Protocol.Tcp, 443).Allowed);
        engine.DeletePolicy(Document("a").Key);
        Commit(engine);
        Assert.Equal([IpPrefix.Parse("192.0.2.0/24")], _ipcache.Keys);
    }

    [Fact]
    public void Expired_address_stays_while_it_has_connections()
    {
        PolicyEngine engine = Engine(new FqdnOptions { IdleGrace = TimeSpan.FromSeconds(10) });
        engine.UpsertPolicy(Document("a", Name("example.com")));
        engine.Names.Learn("example.com", [One, Two], 1, Start, TimeSpan.FromSeconds(60));
        DateTimeOffset now = Start.AddSeconds(60);
        Assert.Equal([One, Two], engine.Names.Due(now).Order());
        engine.Names.Expire(now, new HashSet<IpAddress> { One });
        Commit(engine);
        Assert.True(Allows(engine, Two), "within the grace");
        now = Start.AddSeconds(70);
        engine.Names.Due(now);
        engine.Names.Expire(now, new HashSet<IpAddress> { One });
        Commit(engine);
        Assert.True(Allows(engine, One));
        Assert.False(Allows(engine, Two));
        Assert.True(Assert.Single(engine.Names.Entries).Lease.IsZombie);
        engine.Names.Learn("example.com", [One], 1, now, TimeSpan.FromSeconds(60));
        Assert.Empty(engine.Names.Due(now));
        now = Start.AddSeconds(130);
        engine.Names.Due(now);
        engine.Names.Expire(now, new HashSet<IpAddress>());
        Assert.NotEmpty(engine.Names.Entries);
        now = Start.AddSeconds(140);
        engine.Names.Due(now);
        engine.Names.Expire(now, new HashSet<IpAddress>());
        Assert.Empty(engine.Names.Entries);
    }

    [Fact]
    public void Bounds_remove_what_ends_first_and_what_no_rule_needs()
    {
        PolicyEngine engine = Engine(new FqdnOptions { MaximalAddressesPerName = 2, MaximalLeases = 10, MaximalZombies = 1 });
        engine.UpsertPolicy(Document("a", Name("*.example.com")));
        for (int i = 0; i < 4; i++)
            engine.Names.Learn("a.example.com", [IpAddress.FromV4(0xC0000200u + (uint)i)], 1, Start, TimeSpan.FromSeconds(60 + i));
        Assert.Equal(["192.0.2.2", "192.0.2.3"], engine.Names.Entries.Select(e => e.Address.ToString()).Order());
        for (int i = 0; i < 20; i++)
            engine.Names.Learn($"n{i}.example.net", [One], 1, Start, TimeSpan.FromHours(1));
        Assert.InRange(engine.Names.LeaseCount, 1, 10);
        Assert.Equal(2, engine.Names.Entries.Count(e => e.Name == "a.example.com"));
        Assert.True(engine.Names.Evicted >= 12);
        DateTimeOffset now = Start.AddSeconds(100);
        engine.Names.Expire(now, engine.Names.Due(now));
        Assert.Equal("192.0.2.3", Assert.Single(engine.Names.Entries, e => e.Name == "a.example.com").Address.ToString());
    }

    [Fact]
    public void Restored_addresses_share_their_number_and_stay_until_names_are_complete()
    {
        PolicyEngine engine = Engine();
        var number = new SecurityIdentity(SecurityIdentity.LocalCidrScope + 77);
        Assert.True(engine.RestoreNameIdentity(number, LabelSet.Parse("fqdn:example.com", "reserved:world-ipv4")));
        Assert.True(engine.RestorePrefix(IpPrefix.Single(One), number));
        Assert.True(engine.RestorePrefix(IpPrefix.Single(Two), number));
        engine.UpsertPolicy(Document("a", Name("example.com")));
        engine.Names.Learn("example.com", [Two], 1, Start, TimeSpan.FromSeconds(60));
        Commit(engine);
        Assert.True(Allows(engine, One));
        Assert.True(Allows(engine, Two));
        engine.ReleaseRestoredPrefixes();
        Commit(engine);
        Assert.False(Allows(engine, One));
        Assert.Equal(number, _ipcache[IpPrefix.Single(Two)]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    public void Every_address_is_reached_exactly_by_the_names_and_blocks_of_the_rules(int seed)
    {
        var random = new Random(seed);
        PolicyEngine engine = Engine(new FqdnOptions { Preallocate = seed % 2 == 0 });
        string[] names = [.. from a in new[] { "a", "b", "ab" } from d in new[] { "x.org", "y.x.org", "z.net" } select $"{a}.{d}"];
        string[] patterns = ["*", "*.x.org", "**.x.org", "a*.x.org", "*.net", "a.x.org", "ab.z.net", "*.y.x.org"];
        IpAddress[] addresses =
        [
            .. Enumerable.Range(0, 6).Select(i => IpAddress.FromV4(0xC0000200u + (uint)i * 40)), IpAddress.Parse("2001:db8::1"), IpAddress.Parse("2001:db8::2"),
        ];
        IpPrefix[] blocks = [.. new[] { "192.0.2.0/24", "192.0.2.0/25", "192.0.2.40/32", "2001:db8::/64", "0.0.0.0/0" }.Select(IpPrefix.Parse)];
        var model = new Dictionary<(string Name, IpAddress Address), int>();
        var policies = new Dictionary<string, IdentitySelector[]>();
        for (int now = 0; now < 400; now++)
        {
            int kind = random.Next(8);
            bool rulesChanged = kind < 2;
            switch (kind)
            {
                case 0:
                    string key = $"p{random.Next(4)}";
                    policies[key] = [.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => random.Next(3) == 0
                        ? (IdentitySelector)new CidrSelector(blocks[random.Next(blocks.Length)])
                        : Name(patterns[random.Next(patterns.Length)]))];
                    engine.UpsertPolicy(Document(key, policies[key]));
                    break;
                case 1:
                    string gone = $"p{random.Next(4)}";
                    policies.Remove(gone);
                    engine.DeletePolicy(Document(gone).Key);
                    break;
                case 2:
                    DateTimeOffset time = Start.AddSeconds(now);
                    HashSet<IpAddress> connected = [.. addresses.Where(_ => random.Next(3) == 0)];
                    Assert.Equal(
                        model.Where(m => m.Value <= now && policies.Values.Any(p => p.OfType<FqdnSelector>().Any(f => f.Pattern.Matches(m.Key.Name))))
                            .Select(m => m.Key.Address).Distinct().Order(),
                        engine.Names.Due(time).Order());
                    engine.Names.Expire(time, connected);
                    foreach ((string Name, IpAddress Address) lease in model.Where(m => m.Value <= now).Select(m => m.Key).ToArray())
                    {
                        bool used = policies.Values.Any(p => p.OfType<FqdnSelector>().Any(f => f.Pattern.Matches(lease.Name)));
                        if (!used || !connected.Contains(lease.Address))
                            model.Remove(lease);
                    }

                    break;
                case 3 when now % 5 == 0:
                    string forgotten = patterns[random.Next(patterns.Length)];
                    engine.Names.Forget(Pattern(forgotten));
                    foreach ((string Name, IpAddress Address) lease in model.Keys.Where(k => Pattern(forgotten).Matches(k.Name)).ToArray())
                        model.Remove(lease);
                    break;
                default:
                    string name = names[random.Next(names.Length)];
                    IpAddress[] answer = [.. addresses.Where(_ => random.Next(4) == 0)];
                    int ttl = random.Next(1, 60);
                    engine.Names.Learn(name, answer, 1, Start.AddSeconds(now), TimeSpan.FromSeconds(ttl));
                    foreach (IpAddress address in answer)
                        model[(name, address)] = Math.Max(model.GetValueOrDefault((name, address)), now + ttl);
                    break;
            }

            (IpAddress Address, SecurityIdentity Id)[] before = [.. addresses.Where(a => Allows(engine, a)).Select(a => (a, _ipcache[IpPrefix.Single(a)]))];
            Commit(engine);
            // Packets carry the old number until the ipcache is written.
            foreach ((IpAddress address, SecurityIdentity id) in before.Where(b => !rulesChanged && Allows(engine, b.Address)))
                Assert.True(PolicyEvaluator.Evaluate(engine.FindEndpoint(1)!, TrafficDirection.Egress, id, L4Protocol.Tcp, 443).Allowed, $"{address}");
            if (random.Next(2) == 0)
            {
                engine.DropRetiredIdentities();
                Assert.Empty(Commit(engine).PrefixUpserts);
            }

            Check(engine, model.Keys, policies, addresses);
        }
    }

    private void Check(
        PolicyEngine engine,
        IReadOnlyCollection<(string Name, IpAddress Address)> model,
        Dictionary<string, IdentitySelector[]> policies,
        IpAddress[] addresses)
    {
        IdentitySelector[] peers = [.. policies.Values.SelectMany(p => p)];
        Assert.Equal(model.Order(), engine.Names.Entries.Select(e => (e.Name, e.Address)).Order());
        var numbers = new Dictionary<string, SecurityIdentity>();
        foreach (IpAddress address in addresses)
        {
            string[] patterns =
            [
                .. peers.OfType<FqdnSelector>().Select(f => f.Pattern).Distinct()
                    .Where(p => model.Any(m => m.Address == address && p.Matches(m.Name))).Order().Select(p => p.Text),
            ];
            IpPrefix[] around = [.. peers.OfType<CidrSelector>().Select(c => c.Prefix).Where(p => p.Contains(address))];
            SecurityIdentity id = Find(address);
            if (patterns.Length > 0)
            {
                LabelSet labels = engine.FindIdentity(id)!.Labels;
                Assert.Equal(patterns, labels.Where(l => l.Source == "fqdn").Select(l => l.Key));
                Assert.True(numbers.TryAdd(labels.ToString(), id) || numbers[labels.ToString()] == id);
            }

            bool allowed = peers.Length == 0 || patterns.Length > 0 || around.Length > 0;
            Assert.Equal(allowed, PolicyEvaluator.Evaluate(engine.FindEndpoint(1)!, TrafficDirection.Egress, id, L4Protocol.Tcp, 443).Allowed);
        }
    }

    private SecurityIdentity Find(IpAddress address)
    {
        for (int length = address.BitCount; length > 0; length--)
        {
            if (_ipcache.TryGetValue(new IpPrefix(address, length), out SecurityIdentity id))
                return id;
        }

        return address.IsV6 ? SecurityIdentity.WorldIPv6 : SecurityIdentity.WorldIPv4;
    }

    [Fact]
    public void Patterns_of_a_name_are_those_that_match_it()
    {
        var random = new Random(7);
        string Labels(string letters, int most) => string.Join('.', Enumerable.Range(0, random.Next(1, most))
            .Select(_ => string.Concat(Enumerable.Range(0, random.Next(1, 3)).Select(_ => letters[random.Next(letters.Length)]))));
        PolicyEngine engine = Engine();
        IdentitySelector[] selectors = [.. Enumerable.Range(0, 300).Select(i => Name((i % 5 == 0 ? "**." : "") + Labels("ab*", 4))), Name("*")];
        engine.UpsertPolicy(Document("a", selectors));
        for (int i = 0; i < 300; i++)
        {
            string name = Labels("ab", 5);
            Assert.Equal(
                selectors.OfType<FqdnSelector>().Where(s => s.Pattern.Matches(name)).Select(s => s.Pattern.Text).Distinct().Order(),
                engine.Names.PatternsOf(name).Select(p => p.Pattern.Text).Order());
        }
    }
}
