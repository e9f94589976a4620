// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;

namespace Axoneme.Dns;

/// <summary>Writes the replies that do not come from a server, and changes those that do.</summary>
public static class DnsReply
{
    private const int OptBytes = 11;

    // What one Ethernet frame carries for certain (DNS flag day 2020).
    private const ushort OwnUdpSize = 1232;

    /// <summary>Space that <see cref="Write"/> needs besides the question.</summary>
    public const int Overhead = OptBytes;

    /// <summary>A reply without records: id, opcode, recursion flag and question are the query's; it has OPT if the query has.</summary>
    /// <param name="query">As received; <paramref name="question"/> was read from it.</param>
    /// <param name="question">The query's.</param>
    /// <param name="edns">The query's.</param>
    /// <param name="rcode">The result.</param>
    /// <param name="reply">Takes the query's header and question and <see cref="Overhead"/> bytes.</param>
    /// <returns>Length of the reply.</returns>
    public static int Write(ReadOnlySpan<byte> query, in DnsQuestion question, DnsEdns? edns, DnsRcode rcode, Span<byte> reply)
    {
        query[..question.End].CopyTo(reply);
        int flags = DnsHeader.ResponseFlag | DnsHeader.RecursionAvailableFlag | (int)rcode
            | (question.Header.Flags & (DnsHeader.OpcodeMask | DnsHeader.RecursionDesiredFlag));
        WriteWord(reply, 2, flags);
        WriteWord(reply, 6, 0);
        WriteWord(reply, 8, 0);
        WriteWord(reply, 10, edns is null ? 0 : 1);
        if (edns is not { } asked)
            return question.End;
        // Version 0, and DO as asked (RFC 3225, 3).
        WriteOpt(reply[question.End..], new DnsEdns(OwnUdpSize, asked.DnssecOk ? DnsEdns.DnssecOkFlag : 0));
        return question.End + OptBytes;
    }

    /// <summary>A reply to what has a header and no readable question (RFC 1035, 4.1.1: format error). Returns its length, 12.</summary>
    public static int WriteFormatError(in DnsHeader query, Span<byte> reply)
    {
        reply[..DnsHeader.Bytes].Clear();
        WriteWord(reply, 0, query.Id);
        WriteWord(reply, 2, DnsHeader.ResponseFlag | (query.Flags & (DnsHeader.OpcodeMask | DnsHeader.RecursionDesiredFlag)) | (int)DnsRcode.FormatError);
        return DnsHeader.Bytes;
    }

    /// <summary>Puts another id into a message.</summary>
    public static void SetId(Span<byte> message, ushort id) => WriteWord(message, 0, id);

    /// <summary>
    /// Cuts an answer that is too long for its reader: header and question stay, the TC flag says to ask again by TCP (RFC 2181, 9). OPT is kept.
    /// </summary>
    /// <returns>The new length.</returns>
    public static int Truncate(Span<byte> answer, in DnsQuestion question, DnsEdns? edns)
    {
        WriteWord(answer, 2, question.Header.Flags | DnsHeader.TruncatedFlag);
        WriteWord(answer, 6, 0);
        WriteWord(answer, 8, 0);
        WriteWord(answer, 10, 0);
        if (edns is not { } own || question.End + OptBytes > answer.Length)
            return question.End;
        WriteWord(answer, 10, 1);
        WriteOpt(answer[question.End..], own);
        return question.End + OptBytes;
    }

    private static void WriteOpt(Span<byte> at, DnsEdns edns)
    {
        at[0] = 0;
        WriteWord(at, 1, DnsType.Opt);
        WriteWord(at, 3, edns.UdpSize);
        BinaryPrimitives.WriteUInt32BigEndian(at[5..], edns.Extended);
        WriteWord(at, 9, 0);
    }

    private static void WriteWord(Span<byte> message, int at, int value) => BinaryPrimitives.WriteUInt16BigEndian(message[at..], (ushort)value);
}
