// SPDX-License-Identifier: Apache-2.0
using Axoneme.Linux;

namespace Axoneme.Bpf.KernelTests;

public sealed class MapTests : IDisposable
{
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    [Theory]
    [InlineData(BpfMapType.Hash, BpfMapFlags.None)]
    [InlineData(BpfMapType.Hash, BpfMapFlags.NoPreallocation)]
    [InlineData(BpfMapType.LruHash, BpfMapFlags.NoCommonLru)]
    public void Entries_come_back_as_they_were_written(BpfMapType type, BpfMapFlags flags)
    {
        using var map = BpfMap.Create(new BpfMapSpec("roundtrip", type, 4, 8, 1024, flags)).As<uint, ulong>();
        map.Update(1, 10);
        map.Update(2, 20);
        Assert.True(map.TryLookup(1, out ulong value));
        Assert.Equal(10ul, value);
        Assert.False(map.TryLookup(3, out _));
        Assert.True(map.TryDelete(1));
        Assert.False(map.TryDelete(1));
        Assert.Equal([new KeyValuePair<uint, ulong>(2, 20)], map.Entries());
    }

    [Fact]
    public void Update_mode_decides_about_existing_entries()
    {
        using var map = BpfMap.Create(new BpfMapSpec("modes", BpfMapType.Hash, 4, 4, 8)).As<uint, uint>();
        Assert.False(map.TryUpdate(1, 1, BpfUpdateMode.Exist));
        Assert.True(map.TryUpdate(1, 1, BpfUpdateMode.NoExist));
        Assert.False(map.TryUpdate(1, 2, BpfUpdateMode.NoExist));
        var failure = Assert.Throws<SystemCallException>(() => map.Update(1, 2, BpfUpdateMode.NoExist));
        Assert.Equal(Errno.EEXIST, failure.Errno);
        Assert.True(map.TryLookup(1, out uint value));
        Assert.Equal(1u, value);
    }

    [Theory]
    [InlineData(BpfMapType.Hash, BpfMapFlags.None)]
    [InlineData(BpfMapType.LpmTrie, BpfMapFlags.NoPreallocation)]
    public void Batches_write_and_delete_everything_whether_or_not_the_kernel_has_them_for_the_type(
        BpfMapType type, BpfMapFlags flags)
    {
        const int Count = 3000;
        using var map = BpfMap.Create(new BpfMapSpec("batch", type, 8, 4, Count, flags)).As<ulong, int>();
        // For the trie: prefix length 32 in the low half, the address in the high half.
        ulong[] keys = Enumerable.Range(0, Count).Select(i => 32ul | ((ulong)i << 32)).ToArray();
        int[] values = Enumerable.Range(0, Count).ToArray();
        map.UpdateBatch(keys, values);
        Assert.Equal(values.Sum(), map.Entries().Sum(entry => entry.Value));
        Assert.Equal(Count, map.Entries().DistinctBy(entry => entry.Key).Count());
        Assert.True(map.TryDelete(keys[1]));
        map.DeleteBatch(keys.AsSpan(0, Count - 1));
        Assert.Equal([keys[^1]], map.Entries().Select(entry => entry.Key));
    }

    [Fact]
    public void Full_map_fails_a_batch_with_the_errno_and_keeps_what_fitted()
    {
        using var map = BpfMap.Create(new BpfMapSpec("small", BpfMapType.Hash, 4, 4, 10)).As<int, int>();
        int[] numbers = Enumerable.Range(0, 20).ToArray();
        Assert.Equal(Errno.E2BIG, Assert.Throws<SystemCallException>(() => map.UpdateBatch(numbers, numbers)).Errno);
        Assert.Equal(10, map.Entries().Count());
    }

    [Theory]
    [InlineData(BpfMapType.Hash, BpfMapFlags.None)]
    [InlineData(BpfMapType.LpmTrie, BpfMapFlags.NoPreallocation)]
    public void Walk_sees_each_lasting_entry_once_while_others_are_deleted(BpfMapType type, BpfMapFlags flags)
    {
        const int Count = 4000;
        using var map = BpfMap.Create(new BpfMapSpec("walk", type, 8, 4, Count, flags)).As<ulong, int>();
        ulong[] keys = Enumerable.Range(0, Count).Select(i => 32ul | ((ulong)i << 32)).ToArray();
        map.UpdateBatch(keys, new int[Count]);
        ulong[] lasting = keys.Where((_, i) => i % 2 == 0).ToArray();
        var doomed = new Queue<ulong>(keys.Where((_, i) => i % 2 == 1));
        var seen = new List<ulong>();
        foreach (KeyValuePair<ulong, int> entry in map.Entries())
        {
            seen.Add(entry.Key);
            // Deleting the entry just seen, and another one, is what makes a naive walk start over.
            if (entry.Key >> 32 is var number && number % 2 == 1)
                map.TryDelete(entry.Key);
            if (doomed.TryDequeue(out ulong other))
                map.TryDelete(other);
        }

        Assert.Equal(seen.Count, seen.Distinct().Count());
        Assert.Empty(lasting.Except(seen));
    }

    [Fact]
    public void Longest_prefix_wins()
    {
        using var map = BpfMap.Create(new BpfMapSpec("lpm", BpfMapType.LpmTrie, 8, 4, 16, BpfMapFlags.NoPreallocation))
            .As<ulong, uint>();
        static ulong Key(int length, byte a, byte b, byte c, byte d)
            => (uint)length | ((ulong)(a | b << 8 | c << 16 | d << 24) << 32);
        map.Update(Key(8, 10, 0, 0, 0), 8);
        map.Update(Key(24, 10, 1, 2, 0), 24);
        Assert.True(map.TryLookup(Key(32, 10, 1, 2, 3), out uint inner));
        Assert.True(map.TryLookup(Key(32, 10, 9, 9, 9), out uint outer));
        Assert.Equal((24u, 8u), (inner, outer));
        Assert.False(map.TryLookup(Key(32, 11, 0, 0, 1), out _));
    }

