// SPDX-License-Identifier: Apache-2.0
using System.Reflection;
using System.Runtime.InteropServices;

namespace Axoneme.Bpf.KernelTests;

public sealed class RingBufferTests : IDisposable
{
    private static readonly byte[] Packet = [.. new byte[12], 0x08, 0x00, .. new byte[50]];
    private readonly BpfObject _object = BpfObjectImage.FromResource(Assembly.GetExecutingAssembly(), "sample").Open();

    public RingBufferTests() => _object.Load();

    public void Dispose() => _object.Dispose();

    [Fact]
    public void Records_arrive_in_order_past_the_end_of_the_ring()
    {
        using var reader = new RingBufferReader(_object.Map("sample_ring"));
        var seen = new List<uint>();
        // A 4096-byte ring holds 170 records of 12 bytes; this goes round it many times.
        for (uint i = 0; i < 1000; i++)
        {
            Emit(i);
            if (i % 100 == 99)
            {
                reader.Drain((_, record) =>
                {
                    ReadOnlySpan<uint> words = MemoryMarshal.Cast<byte, uint>(record);
                    Assert.Equal((Packet.Length, 0xabcd, 3), ((int)words[0], (int)words[1], words.Length));
                    seen.Add(words[2]);
                });
            }
        }

        Assert.Equal(Enumerable.Range(0, 1000).Select(i => (uint)i), seen);
        Assert.Equal(0, reader.GetBacklog(0).Unread);
    }

    [Fact]
    public void Discarded_records_are_counted_and_not_delivered()
    {
        using var reader = new RingBufferReader(_object.Map("sample_ring"));
        Emit(1);
        Emit(2, discard: true);
        Emit(3);
        var seen = new List<uint>();
        Assert.Equal(3, reader.Drain((_, record) => seen.Add(MemoryMarshal.Cast<byte, uint>(record)[2])));
        Assert.Equal([1u, 3u], seen);
        Assert.Equal(1, reader.Discarded);
    }

    [Fact]
    public void Full_ring_shows_in_the_backlog_and_the_program_counts_what_found_no_room()
    {
        using var reader = new RingBufferReader(_object.Map("sample_ring"));
        for (uint i = 0; i < 300; i++)
            Emit(i);
        (long unread, long size) = reader.GetBacklog(0);
        Assert.True(size - unread < 24, $"{unread} of {size}");
        using var counters = _object.Map("sample_counters").As<uint, ulong>();
        Assert.True(counters.TryLookup(3, out ulong lost));
        Assert.Equal(300ul, lost + (ulong)reader.Drain((_, _) => { }));
    }

    [Fact]
    public void Sleeping_reader_wakes_for_a_record_and_stops_on_cancellation()
    {
        using BpfMap second = BpfMap.Create(new BpfMapSpec("other_ring", BpfMapType.RingBuffer, 0, 0, 4096));
        using var reader = new RingBufferReader(second, _object.Map("sample_ring"));
        using var stop = new CancellationTokenSource();
        using var arrived = new SemaphoreSlim(0);
        int ringOfRecord = -1;
        var thread = new Thread(() => reader.Run((ring, _) =>
        {
            ringOfRecord = ring;
            arrived.Release();
        }, stop.Token));
        thread.Start();
        for (uint i = 0; i < 5; i++)
        {
            Emit(i);
            Assert.True(arrived.Wait(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken));
        }

        stop.Cancel();
        Assert.True(thread.Join(TimeSpan.FromSeconds(10)));
        Assert.Equal(1, ringOfRecord);
    }

    [Fact]
    public void Another_type_of_map_is_no_ring()
        => Assert.Throws<ArgumentException>(() => new RingBufferReader(_object.Map("sample_counters")));

    private void Emit(uint number, bool discard = false)
    {
        SkBuffContext context = new() { Priority = number, Mark = discard ? 1u : 0 };
        _object.Program("emit").TestRun(Packet, default, ref context);
    }
}
