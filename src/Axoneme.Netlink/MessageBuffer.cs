// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Axoneme.Network;

namespace Axoneme.Netlink;

/// <summary>Writes netlink messages one after the other into a buffer that is used again. Integers are in host order.</summary>
internal sealed class MessageBuffer
{
    private byte[] _bytes = new byte[1024];
    private int _length;
    private int _message;

    public ReadOnlySpan<byte> Bytes => _bytes.AsSpan(0, _length);

    public int Length => _length;

    public void Clear() => _length = 0;

    /// <summary>Starts a message; <see cref="EndMessage"/> fills in its length.</summary>
    public void BeginMessage<T>(ushort type, ushort flags, in T header)
        where T : unmanaged
    {
        _message = _length;
        var common = new NlMsgHdr { Type = type, Flags = flags };
        MemoryMarshal.Write(Reserve(NlMsgHdr.Size), in common);
        MemoryMarshal.Write(Reserve(Align(Marshal.SizeOf<T>())), in header);
    }

    public void EndMessage() => MemoryMarshal.Write(_bytes.AsSpan(_message), (uint)(_length - _message));

    /// <summary>Sets the sequence number of the message that starts at <paramref name="offset"/>; returns where the next one starts.</summary>
    public int Number(int offset, uint sequence)
    {
        MemoryMarshal.Write(_bytes.AsSpan(offset + 8), sequence);
        return offset + Align((int)MemoryMarshal.Read<uint>(_bytes.AsSpan(offset)));
    }

    public void Add(ushort type, ReadOnlySpan<byte> value) => value.CopyTo(Attribute(type, value.Length));

    public void AddFlag(ushort type) => Attribute(type, 0);

    public void AddByte(ushort type, byte value) => Attribute(type, 1)[0] = value;

    public void AddUInt16BigEndian(ushort type, ushort value)
        => BinaryPrimitives.WriteUInt16BigEndian(Attribute(type, 2), value);

    public void AddInt32(ushort type, int value) => MemoryMarshal.Write(Attribute(type, 4), value);

    public void AddUInt32(ushort type, uint value) => MemoryMarshal.Write(Attribute(type, 4), value);

    public void AddAddress(ushort type, IpAddress address) => address.WriteBytes(Attribute(type, address.ByteCount));

    public void AddMac(ushort type, MacAddress address) => address.WriteBytes(Attribute(type, MacAddress.ByteCount));

    public void AddString(ushort type, string value)
    {
        // The terminating zero counts; Attribute() has cleared it.
        Span<byte> bytes = Attribute(type, Encoding.UTF8.GetByteCount(value) + 1);
        Encoding.UTF8.GetBytes(value, bytes);
    }

    /// <summary>Opens a nested attribute; give the result to <see cref="EndNested"/>.</summary>
    public int BeginNested(ushort type)
    {
        int start = _length;
        Attribute((ushort)(type | AttributeFlags.NLA_F_NESTED), 0);
        return start;
    }

    public void EndNested(int start) => MemoryMarshal.Write(_bytes.AsSpan(start), (ushort)(_length - start));

    /// <summary>Appends raw bytes without an attribute header, such as the ifinfomsg of a veth's peer.</summary>
    public void AddRaw<T>(in T value)
        where T : unmanaged
        => MemoryMarshal.Write(Reserve(Align(Marshal.SizeOf<T>())), in value);

    private Span<byte> Attribute(ushort type, int length)
    {
        Span<byte> bytes = Reserve(Align(4 + length));
        MemoryMarshal.Write(bytes, (ushort)(4 + length));
        MemoryMarshal.Write(bytes[2..], type);
        return bytes.Slice(4, length);
    }

    private Span<byte> Reserve(int length)
    {
        if (_length + length > _bytes.Length)
            Array.Resize(ref _bytes, Math.Max(_bytes.Length * 2, _length + length));
        Span<byte> bytes = _bytes.AsSpan(_length, length);
        bytes.Clear();
        _length += length;
        return bytes;
    }

    private static int Align(int length) => (length + 3) & ~3;
}
