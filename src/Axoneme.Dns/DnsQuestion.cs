// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Dns;

/// <summary>The one question of a message, and what else the way of the message depends on.</summary>
/// <param name="Header">Of the message.</param>
/// <param name="Type">Of the question.</param>
/// <param name="Class">1 is the Internet.</param>
/// <param name="NameLength">Of the name as text, bytes.</param>
/// <param name="End">Behind the question, from the start of the message.</param>
public readonly record struct DnsQuestion(DnsHeader Header, ushort Type, ushort Class, int NameLength, int End)
{
    public const ushort InternetClass = 1;

    /// <summary>Reads header and question. Nothing behind the question is looked at.</summary>
    /// <param name="message">As received.</param>
    /// <param name="name">Takes the name as text, at least <see cref="DnsName.MaximalTextBytes"/>.</param>
    /// <param name="question">Set when true is returned.</param>
    /// <returns>False: the message is cut short or malformed, or has not exactly one question.</returns>
    public static bool TryRead(ReadOnlySpan<byte> message, Span<byte> name, out DnsQuestion question)
    {
        question = default;
        int offset = DnsHeader.Bytes;
        if (!DnsHeader.TryRead(message, out DnsHeader header) || header.QuestionCount != 1
            || !DnsName.TryRead(message, ref offset, name, out int length) || offset + 4 > message.Length)
            return false;
        question = new DnsQuestion(header, DnsHeader.Word(message, offset), DnsHeader.Word(message, offset + 2), length, offset + 4);
        return true;
    }

    /// <summary>Goes through all records: true if they are whole.</summary>
    /// <param name="message">The message that this was read from.</param>
    /// <param name="edns">Of the first OPT record, if any (RFC 6891, 6.1.1 allows one).</param>
    public bool TryReadEdns(ReadOnlySpan<byte> message, out DnsEdns? edns)
    {
        edns = null;
        var records = new DnsRecordReader(message, Header, End);
        while (records.TryNext(out DnsRecord record))
        {
            if (record.Type == DnsType.Opt && record.Section == DnsSection.Additional)
                edns ??= new DnsEdns(record.Class, record.Ttl);
        }

        return !records.IsMalformed;
    }
}

/// <summary>The OPT record (RFC 6891, 6.1.3).</summary>
/// <param name="UdpSize">The largest UDP message that the sender takes; values below 512 stand for 512.</param>
/// <param name="Extended">Upper bits of the code, version, flags.</param>
public readonly record struct DnsEdns(ushort UdpSize, uint Extended)
{
    public const uint DnssecOkFlag = 0x8000;

    public bool DnssecOk => (Extended & DnssecOkFlag) != 0;

    /// <summary>What fits into a datagram for whoever sent <paramref name="edns"/>, or no OPT record.</summary>
    public static int Limit(DnsEdns? edns) => Math.Max(512, (int)(edns?.UdpSize ?? 512));
}
