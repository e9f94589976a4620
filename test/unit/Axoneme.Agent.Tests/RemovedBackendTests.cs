// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Sockets;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.Agent.Tests;

public sealed class RemovedBackendTests
{
    private static readonly L4Address Dns = At("10.96.0.10", 53);
    private static readonly L4Address One = At("10.244.1.5", 5353);
    private static readonly L4Address Two = At("10.244.2.5", 5353);

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_backend_that_a_frontend_loses_is_told_after_the_write()
    {
        var writer = new Writer();
        var removed = new RemovedBackends(writer);
        await ApplyAsync(removed, Service(Dns, One, Two));
        Task<IReadOnlySet<L4Address>> taken = removed.TakeAsync(Cancelled);
        writer.BeforeWrite = () => Assert.False(taken.IsCompleted);
        await ApplyAsync(removed, Service(Dns, Two));
        Assert.Equal([One], await taken);
        Assert.False(removed.Serves(Dns, One));
        Assert.True(removed.Serves(Dns, Two));
    }

    [Fact]
    public async Task Of_very_many_backends_only_those_that_left_are_told()
    {
        L4Address[] all = [.. Enumerable.Range(1, 20_000).Select(i => new L4Address(IpAddress.FromV4(0x0A000000 + (uint)i), 53, L4Protocol.Udp))];
        var removed = new RemovedBackends(new Writer());
        await ApplyAsync(removed, Service(Dns, all));
        await ApplyAsync(removed, Service(Dns, [.. all.Where((_, i) => i % 5000 != 7)]));
        Assert.Equal([all[7], all[5007], all[10_007], all[15_007]], (await removed.TakeAsync(Cancelled)).Order());
    }

    [Fact]
    public async Task Losing_the_service_is_losing_all_its_backends()
    {
        var removed = new RemovedBackends(new Writer());
        await ApplyAsync(removed, Service(Dns, One, Two));
        await removed.DeleteAsync([new ServiceMapKey(Dns)], new ReconcileFailures<ServiceMapKey>(), Cancelled);
        Assert.Equal([One, Two], (await removed.TakeAsync(Cancelled)).Order());
    }

    [Fact]
    public async Task Backends_that_went_while_no_agent_ran_are_told()
    {
        var removed = new RemovedBackends(new Writer { Present = { [new ServiceMapKey(Dns)] = Service(Dns, One, Two) } });
        await removed.ReadActualAsync(Cancelled);
        await ApplyAsync(removed, Service(Dns, Two));
        Assert.Equal([One], await removed.TakeAsync(Cancelled));
    }

    [Fact]
    public async Task A_write_that_failed_removes_nothing()
    {
        var writer = new Writer();
        var removed = new RemovedBackends(writer);
        await ApplyAsync(removed, Service(Dns, One));
        writer.Failure = "the map is full";
        await ApplyAsync(removed, Service(Dns, Two));
        Assert.True(removed.Serves(Dns, One));
        writer.Failure = null;
        await ApplyAsync(removed, Service(Dns, Two));
        Assert.Equal([One], await removed.TakeAsync(Cancelled));
    }

    [Fact]
    public async Task Either_scope_of_a_frontend_keeps_a_backend_in_service()
    {
        var removed = new RemovedBackends(new Writer());
        var inside = new ServiceMapEntry(new ServiceMapKey(Dns, LbScope.Internal)) { Backends = [new BackendMapEntry(One)] };
        await ApplyAsync(removed, Service(Dns, One), inside);
        await ApplyAsync(removed, Service(Dns, Two));
        Assert.Equal([One], await removed.TakeAsync(Cancelled));
        Assert.True(removed.Serves(Dns, One));
    }

    [Fact]
    public async Task A_node_port_of_another_node_is_known_by_its_port()
    {
        var removed = new RemovedBackends(new Writer());
        await ApplyAsync(removed, Service(At("0.0.0.0", 30053), One));
        Assert.True(removed.Serves(At("172.30.0.12", 30053), One));
        Assert.False(removed.Serves(At("172.30.0.12", 30053), Two));
        Assert.False(removed.Serves(At("172.30.0.12", 30054), One));
    }

    [Fact]
    public async Task A_redirect_policy_leaves_connections_alone_and_its_end_does_not()
    {
        var removed = new RemovedBackends(new Writer());
        await ApplyAsync(removed, Service(Dns, One));
        await ApplyAsync(removed, Service(Dns, Two) with { Flags2 = LbFlags2.LocalRedirect });
        await ApplyAsync(removed, Service(Dns, One));
        Assert.Equal([Two], await removed.TakeAsync(Cancelled));
    }

    private static L4Address At(string address, ushort port) => new(IpAddress.Parse(address), port, L4Protocol.Udp);

    private static ServiceMapEntry Service(L4Address frontend, params ReadOnlySpan<L4Address> backends)
        => new(new ServiceMapKey(frontend)) { Backends = [.. backends.ToArray().Select(address => new BackendMapEntry(address))] };

    private static async Task ApplyAsync(RemovedBackends target, params ServiceMapEntry[] services)
        => await target.ApplyAsync(services, new ReconcileFailures<ServiceMapKey>(), Cancelled);

    private sealed class Writer : IReconcileTarget<ServiceMapKey, ServiceMapEntry>
    {
        public Dictionary<ServiceMapKey, ServiceMapEntry> Present { get; } = [];

        public Action BeforeWrite { get; set; } = static () => { };

        public string? Failure { get; set; }

        public ValueTask ApplyAsync(
            IReadOnlyList<ServiceMapEntry> values, ReconcileFailures<ServiceMapKey> failures, CancellationToken cancellationToken)
        {
            BeforeWrite();
            foreach (ServiceMapEntry service in values)
            {
                if (Failure is null)
                    Present[service.Key] = service;
                else
                    failures.Add(service.Key, Failure);
            }

            return ValueTask.CompletedTask;
        }

        public ValueTask DeleteAsync(
            IReadOnlyList<ServiceMapKey> keys, ReconcileFailures<ServiceMapKey> failures, CancellationToken cancellationToken)
        {
            foreach (ServiceMapKey key in keys)
                Present.Remove(key);
            return ValueTask.CompletedTask;
        }

        public ValueTask<IReadOnlyDictionary<ServiceMapKey, ServiceMapEntry>> ReadActualAsync(CancellationToken cancellationToken)
            => ValueTask.FromResult<IReadOnlyDictionary<ServiceMapKey, ServiceMapEntry>>(Present);
    }
}
