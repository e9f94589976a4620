// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using System.Text.Json;
using Axoneme.Dns;
using Axoneme.DnsProxy;
using Axoneme.Network;
using Axoneme.Proxy.Sockets;

namespace Axoneme.Proxy.Serving;

/// <summary>One line of the <see cref="QueryLog"/>.</summary>
internal ref struct QueryLine
{
    public long Time;
    public ushort Endpoint;
    public SocketAddress Client;
    public SocketAddress Server;
    public L4Protocol Protocol;
    public SecurityIdentity ServerIdentity;

    /// <summary>Text of ASCII, empty for the root.</summary>
    public ReadOnlySpan<char> Name;
    public ushort QueryType;
    public QueryOutcome Outcome;
    public DnsRcode? Rcode;
    public long Latency;
}

/// <summary>
/// Records of questions, written as the JSON of <see cref="QueryRecord"/> at once, so that none of them costs an object. One worker writes, one reader takes
/// what there is from time to time; what does not fit meanwhile is counted.
/// </summary>
internal sealed class QueryLog : IDisposable
{
    private const int BufferBytes = 256 * 1024;
    private const int MaximalAddresses = 64;

    // 64 addresses of 48 bytes, 17 names of 1,020, and the rest.
    private const int MaximalRecordBytes = 24 * 1024;
    private const int MaximalRecords = 1000;

    private readonly Lock _lock = new();
    private readonly FixedBuffer _current = new(BufferBytes);
    private readonly Utf8JsonWriter _writer;
    private readonly byte[] _nameText = new byte[DnsName.MaximalTextBytes];
    private int _records;
    private long _lost;

    public QueryLog() => _writer = new Utf8JsonWriter(_current, new JsonWriterOptions { SkipValidation = true });

    /// <summary>False: nobody wants records.</summary>
    public volatile bool IsOn;

    public void Add(in QueryLine line, AnswerContents? answer = null, ReadOnlySpan<byte> message = default)
    {
        if (!IsOn)
            return;
        lock (_lock)
        {
            if (_records == MaximalRecords || _current.Free < MaximalRecordBytes)
            {
                _lost++;
                return;
            }

            if (_records++ > 0)
                _current.Append((byte)',');
            _writer.Reset();
            Write(line, answer, message);
            _writer.Flush();
        }
    }

    /// <summary>Appends the records so far, with commas between them; returns their number.</summary>
    public int Take(IBufferWriter<byte> destination, bool isFirst, out long lost)
    {
        lock (_lock)
        {
            lost = _lost;
            int records = _records;
            _lost = _records = 0;
            if (records > 0)
            {
                if (!isFirst)
                    destination.Write(","u8);
                destination.Write(_current.Written);
            }

            _current.Clear();
            return records;
        }
    }

    public void Dispose() => _writer.Dispose();

    private void Write(in QueryLine line, AnswerContents? answer, ReadOnlySpan<byte> message)
    {
        _writer.WriteStartObject();
        _writer.WriteNumber("time"u8, line.Time);
        _writer.WriteNumber("endpoint"u8, line.Endpoint);
        Write("client"u8, line.Client, line.Protocol);
        Write("server"u8, line.Server, line.Protocol);
        _writer.WriteNumber("serverIdentity"u8, line.ServerIdentity.Value);
        _writer.WriteString("name"u8, line.Name.IsEmpty ? "." : line.Name);
        _writer.WriteNumber("queryType"u8, line.QueryType);
        _writer.WriteString("outcome"u8, NameOf(line.Outcome));
        if (line.Rcode is { } rcode)
            _writer.WriteNumber("rcode"u8, (int)rcode);
        _writer.WriteNumber("latency"u8, line.Latency);
        if (answer is not null)
            Write(answer, message);
        _writer.WriteEndObject();
    }

    private void Write(AnswerContents answer, ReadOnlySpan<byte> message)
    {
        _writer.WriteNumber("ttl"u8, answer.Ttl);
        _writer.WriteStartArray("answerTypes"u8);
        foreach (ushort type in answer.Types)
            _writer.WriteNumberValue(type);
        _writer.WriteEndArray();
        Span<byte> text = stackalloc byte[AddressText.MaximalBytes];
        _writer.WriteStartArray("addresses"u8);
        foreach (IpAddress address in answer.Addresses[..Math.Min(MaximalAddresses, answer.Addresses.Length)])
            _writer.WriteStringValue(text[..AddressText.Write(address, text)]);
        _writer.WriteEndArray();
        _writer.WriteStartArray("cnames"u8);
        foreach (int offset in answer.AliasOffsets)
        {
            int at = offset;
            if (DnsName.TryRead(message, ref at, _nameText, out int length))
                _writer.WriteStringValue(_nameText.AsSpan(0, length));
        }

        _writer.WriteEndArray();
    }

    private void Write(ReadOnlySpan<byte> property, in SocketAddress address, L4Protocol protocol)
    {
        Span<byte> text = stackalloc byte[AddressText.MaximalBytes];
        _writer.WriteStartObject(property);
        _writer.WriteString("address"u8, text[..AddressText.Write(address.Address, text)]);
        _writer.WriteNumber("port"u8, address.Port);
        _writer.WriteString("protocol"u8, protocol == L4Protocol.Tcp ? "Tcp"u8 : "Udp"u8);
        _writer.WriteEndObject();
    }

    private static ReadOnlySpan<byte> NameOf(QueryOutcome outcome) => outcome switch
    {
        QueryOutcome.Answered => "Answered"u8,
        QueryOutcome.Refused => "Refused"u8,
        QueryOutcome.TimedOut => "TimedOut"u8,
        QueryOutcome.Overloaded => "Overloaded"u8,
        _ => "Failed"u8,
    };

    private sealed class FixedBuffer(int capacity) : IBufferWriter<byte>
    {
        private readonly byte[] _bytes = new byte[capacity];
        private int _length;

        public int Free => capacity - _length;

        public ReadOnlySpan<byte> Written => _bytes.AsSpan(0, _length);

        public void Append(byte b) => _bytes[_length++] = b;

        public void Clear() => _length = 0;

        public void Advance(int count) => _length += count;

        public Memory<byte> GetMemory(int sizeHint = 0) => _bytes.AsMemory(_length);

        public Span<byte> GetSpan(int sizeHint = 0) => _bytes.AsSpan(_length);
    }
}

/// <summary>Addresses as text without the objects that System.Net makes on the way.</summary>
internal static class AddressText
{
    public const int MaximalBytes = 39;

    /// <summary>Dotted decimal, or eight groups without abbreviation, which every reader takes. Returns the length.</summary>
    public static int Write(IpAddress address, Span<byte> text)
    {
        int at = 0;
        UInt128 number = address.Number;
        int groups = address.IsV6 ? 8 : 4, bits = address.IsV6 ? 16 : 8;
        for (int i = groups - 1; i >= 0; i--)
        {
            uint group = (uint)(number >> (i * bits)) & ((1u << bits) - 1);
            System.Buffers.Text.Utf8Formatter.TryFormat(group, text[at..], out int written, address.IsV6 ? new StandardFormat('x') : default);
            at += written;
            if (i > 0)
                text[at++] = address.IsV6 ? (byte)':' : (byte)'.';
        }

        return at;
    }
}
