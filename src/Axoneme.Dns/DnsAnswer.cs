// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Dns;

/// <summary>
/// The part of an answer that gives addresses to the name of the question. A chain of CNAME records is flattened: whoever asked for the first name
/// connects to the last one's addresses, for as long as the shortest-lived record of the chain.
/// </summary>
public ref struct DnsAnswer
{
    private readonly ReadOnlySpan<byte> _message;
    private DnsRecordReader _records;

    /// <param name="message">A response.</param>
    /// <param name="question">Read from it.</param>
    public DnsAnswer(ReadOnlySpan<byte> message, in DnsQuestion question)
    {
        _message = message;
        _records = new DnsRecordReader(message, question.Header, question.End);
    }

    /// <summary>Some record, of any section, is not whole.</summary>
    public bool IsMalformed => _records.IsMalformed;

    /// <summary>Smallest of the A, AAAA and CNAME records so far, seconds; <see cref="uint.MaxValue"/> if there was none.</summary>
    public uint Ttl { get; private set; } = uint.MaxValue;

    /// <summary>
    /// The next record of the answer section: its type, and where its data is if it is whole for that type (4 bytes of A, 16 of AAAA, the name of CNAME).
    /// Records of other sections are passed over. A record of another class, or of wrong length, has type 0.
    /// </summary>
    public bool TryNext(out ushort type, out int dataOffset, out int dataLength)
    {
        type = 0;
        dataOffset = dataLength = 0;
        while (_records.TryNext(out DnsRecord record))
        {
            if (record.Section != DnsSection.Answer)
                continue;
            type = IsWhole(record) ? record.Type : (ushort)0;
            dataOffset = record.DataOffset;
            dataLength = record.DataLength;
            if (type is DnsType.A or DnsType.Aaaa or DnsType.Cname)
                Ttl = Math.Min(Ttl, record.Ttl);
            return true;
        }

        return false;
    }

    private readonly bool IsWhole(in DnsRecord record)
    {
        if (record.Class != DnsQuestion.InternetClass)
            return false;
        int end = record.DataOffset;
        return record.Type switch
        {
            DnsType.A => record.DataLength == 4,
            DnsType.Aaaa => record.DataLength == 16,
            DnsType.Cname => DnsName.TrySkip(_message, ref end) && end == record.DataOffset + record.DataLength,
            _ => true,
        };
    }
}
