// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;

namespace Axoneme.Dns;

public enum DnsSection : byte
{
    Answer,
    Authority,
    Additional,
}

/// <summary>Where a record lies in its message.</summary>
/// <param name="Section">It stands in.</param>
/// <param name="Type">See <see cref="DnsType"/>.</param>
/// <param name="Class">1 is the Internet; of OPT, the largest UDP message that the sender takes.</param>
/// <param name="Ttl">Seconds, at most 2^31-1 (RFC 2181, 8); of OPT, the raw extended code, version and flags.</param>
/// <param name="NameOffset">Of the owner's name.</param>
/// <param name="DataOffset">Of the data.</param>
/// <param name="DataLength">Bytes, within the message.</param>
public readonly record struct DnsRecord(
    DnsSection Section, ushort Type, ushort Class, uint Ttl, int NameOffset, int DataOffset, int DataLength);

/// <summary>Goes through the records behind the question, without allocation.</summary>
public ref struct DnsRecordReader
{
    private const int FixedBytes = 10;

    private readonly ReadOnlySpan<byte> _message;
    private int _answers;
    private int _authorities;
    private int _additionals;

    /// <param name="message">The whole message.</param>
    /// <param name="header">Of the message.</param>
    /// <param name="offset">Behind the questions.</param>
    public DnsRecordReader(ReadOnlySpan<byte> message, DnsHeader header, int offset)
    {
        _message = message;
        _answers = header.AnswerCount;
        _authorities = header.AuthorityCount;
        _additionals = header.AdditionalCount;
        Offset = offset;
    }

    /// <summary>Of the next record; behind the last one in the end.</summary>
    public int Offset { get; private set; }

    /// <summary>A record was not whole; there are no more.</summary>
    public bool IsMalformed { get; private set; }

    public bool TryNext(out DnsRecord record)
    {
        record = default;
        if (IsMalformed || !TryTakeSection(out DnsSection section))
            return false;
        int nameOffset = Offset, at = Offset;
        if (!DnsName.TrySkip(_message, ref at) || at + FixedBytes > _message.Length)
            return Malformed();
        ushort type = DnsHeader.Word(_message, at);
        uint ttl = BinaryPrimitives.ReadUInt32BigEndian(_message[(at + 4)..]);
        // A set top bit stands for 0 (RFC 2181, 8), but in OPT it is a flag.
        if (type != DnsType.Opt && ttl > int.MaxValue)
            ttl = 0;
        int length = DnsHeader.Word(_message, at + 8), data = at + FixedBytes;
        if (data + length > _message.Length)
            return Malformed();
        record = new DnsRecord(section, type, DnsHeader.Word(_message, at + 2), ttl, nameOffset, data, length);
        Offset = data + length;
        return true;
    }

    private bool TryTakeSection(out DnsSection section)
    {
        section = DnsSection.Answer;
        if (_answers > 0)
        {
            _answers--;
            return true;
        }

        section = DnsSection.Authority;
        if (_authorities > 0)
        {
            _authorities--;
            return true;
        }

        section = DnsSection.Additional;
        if (_additionals == 0)
            return false;
        _additionals--;
        return true;
    }

    private bool Malformed()
    {
        IsMalformed = true;
        return false;
    }
}
