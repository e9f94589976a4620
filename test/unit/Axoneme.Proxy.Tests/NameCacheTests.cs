// SPDX-License-Identifier: Apache-2.0
using Axoneme.Dns;
using Axoneme.DnsProxy;
using Axoneme.Network;
using Axoneme.Proxy.Names;
using static Axoneme.Proxy.Tests.Text;

namespace Axoneme.Proxy.Tests;

public sealed class NameCacheTests
{
    private static readonly SecurityIdentity Www = new(0x0100_0001), Any = new(0x0100_0002), Both = new(0x0100_0003);

    private readonly ManualTime _time = new();
    private readonly FakeTable _table = new();
    private readonly List<Learned> _announced = [];
    private readonly NameCache _cache;

    public NameCacheTests()
    {
        _cache = new NameCache(_time, _table) { Announce = Take };
        _cache.Select(Selectors());
    }

    [Fact]
    public void A_name_that_no_selector_wants_is_not_kept()
    {
        _cache.SetPresence(AgentPresence.Present);
        Assert.Equal(0, Learn("www.other", "192.0.2.1"));
        Assert.Empty(_announced);
        Assert.Empty(Mappings());
    }

    [Fact]
    public void An_answer_waits_for_the_agent_while_an_address_is_new()
    {
        _cache.SetPresence(AgentPresence.Present);
        long id = Learn("www.example", "192.0.2.1", "192.0.2.2");
        Assert.NotEqual(0, id);
        Learned learned = Assert.Single(_announced);
        Assert.Equal((id, "www.example", 60), (learned.Id, learned.Mappings[0].Name, learned.Mappings[0].Ttl));
        Assert.Equal([Ip("192.0.2.1"), Ip("192.0.2.2")], learned.Mappings[0].Addresses);
        Assert.Equal(id, Learn("www.example", "192.0.2.2"));
        _cache.Acknowledge([id]);
        Assert.Equal(0, Learn("www.example", "192.0.2.1"));
        Assert.Single(_announced);
        Assert.Empty(_table.Entries);
    }

    [Fact]
    public void An_address_whose_time_was_over_is_new()
    {
        _cache.SetPresence(AgentPresence.Present);
        _cache.Acknowledge([Learn("www.example", "192.0.2.1")]);
        _time.Advance(61);
        Assert.NotEqual(0, Learn("www.example", "192.0.2.1"));
    }

    [Fact]
    public void Each_endpoint_learns_for_itself()
    {
        _cache.SetPresence(AgentPresence.Present);
        _cache.Acknowledge([Learn("www.example", "192.0.2.1")]);
        Assert.NotEqual(0, _cache.Learn(8, "www.example", [Ip("192.0.2.1")], 60));
        _cache.RemoveEndpoint(7);
        Assert.All(Mappings(), m => Assert.Equal(8, m.Endpoint));
    }

    [Fact]
    public void Without_an_agent_a_new_address_gets_the_identity_of_its_set()
    {
        Assert.Equal(0, Learn("www.example", "192.0.2.1"));
        Assert.Equal(0, Learn("mail.example", "192.0.2.2"));
        Assert.Equal(Both, _table.Entries[Ip("192.0.2.1")]);
        Assert.Equal(Any, _table.Entries[Ip("192.0.2.2")]);
        Assert.Empty(_announced);
    }

    [Fact]
    public void An_address_with_names_of_several_sets_gets_the_identity_of_their_union()
    {
        Learn("mail.example", "192.0.2.1");
        Assert.Equal(Any, _table.Entries[Ip("192.0.2.1")]);
        Learn("www.example", "192.0.2.1");
        Assert.Equal(Both, _table.Entries[Ip("192.0.2.1")]);
    }

    [Fact]
    public void What_others_gave_an_identity_or_a_policy_covers_is_left_alone()
    {
        _table.Entries[Ip("10.0.0.1")] = new SecurityIdentity(5000);
        Learn("www.example", "10.0.0.1", "198.51.100.1");
        Assert.Equal(new SecurityIdentity(5000), Assert.Single(_table.Entries).Value);
        Assert.Equal(0, _cache.UnwrittenAddresses);
    }

    [Fact]
    public void A_set_without_identity_and_a_full_map_are_counted()
    {
        _cache.Select(new SelectorDirectory([new SelectorSet(default, [Pattern("*.example")])], []));
        Learn("www.example", "192.0.2.1");
        Assert.Equal(1, _cache.UnwrittenAddresses);
        _cache.Select(Selectors());
        _table.IsFull = true;
        Learn("www.example", "192.0.2.2");
        Assert.Equal(2, _cache.UnwrittenAddresses);
    }