    [Fact]
    public void Per_cpu_values_of_odd_size_come_back_for_each_processor()
    {
        using var map = BpfMap.Create(new BpfMapSpec("percpu", BpfMapType.PerCpuHash, 4, 2, 8))
            .AsPerCpu<uint, ushort>();
        ushort[] values = Enumerable.Range(100, ProcessorSet.PossibleCount).Select(i => (ushort)i).ToArray();
        map.Update(5, values);
        ushort[] read = new ushort[values.Length];
        Assert.True(map.TryLookup(5, read));
        Assert.Equal(values, read);
        Assert.Equal(values, Assert.Single(map.Entries()).Value);
    }

    [Fact]
    public void Map_of_maps_hands_out_the_map_that_was_put_in()
    {
        var inner = new BpfMapSpec("inner", BpfMapType.Hash, 4, 4, 8);
        using BpfMap outer = BpfMap.Create(new BpfMapSpec("outer", BpfMapType.ArrayOfMaps, 4, 4, 4) { Inner = inner });
        using BpfMap first = BpfMap.Create(inner);
        outer.SetInner(BitConverter.GetBytes(2), first);
        using BpfMap? read = outer.TryOpenInner(BitConverter.GetBytes(2));
        Assert.Equal(first.Id, read?.Id);
        Assert.Null(outer.TryOpenInner(BitConverter.GetBytes(1)));
    }

    [Fact]
    public void Pinned_map_that_differs_is_refused_with_every_difference()
    {
        string path = _sandbox.Pin("table");
        using (BpfMap old = BpfMap.Create(
            new BpfMapSpec("table", BpfMapType.Hash, 4, 4, 16, BpfMapFlags.NoPreallocation)))
            old.Pin(path);
        var declared = new BpfMapSpec("table", BpfMapType.LruHash, 8, 12, 32);
        var failure = Assert.Throws<BpfMapMismatchException>(() => BpfMap.OpenOrCreatePinned(declared, path));
        Assert.Equal(5, failure.Differences.Count);
        foreach (string attribute in (string[])["type", "key size", "value size", "max entries", "flags"])
            Assert.Contains(failure.Differences, text => text.StartsWith(attribute, StringComparison.Ordinal));
        Assert.Contains(path, failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Pinned_map_of_other_maps_is_refused_with_the_inner_differences()
    {
        string path = _sandbox.Pin("tries");
        var spec = new BpfMapSpec("tries", BpfMapType.ArrayOfMaps, 4, 4, 100)
        {
            Inner = new BpfMapSpec("trie", BpfMapType.LpmTrie, 8, 4, 64, BpfMapFlags.NoPreallocation),
        };
        using BpfMap old = BpfMap.OpenOrCreatePinned(spec, path);
        using BpfMap inner = BpfMap.Create(spec.Inner with { MaxEntries = 32 });
        old.SetInner(BitConverter.GetBytes(42), inner);
        BpfMap.OpenOrCreatePinned(spec, path).Dispose();
        BpfMapSpec wider = spec with { Inner = spec.Inner with { KeySize = 12, ValueSize = 16 } };
        var failure = Assert.Throws<BpfMapMismatchException>(() => BpfMap.OpenOrCreatePinned(wider, path));
        Assert.Equal(
            ["inner key size: declared 12, pinned 8", "inner value size: declared 16, pinned 4"], failure.Differences);
    }

    [Fact]
    public void Map_that_the_kernel_rounded_fits_its_own_declaration()
    {
        // With one processor nothing is rounded, and the test shows only that equal is equal.
        uint odd = ((uint)ProcessorSet.PossibleCount * 10) - 1;
        var spec = new BpfMapSpec("rounded", BpfMapType.LruHash, 4, 4, odd, BpfMapFlags.NoCommonLru);
        using BpfMap created = BpfMap.OpenOrCreatePinned(spec, _sandbox.Pin("rounded"));
        using BpfMap opened = BpfMap.OpenOrCreatePinned(spec, _sandbox.Pin("rounded"));
        Assert.Equal(created.Id, opened.Id);
        Assert.Equal(0u, created.Spec.MaxEntries % (uint)ProcessorSet.PossibleCount);
    }

    [Fact]
    public void Racing_openers_get_one_map()
    {
        var spec = new BpfMapSpec("raced", BpfMapType.Hash, 4, 4, 8);
        uint[] ids = new uint[16];
        Parallel.For(0, ids.Length, i =>
        {
            using BpfMap map = BpfMap.OpenOrCreatePinned(spec, _sandbox.Pin("raced"));
            ids[i] = map.Id;
        });
        Assert.Single(ids.Distinct());
    }

    [Fact]
    public void Typed_view_of_another_size_is_refused_and_leaks_nothing()
    {
        BpfMap map = BpfMap.Create(new BpfMapSpec("sizes", BpfMapType.Hash, 4, 4, 8));
        string message = Assert.Throws<ArgumentException>(() => map.As<uint, ulong>()).Message;
        Assert.Contains("sizes", message, StringComparison.Ordinal);
        Assert.True(map.Handle.IsClosed);
    }

    [Fact]
    public void Hot_paths_allocate_nothing()
    {
        using var map = BpfMap.Create(new BpfMapSpec("hot", BpfMapType.Hash, 4, 8, 8)).As<uint, ulong>();
        void Work()
        {
            map.Update(1, 2);
            map.TryLookup(1, out _);
            map.TryDelete(1);
        }

        Work();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
            Work();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}
