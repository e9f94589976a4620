// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;

namespace Axoneme.Dns;

/// <summary>
/// The part of an answer that gives addresses to the name of the question. A chain of CNAME records is flattened: whoever asked for the first name
/// connects to the last one's addresses, for as long as the shortest-lived record of the chain. The same goes for the targets of SVCB and HTTPS records
/// (RFC 9460), whose addresses come as hints, or as additional records of the target.
/// </summary>
public ref struct DnsAnswer
{
    private readonly ReadOnlySpan<byte> _message;
    private DnsRecordReader _records;

    // Names of service targets; few answers have more than two.
    private Targets _targets;
    private int _targetCount;

    /// <param name="message">A response.</param>
    /// <param name="question">Read from it.</param>
    public DnsAnswer(ReadOnlySpan<byte> message, in DnsQuestion question)
    {
        _message = message;
        _records = new DnsRecordReader(message, question.Header, question.End);
    }

    /// <summary>Some record, of any section, is not whole.</summary>
    public bool IsMalformed => _records.IsMalformed;

    /// <summary>Smallest of the A, AAAA, CNAME, SVCB and HTTPS records so far, seconds; <see cref="uint.MaxValue"/> if there was none.</summary>
    public uint Ttl { get; private set; } = uint.MaxValue;

    /// <summary>The record that was read last is not of the answer section, but belongs to a service's target.</summary>
    public bool IsAdditional { get; private set; }

    /// <summary>
    /// The next record of the answer section: its type, and where its data is if it is whole for that type (4 bytes of A, 16 of AAAA, the name of CNAME,
    /// what <see cref="DnsServiceBinding"/> reads of SVCB and HTTPS). Records of other sections are passed over, but for those of service targets. A record
    /// of another class, or whose data is not whole, has type 0.
    /// </summary>
    public bool TryNext(out ushort type, out int dataOffset, out int dataLength)
    {
        type = 0;
        dataOffset = dataLength = 0;
        while (_records.TryNext(out DnsRecord record))
        {
            IsAdditional = record.Section == DnsSection.Additional;
            if (record.Section != DnsSection.Answer && !(IsAdditional && IsOfTarget(record)))
                continue;
            type = IsWhole(record) ? record.Type : (ushort)0;
            dataOffset = record.DataOffset;
            dataLength = record.DataLength;
            if (type is DnsType.A or DnsType.Aaaa or DnsType.Cname or DnsType.Svcb or DnsType.Https)
                Ttl = Math.Min(Ttl, record.Ttl);
            return true;
        }

        return false;
    }

    private readonly bool IsOfTarget(in DnsRecord record)
    {
        if (record.Type is not (DnsType.A or DnsType.Aaaa or DnsType.Svcb or DnsType.Https))
            return false;
        for (int i = 0; i < _targetCount; i++)
        {
            if (DnsName.AreEqual(_message, _targets[i], record.NameOffset))
                return true;
        }

        return false;
    }

    private bool IsWhole(in DnsRecord record)
    {
        if (record.Class != DnsQuestion.InternetClass)
            return false;
        int end = record.DataOffset;
        return record.Type switch
        {
            DnsType.A => record.DataLength == 4,
            DnsType.Aaaa => record.DataLength == 16,
            DnsType.Cname => DnsName.TrySkip(_message, ref end) && end == record.DataOffset + record.DataLength,
            DnsType.Svcb or DnsType.Https => TryNoteTarget(record),
            _ => true,
        };
    }

    private bool TryNoteTarget(in DnsRecord record)
    {
        if (!DnsServiceBinding.TryRead(_message, record.DataOffset, record.DataLength, out DnsServiceBinding binding))
            return false;
        if (_targetCount < Targets.Length)
            _targets[_targetCount++] = binding.IsTargetOwner ? record.NameOffset : binding.TargetOffset;
        return true;
    }

    [InlineArray(Length)]
    private struct Targets
    {
        public const int Length = 8;
        private int _first;
    }
}