    [Fact]
    public void What_was_written_is_an_agents_once_it_takes_over()
    {
        Learn("www.example", "192.0.2.1");
        _cache.SetPresence(AgentPresence.Starting);
        Learn("www.example", "192.0.2.2");
        Assert.Equal(0, Assert.Single(_announced).Id);
        Assert.Equal([Ip("192.0.2.1"), Ip("192.0.2.2")], _cache.SnapshotWritten().Written.Select(w => w.Address).Order());
        _cache.SetPresence(AgentPresence.Present);
        Assert.Empty(_cache.SnapshotWritten().Written);
    }

    [Fact]
    public void What_an_agent_did_not_come_to_is_done_for_it_when_it_goes()
    {
        _cache.SetPresence(AgentPresence.Present);
        Assert.NotEqual(0, Learn("www.example", "192.0.2.1"));
        _cache.SetPresence(AgentPresence.Absent);
        Assert.Equal(Both, _table.Entries[Ip("192.0.2.1")]);
        Assert.Equal(0, Learn("www.example", "192.0.2.1"));
    }

    [Fact]
    public void When_the_agent_reads_nothing_the_proxy_helps_itself()
    {
        _cache.Announce = _ => false;
        _cache.SetPresence(AgentPresence.Present);
        Assert.Equal(0, Learn("www.example", "192.0.2.1"));
        Assert.Equal(Both, _table.Entries[Ip("192.0.2.1")]);
    }

    [Fact]
    public void Answers_with_nothing_new_are_told_once_a_while()
    {
        _cache.SetPresence(AgentPresence.Present);
        _cache.Acknowledge([Learn("www.example", "192.0.2.1")]);
        _time.Advance(10);
        for (int i = 0; i < 5; i++)
            Learn("www.example", "192.0.2.1");
        LearnedName again = Assert.Single(Assert.Single(_cache.TakeRefreshed()).Mappings);
        Assert.Equal((1_000_010, 60), (again.LookupTime, again.Ttl));
        Assert.Empty(_cache.TakeRefreshed());
        Assert.Equal(1_000_070, Assert.Single(Mappings()).Expires);
    }

    [Fact]
    public void The_minimal_ttl_applies()
    {
        _cache.Configure(new ProxyOptions { MinimalTtlSeconds = 3600 });
        Learn("www.example", "192.0.2.1");
        Assert.Equal(3600, Assert.Single(Mappings()).Ttl);
    }

    [Fact]
    public void A_hundred_thousand_names_of_one_pod_push_out_those_not_used_for_the_longest_time()
    {
        _cache.Configure(new ProxyOptions { MaximalNamesPerEndpoint = 1000 });
        Learn("www.example", "192.0.2.1");
        for (int i = 0; i < 100_000; i++)
        {
            Learn($"n{i}.example", "192.0.2.2");
            if (i % 500 == 0)
                Learn("www.example", "192.0.2.1");
        }

        string[] names = [.. Mappings().Select(m => m.Name)];
        Assert.Equal(1000, names.Length);
        Assert.Contains("www.example", names);
        Assert.Contains("n99999.example", names);
        Assert.DoesNotContain("n0.example", names);
        Assert.Equal(99_001, _cache.EvictedNames);
    }

    [Fact]
    public void Names_that_take_much_memory_push_out_those_not_used_for_the_longest_time()
    {
        const int Limit = 1 << 20;
        _cache.Configure(new ProxyOptions { MaximalBytesPerEndpoint = Limit });
        IpAddress[] many = [.. Enumerable.Range(0, 500).Select(i => Ip($"198.18.{i / 250}.{i % 250}"))];
        for (int i = 0; i < 200; i++)
        {
            _cache.Learn(7, $"n{i}.example", many, 60);
            Learn("www.example", "192.0.2.1");
            Assert.InRange(_cache.Size.Bytes, 1, Limit);
        }

        string[] names = [.. Mappings().Select(m => m.Name).Distinct()];
        Assert.Equal(["n199.example", "www.example"], names.Intersect(["n0.example", "n199.example", "www.example"]));
        Assert.Equal((names.Length, 201 - names.Length), (_cache.Size.Names, _cache.EvictedNames));
        _cache.Forget(DnsPattern.Everything, null);
        Assert.Equal((0, 0), _cache.Size);
    }

    [Fact]
    public void Memory_of_all_is_taken_from_the_endpoint_with_the_most()
    {
        const int Limit = 1 << 20;
        _cache.Configure(new ProxyOptions { MaximalBytes = Limit });
        _cache.Learn(8, "mail.example", [Ip("192.0.2.1")], 60);
        for (int i = 0; i < 10_000; i++)
            Learn($"n{i}.example", "192.0.2.2");
        _cache.Learn(9, "mail.example", [Ip("192.0.2.1")], 60);
        Assert.InRange(_cache.Size.Bytes, Limit / 2, Limit);
        Assert.Equal([8, 9], Mappings().Where(m => m.Name == "mail.example").Select(m => (int)m.Endpoint).Order());
        Assert.Contains(Mappings(), m => m.Name == "n9999.example");
        Assert.DoesNotContain(Mappings(), m => m.Name == "n0.example");
    }

