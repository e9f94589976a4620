// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Bpf;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.DatapathPlatform.Tests;

/// <summary>Endpoints with one policy have one map, and nobody's policy changes because another endpoint's does.</summary>
public sealed class SharedPolicyTests : IDisposable
{
    private readonly TestNode _test = new();
    private readonly DatapathMaps _maps;
    private uint _revision;

    public SharedPolicyTests()
    {
        _test.MountBpf();
        _maps = DatapathMaps.OpenOrCreate(_test.Paths, _test.Options.MapSizes, new DatapathReport());
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _maps.Dispose();
        _test.Dispose();
    }

    [Fact]
    public async Task Endpoints_with_one_policy_share_a_map_that_changes_for_all_of_them()
    {
        var target = new PolicyTarget(_maps);
        PolicyMapEntryCollection first = Ports(80, 443);
        await ApplyAsync(target, first, 1, 2, 3);
        uint shared = MapOf(1);
        Assert.Equal([shared, shared, shared], new ushort[] { 1, 2, 3 }.Select(MapOf));
        Assert.All(new ushort[] { 1, 2, 3 }, endpoint => Assert.Equal(shared, PinOf(endpoint)));

        PolicyMapEntryCollection second = first.With([Port(8080)], [Port(80).Key]);
        await ApplyAsync(target, second, 1, 2, 3);
        Assert.Equal([shared, shared, shared], new ushort[] { 1, 2, 3 }.Select(MapOf));
        Assert.All(new ushort[] { 1, 2, 3 }, endpoint => AssertHas(target, endpoint, 443, 8080));

        // One that comes later finds what is there already.
        await ApplyAsync(target, second, 4);
        Assert.Equal(shared, MapOf(4));
    }

    [Fact]
    public async Task Endpoint_that_goes_another_way_leaves_the_others_what_they_have()
    {
        var target = new PolicyTarget(_maps);
        PolicyMapEntryCollection common = Ports(80, 443);
        await ApplyAsync(target, common, 1, 2, 3);
        uint shared = MapOf(1);
        await ApplyAsync(target, common.With([Port(22)], []), 2);
        Assert.NotEqual(shared, MapOf(2));
        AssertHas(target, 2, 22, 80, 443);
        Assert.All(new ushort[] { 1, 3 }, endpoint => AssertHas(target, endpoint, 80, 443));

        // The map goes with its last endpoint, and not before.
        target.Remove(1);
        AssertHas(target, 3, 80, 443);
        target.Remove(3);
        Assert.False(Exists(shared));
        AssertHas(target, 2, 22, 80, 443);
    }

    [Fact]
    public async Task Two_groups_of_one_round_never_write_to_the_same_map()
    {
        var target = new PolicyTarget(_maps);
        PolicyMapEntryCollection one = Ports(1);
        await ApplyAsync(target, one, 1);
        await ApplyAsync(target, Ports(2), 2);
        // The second endpoint joins the map that the first one leaves in the same round.
        await ApplyAsync(target, Policy(2, one), Policy(1, one.With([Port(9)], [])));
        AssertHas(target, 1, 1, 9);
        AssertHas(target, 2, 1);
        Assert.NotEqual(MapOf(1), MapOf(2));
    }

    [Fact]
    public async Task Restart_finds_who_shares_a_map_and_changes_it_for_nobody_else()
    {
        PolicyMapEntryCollection before = Ports(80, 443);
        await ApplyAsync(new PolicyTarget(_maps), before, 1, 2, 3);
        var restarted = new PolicyTarget(_maps);
        IReadOnlyDictionary<ushort, EndpointPolicy> actual = await restarted.ReadActualAsync(Cancellation);
        Assert.Equal(new ushort[] { 1, 2, 3 }, actual.Keys.Order());
        Assert.All(actual.Values, policy => Assert.True(policy.Entries.HasSameEntries(before)));

        // Without having looked first, as for a command that comes before the reconciler's check.
        var hasty = new PolicyTarget(_maps);
        await ApplyAsync(hasty, Ports(80), 1);
        AssertHas(hasty, 1, 80);
        Assert.All(new ushort[] { 2, 3 }, endpoint => AssertHas(hasty, endpoint, 80, 443));
    }

    [Fact]
    public async Task Agent_killed_between_pin_and_slot_repairs_that_and_disturbs_nobody()
    {
        PolicyMapEntryCollection common = Ports(80, 443);
        await ApplyAsync(new PolicyTarget(_maps), common, 1, 2);
        uint shared = MapOf(1);
        // Endpoint 2 was to leave: its pin is the new map's already, its slot still the old one's.
        File.Delete(_test.Paths.PolicyMap(2));
        using (BpfMap next = BpfMap.Create(Maps.CiliumPolicyMaps.Spec.Inner! with { Name = "next", MaxEntries = _maps.PolicyEntries }))
            next.Pin(_test.Paths.PolicyMap(2));

        var restarted = new PolicyTarget(_maps);
        Assert.Equal([(ushort)1], (await restarted.ReadActualAsync(Cancellation)).Keys);
        await ApplyAsync(restarted, Ports(22), 1);
        Assert.Equal(shared, MapOf(2));
        using (BpfMap<PolicyKey, PolicyEntry> old = BpfMap.OpenById(shared).As<PolicyKey, PolicyEntry>())
            Assert.Equal([80, 443], old.Entries().Select(e => (int)e.Key.Port.Value).Order());
        await ApplyAsync(restarted, Ports(8080), 2);
        AssertHas(restarted, 1, 22);
        AssertHas(restarted, 2, 8080);
    }

