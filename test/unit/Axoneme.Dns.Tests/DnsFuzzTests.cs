// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;

namespace Axoneme.Dns.Tests;

/// <summary>Whatever comes is a message or malformed, and nothing beyond its end is read: it lies before a page that cannot be touched.</summary>
public sealed partial class DnsFuzzTests
{
    private const int Packets = 1_000_000;
    private const int MaximalLength = 600;

    [Fact]
    public void A_million_random_and_damaged_messages_are_read_or_refused()
    {
        byte[][] originals =
        [
            Tests.Packets.Query(), Tests.Packets.QueryWithEdns(), Tests.Packets.Chain(), Tests.Packets.Service(),
            Tests.Packets.Query("", DnsType.Ns),
            Tests.Packets.Query(string.Join('.', Enumerable.Repeat("abcdefg", 31))),
        ];
        var random = new Random(4711);
        using var memory = new GuardedMemory(MaximalLength);
        byte[] name = new byte[DnsName.MaximalTextBytes];
        byte[] reply = new byte[MaximalLength + DnsReply.Overhead];
        int readable = 0;
        for (int i = 0; i < Packets; i++)
        {
            Span<byte> packet = memory.Last(Fill(random, originals, memory, i));
            if (Exercise(packet, name, reply))
                readable++;
        }

        // A fuzzer that never gets past the first check proves nothing.
        Assert.InRange(readable, Packets / 20, Packets);
    }

    [Fact]
    public void Reading_allocates_nothing()
    {
        byte[] message = Tests.Packets.Chain(), service = Tests.Packets.Service();
        byte[] name = new byte[DnsName.MaximalTextBytes], reply = new byte[MaximalLength];
        Exercise(message, name, reply);
        Exercise(service, name, reply);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            Exercise(message, name, reply);
            Exercise(service, name, reply);
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void Random_names_survive_the_way_through_the_wire()
    {
        var random = new Random(42);
        byte[] wire = new byte[300], again = new byte[300], text = new byte[DnsName.MaximalTextBytes];
        for (int i = 0; i < 20_000; i++)
        {
            int length = 0;
            for (int labels = random.Next(8); labels > 0; labels--)
            {
                int label = random.Next(1, 30);
                wire[length] = (byte)label;
                random.NextBytes(wire.AsSpan(length + 1, label));
                length += label + 1;
            }

            wire[length++] = 0;
            int offset = 0;
            Assert.True(DnsName.TryRead(wire.AsSpan(0, length), ref offset, text, out int textLength));
            Assert.Equal(length, offset);
            Assert.Equal(length, DnsName.Write(Encoding.ASCII.GetString(text, 0, textLength), again));
            for (int at = 0; at < length; at++)
                Assert.Equal(Lower(wire[at], IsLength(wire, at)), again[at]);
        }
    }

    // Every second is a damaged message, of the others most have a plausible header: noise alone fails at once.
    private static int Fill(Random random, byte[][] originals, GuardedMemory memory, int turn)
    {
        if (turn % 2 == 0)
        {
            int size = random.Next(0, turn % 16 == 0 ? MaximalLength : 80);
            Span<byte> noise = memory.Last(size);
            random.NextBytes(noise);
            if (size > 12 && turn % 4 == 0)
                ((ReadOnlySpan<byte>)[0, 1, 0, 1, 0, 1, 0, 1]).CopyTo(noise[4..]);
            return size;
        }

        byte[] original = originals[random.Next(originals.Length)];
        int length = random.Next(4) == 0 ? random.Next(original.Length + 1) : original.Length;
        Span<byte> damaged = memory.Last(length);
        original.AsSpan(0, length).CopyTo(damaged);
        for (int flips = random.Next(4); flips > 0 && length > 0; flips--)
            damaged[random.Next(length)] = random.Next(3) == 0 ? (byte)(0xC0 | random.Next(4)) : (byte)random.Next(256);
        return length;
    }

    private static bool Exercise(Span<byte> packet, byte[] name, byte[] reply)
    {
        if (DnsHeader.TryRead(packet, out DnsHeader header))
            DnsReply.WriteFormatError(header, reply);
        if (!DnsQuestion.TryRead(packet, name, out DnsQuestion question))
            return false;
        if (question.End > packet.Length || question.NameLength > DnsName.MaximalTextBytes)
            throw new InvalidOperationException("The question leaves its message.");
        bool whole = question.TryReadEdns(packet, out DnsEdns? edns);
        DnsReply.Write(packet, question, edns, DnsRcode.Refused, reply);
        var answer = new DnsAnswer(packet, question);
        while (answer.TryNext(out ushort type, out int offset, out int length))
        {
            if (offset + length > packet.Length)
                throw new InvalidOperationException("A record leaves its message.");
            if (type == DnsType.Cname && !DnsName.TryRead(packet, ref offset, name, out _))
                throw new InvalidOperationException("An alias that was whole cannot be read.");
            if (type is DnsType.Svcb or DnsType.Https && !AreHintsWithin(packet, offset, length))
                throw new InvalidOperationException("A hint leaves its record.");
        }

        if (whole && packet.Length <= reply.Length)
        {
            packet.CopyTo(reply);
            DnsReply.Truncate(reply.AsSpan(0, packet.Length), question, edns);
        }

        return whole;
    }

    private static bool AreHintsWithin(Span<byte> packet, int offset, int length)
        => DnsServiceBinding.TryRead(packet, offset, length, out DnsServiceBinding binding)
            && binding.V4.Offset + binding.V4.Length <= offset + length && binding.V6.Offset + binding.V6.Length <= offset + length;

    private static bool IsLength(byte[] wire, int at)
    {
        int label = 0;
        while (label < at && wire[label] != 0)
            label += wire[label] + 1;
        return label == at;
    }

    private static byte Lower(byte b, bool isLength) => !isLength && b is >= (byte)'A' and <= (byte)'Z' ? (byte)(b | 0x20) : b;

    // Memory whose end is the end of a page that is followed by one without access: one byte too far ends the process.
    private sealed unsafe partial class GuardedMemory : IDisposable
    {
        private const int PageBytes = 4096;
        private readonly byte* _pages;
        private readonly int _capacity;

        public GuardedMemory(int capacity)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(capacity, PageBytes);
            _capacity = capacity;
            // PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS.
            nint mapped = mmap(0, 2 * PageBytes, 3, 0x22, -1, 0);
            if (mapped == -1 || mprotect(mapped + PageBytes, PageBytes, 0) != 0)
                throw new InvalidOperationException("No guarded memory.");
            _pages = (byte*)mapped;
        }

        public Span<byte> Last(int length)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(length, _capacity);
            return new Span<byte>(_pages + PageBytes - length, length);
        }

        public void Dispose() => _ = munmap((nint)_pages, 2 * PageBytes);

        [LibraryImport("libc", SetLastError = true)]
        private static partial nint mmap(nint address, nuint length, int protection, int flags, int fd, nint offset);

        [LibraryImport("libc", SetLastError = true)]
        private static partial int mprotect(nint address, nuint length, int protection);

        [LibraryImport("libc", SetLastError = true)]
        private static partial int munmap(nint address, nuint length);
    }
}