    [Fact]
    public void Addresses_that_have_expired_take_no_memory()
    {
        _cache.SetPresence(AgentPresence.Present);
        Learn("www.example", "192.0.2.1");
        long before = _cache.Size.Bytes;
        _cache.Learn(7, "www.example", [.. Enumerable.Range(0, 500).Select(i => Ip($"198.18.{i / 250}.{i % 250}"))], 5);
        _time.Advance(30);
        _cache.Sweep();
        Assert.Equal((1, before), _cache.Size);
    }

    [Fact]
    public void The_addresses_of_a_name_that_expire_first_go_first()
    {
        _cache.Configure(new ProxyOptions { MaximalAddressesPerName = 2 });
        _cache.Learn(7, "www.example", [Ip("192.0.2.1")], 10);
        _cache.Learn(7, "www.example", [Ip("192.0.2.2")], 30);
        _cache.Learn(7, "www.example", [Ip("192.0.2.3")], 20);
        Assert.Equal([Ip("192.0.2.2"), Ip("192.0.2.3")], Mappings().Select(m => m.Address).Order());
        Assert.Equal(1, _cache.EvictedAddresses);
    }

    [Fact]
    public void Expired_addresses_stay_until_an_agent_can_judge_them()
    {
        Learn("www.example", "192.0.2.1");
        _time.Advance(100);
        _cache.Sweep();
        Assert.Single(Mappings());
        _cache.SetPresence(AgentPresence.Present);
        _cache.Sweep();
        Assert.Empty(Mappings());
    }

    [Fact]
    public void Names_that_nobody_wants_any_more_go()
    {
        _cache.SetPresence(AgentPresence.Present);
        Learn("www.example", "192.0.2.1");
        _cache.Select(SelectorDirectory.Empty);
        _cache.Sweep();
        Assert.Empty(Mappings());
    }

    [Fact]
    public void Names_are_forgotten_by_pattern_and_endpoint()
    {
        Learn("www.example", "192.0.2.1");
        Learn("mail.example", "192.0.2.2");
        _cache.Forget(Pattern("www.*"), 8);
        Assert.Equal(2, Mappings().Count());
        _cache.Forget(Pattern("www.*"), null);
        Assert.Equal("mail.example", Assert.Single(Mappings()).Name);
        _cache.Forget(DnsPattern.Everything, 7);
        Assert.Empty(Mappings());
    }

    [Fact]
    public void A_cache_that_was_restored_is_the_same()
    {
        Learn("www.example", "192.0.2.1", "192.0.2.2");
        _cache.Learn(8, "mail.example", [Ip("2001:db8::1")], 5);
        var again = new NameCache(_time, _table);
        again.Select(Selectors());
        foreach (CacheContents contents in _cache.Snapshot())
            again.Restore(contents);
        again.Restore(_cache.SnapshotWritten());
        Assert.Equal(Mappings(), again.Snapshot().SelectMany(c => c.Mappings));
        Assert.Equal(_cache.SnapshotWritten().Written, again.SnapshotWritten().Written);
        Assert.NotEmpty(again.SnapshotWritten().Written);
        again.SetPresence(AgentPresence.Present);
        Assert.Equal(0, again.Learn(7, "www.example", [Ip("192.0.2.1")], 60));
    }

    [Fact]
    public void Known_names_are_learned_again_without_allocation()
    {
        IpAddress[] addresses = [Ip("192.0.2.1"), Ip("192.0.2.2")];
        _cache.Learn(7, "www.example", addresses, 60);
        _cache.Learn(7, "www.example", addresses, 60);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
            _cache.Learn(7, "www.example", addresses, 60);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    // "*.example" and "www.example": whatever is called www.example has both.
    private static SelectorDirectory Selectors() => new(
        [
            new SelectorSet(Www, [Pattern("www.example")]),
            new SelectorSet(Any, [Pattern("*.example")]),
            new SelectorSet(Both, [Pattern("www.example"), Pattern("*.example")]),
        ],
        [IpPrefix.Parse("198.51.100.0/24")]);

    private bool Take(Learned learned)
    {
        _announced.Add(learned);
        return true;
    }

    private long Learn(string name, params string[] addresses) => _cache.Learn(7, name, [.. addresses.Select(Ip)], 60);

    private IEnumerable<CachedMapping> Mappings() => _cache.Snapshot().SelectMany(c => c.Mappings);
}
