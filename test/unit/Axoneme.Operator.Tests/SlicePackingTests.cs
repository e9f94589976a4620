// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Operator.Slices;

namespace Axoneme.Operator.Tests;

public sealed class SlicePackingTests
{
    private int _names;

    [Fact]
    public void Endpoints_fill_the_fullest_slice_of_their_namespace_that_has_room()
    {
        SlicePacking packing = New(capacity: 2);
        foreach (string name in (string[])["a/1", "a/2", "a/3", "b/1"])
            packing.Upsert(Endpoint(name, 100));
        Assert.Equal(["s1 a: 1=100 2=100", "s2 a: 3=100", "s3 b: 1=100"], Take(packing));
        packing.Remove(Name("a/1"));
        packing.Upsert(Endpoint("a/4", 100));
        Assert.Single(Take(packing), c => c.Contains("4=100", StringComparison.Ordinal));
        packing.Remove(Name("b/1"));
        Assert.Equal(["s3 b: gone"], Take(packing));
    }

    [Fact]
    public void What_does_not_change_is_not_written()
    {
        SlicePacking packing = New();
        packing.Upsert(Endpoint("a/1", 100));
        Take(packing);
        packing.Upsert(Endpoint("a/1", 100));
        Assert.Empty(Take(packing));
        packing.Upsert(Endpoint("a/1", 101));
        Assert.Equal(["s1 a: 1=101"], Take(packing));
    }

    [Fact]
    public void A_restart_moves_nothing_and_removes_double_mentions_and_empty_slices()
    {
        SlicePacking packing = New(capacity: 2);
        packing.Adopt(Slice("ces-x", "a", "1", "2"));
        packing.Adopt(Slice("ces-y", "a", "2", "3"));
        packing.Adopt(Slice("ces-z", "a"));
        foreach (string name in (string[])["a/1", "a/2", "a/3"])
            packing.Upsert(Endpoint(name, 100));
        Assert.Equal(["ces-y a: 3=100", "ces-z a: gone"], Take(packing));
        Assert.Equal(3, packing.Count);
    }

    [Fact]
    public void What_could_not_be_written_comes_again_and_priorities_come_first()
    {
        SlicePacking packing = New();
        packing.Upsert(Endpoint("a/1", 100));
        packing.Upsert(Endpoint("b/1", 100));
        SliceChange first = Assert.Single(packing.TakeChanges(1, space => space == "b"));
        Assert.Equal("b", first.Namespace);
        packing.PutBack(first);
        Assert.Equal(["s1 a: 1=100", "s2 b: 1=100"], Take(packing));
    }

    [Theory]
    [InlineData(5, 10, 20)]
    [InlineData(100, 50, 100)]
    [InlineData(5000, 50, 100)]
    public void Larger_clusters_may_write_more(int nodes, double limit, int burst)
        => Assert.Equal((limit, burst), (SliceLimits.Default.For(nodes).Limit, SliceLimits.Default.For(nodes).Burst));

    [Fact]
    public void Limits_are_bounded_and_read_from_json()
    {
        var limits = SliceLimits.Parse("""[{"nodes":0,"limit":1000,"burst":5000},{"nodes":10,"limit":7.5,"burst":8}]""");
        Assert.Equal(new SliceLimit(0, 50, 100), limits.For(3));
        Assert.Equal(new SliceLimit(10, 7.5, 8), limits.For(11));
        Assert.Throws<FormatException>(() => SliceLimits.Parse("""[{"nodes":0}]"""));
        Assert.Throws<FormatException>(() => SliceLimits.Parse("10"));
    }

    private SlicePacking New(int capacity = 100) => new(capacity, () => $"s{++_names}");

    private static List<string> Take(SlicePacking packing) => [.. packing.TakeChanges(100, _ => false)
        .Select(c => $"{c.Name} {c.Namespace}: {(c.Content is null ? "gone" : string.Join(' ', c.Content.Endpoints!.Select(e => $"{e.Name}={e.Id}")))}").Order(StringComparer.Ordinal)];

    private static ResourceName Name(string text) => new(text.Split('/')[0], text.Split('/')[1]);

    private static CiliumEndpoint Endpoint(string name, int identity) => new()
    {
        Metadata = new ObjectMeta { Namespace = Name(name).Namespace, Name = Name(name).Name },
        Status = new EndpointStatus { Identity = new EndpointIdentity { Id = identity } },
    };

    private static CiliumEndpointSlice Slice(string name, string space, params string[] endpoints) => new()
    {
        Metadata = new ObjectMeta { Name = name },
        Namespace = space,
        Endpoints = [.. endpoints.Select(e => new CoreCiliumEndpoint { Name = e, Id = 100 })],
    };
}
