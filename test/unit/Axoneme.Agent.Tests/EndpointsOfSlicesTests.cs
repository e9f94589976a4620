// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Cluster;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Tables;

namespace Axoneme.Agent.Tests;

public sealed class EndpointsOfSlicesTests
{
    private readonly Table<ResourceName, CiliumEndpoint> _table = ResourceTable.Create(Kinds.CiliumEndpoints);
    private readonly EndpointsOfSlices _slices;

    public EndpointsOfSlicesTests() => _slices = new EndpointsOfSlices(_table);

    private string Present => string.Join(' ', _table.Snapshot().Values.Select(e => $"{e.ResourceName}={e.Status!.Identity!.Id}").Order(StringComparer.Ordinal));

    [Fact]
    public void Endpoints_come_and_go_with_their_slices()
    {
        _slices.Replace([Slice("x", ("web", 1), ("db", 2)), Slice("y", ("cache", 3))], new HashSet<ResourceName>());
        Assert.Equal("shop/cache=3 shop/db=2 shop/web=1", Present);
        Assert.False(_table.IsInitialized);
        _slices.Initialized();
        Assert.True(_table.IsInitialized);
        Change(Slice("x", ("web", 4)));
        Assert.Equal("shop/cache=3 shop/web=4", Present);
        _slices.Change([new WatchEvent<CiliumEndpointSlice>(WatchEventType.Deleted, new ResourceName("x"), "9")]);
        Assert.Equal("shop/cache=3", Present);
        _slices.Replace([], new HashSet<ResourceName> { new("y") });
        Assert.Equal("shop/cache=3", Present);
    }

    [Fact]
    public void An_endpoint_in_two_slices_stays_until_it_has_left_both()
    {
        Change(Slice("x", ("web", 1)));
        Change(Slice("y", ("web", 1)));
        Change(Slice("x"));
        Assert.Equal("shop/web=1", Present);
        Change(Slice("y"));
        Assert.Equal("", Present);
    }

    [Fact]
    public void A_change_of_one_endpoint_is_no_change_of_the_others_in_its_slice()
    {
        Change(Slice("x", ("web", 1), ("db", 2)));
        long db = _table.Snapshot().RevisionOf(new ResourceName("shop", "db"));
        Change(Slice("x", ("web", 9), ("db", 2)));
        Assert.Equal(db, _table.Snapshot().RevisionOf(new ResourceName("shop", "db")));
        Assert.Equal("shop/db=2 shop/web=9", Present);
    }

    private void Change(CiliumEndpointSlice slice)
        => _slices.Change([new WatchEvent<CiliumEndpointSlice>(WatchEventType.Modified, slice.ResourceName, "1", slice)]);

    private static CiliumEndpointSlice Slice(string name, params (string Name, int Identity)[] endpoints) => new()
    {
        Metadata = new ObjectMeta { Name = name },
        Namespace = "shop",
        Endpoints = [.. endpoints.Select(e => new CoreCiliumEndpoint { Name = e.Name, Id = e.Identity, PodUid = $"u-{e.Name}" })],
    };
}