    [Fact]
    public async Task Slot_that_somebody_else_emptied_is_filled_and_pinned_again()
    {
        var target = new PolicyTarget(_maps);
        PolicyMapEntryCollection common = Ports(80, 443);
        await ApplyAsync(target, common, 1, 2);
        new PolicyTarget(_maps).Remove(2);
        Assert.Null(target.Read(2));
        await ApplyAsync(target, common, 2);
        AssertHas(target, 2, 80, 443);
        Assert.Equal(MapOf(1), MapOf(2));
    }

    [Fact]
    public async Task What_others_wrote_into_a_map_is_found_and_put_right_for_all_its_endpoints()
    {
        var target = new PolicyTarget(_maps);
        PolicyMapEntryCollection common = Ports(80, 443);
        await ApplyAsync(target, common, 1, 2);
        using (BpfMap<PolicyKey, PolicyEntry> map = BpfMap.OpenById(MapOf(1)).As<PolicyKey, PolicyEntry>())
            map.TryDelete(map.Entries().First().Key);
        IReadOnlyDictionary<ushort, EndpointPolicy> actual = await target.ReadActualAsync(Cancellation);
        Assert.All(actual.Values, policy => Assert.False(target.IsSame(Policy(policy.EndpointId, common), policy)));
        await ApplyAsync(target, common, 1, 2);
        Assert.All(new ushort[] { 1, 2 }, endpoint => AssertHas(target, endpoint, 80, 443));
    }

    /// <summary>Random moves of endpoints among policies, in random rounds, with restarts: each endpoint has what it was last given.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Every_endpoint_has_what_it_was_last_given(int seed)
    {
        var random = new Random(seed);
        var target = new PolicyTarget(_maps);
        var expected = new Dictionary<ushort, PolicyMapEntryCollection>();
        PolicyMapEntryCollection[] policies = [Ports(1), Ports(2, 3), Ports(4, 5, 6)];
        for (int round = 0; round < 60; round++)
        {
            int changed = random.Next(policies.Length);
            policies[changed] = policies[changed].With(
                [Port((ushort)random.Next(1, 12))], policies[changed].Keys.Where(_ => random.Next(3) == 0).ToArray());
            EndpointPolicy[] values = [.. Enumerable.Range(1, 8).Where(_ => random.Next(2) == 0)
                .Select(id => Policy((ushort)id, policies[random.Next(policies.Length)]))];
            await ApplyAsync(target, values);
            foreach (EndpointPolicy value in values)
                expected[value.EndpointId] = value.Entries;
            if (random.Next(6) == 0 && expected.Count > 0)
            {
                ushort gone = expected.Keys.ElementAt(random.Next(expected.Count));
                target.Remove(gone);
                expected.Remove(gone);
            }

            if (random.Next(8) == 0)
                target = new PolicyTarget(_maps);
            if (random.Next(8) == 0)
                Assert.Equal(expected.Keys.Order(), (await target.ReadActualAsync(Cancellation)).Keys.Order());
            foreach ((ushort endpoint, PolicyMapEntryCollection entries) in expected)
                Assert.True(entries.HasSameEntries(target.Read(endpoint)!.Entries), $"seed {seed}, round {round}, endpoint {endpoint}");
        }

        foreach (ushort endpoint in expected.Keys)
            target.Remove(endpoint);
        Assert.Empty(target.PinnedEndpoints());
    }

    private static PolicyMapEntry Port(ushort port) => new(new(TrafficDirection.Ingress, new(300), L4Protocol.Tcp, port, 16));

    private static PolicyMapEntryCollection Ports(params ushort[] ports) => PolicyMapEntryCollection.Of(ports.Select(Port));

    private EndpointPolicy Policy(ushort endpoint, PolicyMapEntryCollection entries) => new(endpoint, ++_revision) { IngressEnforced = true, Entries = entries };

    private Task ApplyAsync(PolicyTarget target, PolicyMapEntryCollection entries, params ushort[] endpoints)
        => ApplyAsync(target, [.. endpoints.Select(endpoint => Policy(endpoint, entries))]);

    private static async Task ApplyAsync(PolicyTarget target, params EndpointPolicy[] policies)
    {
        var failures = new ReconcileFailures<ushort>();
        await target.ApplyAsync(policies, failures, Cancellation);
        Assert.Equal(0, failures.Count);
    }

    private static void AssertHas(PolicyTarget target, ushort endpoint, params int[] ports)
        => Assert.Equal(ports, target.Read(endpoint)!.Entries.Keys.Select(key => (int)key.Port).Order());

    private uint MapOf(ushort endpoint)
    {
        uint slot = endpoint;
        uint id = 0;
        Assert.True(_maps.PolicyMaps.TryLookup(MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in slot)), MemoryMarshal.AsBytes(new Span<uint>(ref id))));
        return id;
    }

    private uint PinOf(ushort endpoint)
    {
        using BpfMap map = BpfMap.OpenPinned(_test.Paths.PolicyMap(endpoint));
        return map.Id;
    }

    // The kernel frees a map some time after its last user has gone.
    private static bool Exists(uint id)
    {
        return !SpinWait.SpinUntil(
            () =>
            {
                try
                {
                    BpfMap.OpenById(id).Dispose();
                    return false;
                }
                catch (SystemCallException)
                {
                    return true;
                }
            },
            TimeSpan.FromSeconds(10));
    }
}
