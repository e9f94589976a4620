// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Dns;

/// <summary>Types of records (IANA) that something here looks at; others pass unread.</summary>
public static class DnsType
{
    public const ushort A = 1;
    public const ushort Ns = 2;
    public const ushort Cname = 5;
    public const ushort Soa = 6;
    public const ushort Ptr = 12;
    public const ushort Txt = 16;
    public const ushort Aaaa = 28;
    public const ushort Srv = 33;
    public const ushort Opt = 41;
    public const ushort Svcb = 64;
    public const ushort Https = 65;
}

/// <summary>Response codes (RFC 1035, 4.1.1).</summary>
public enum DnsRcode : byte
{
    NoError = 0,
    FormatError = 1,
    ServerFailure = 2,
    NameError = 3,
    NotImplemented = 4,
    Refused = 5,
}

/// <summary>The fixed part of every message (RFC 1035, 4.1.1), in host order.</summary>
public readonly record struct DnsHeader(
    ushort Id, ushort Flags, ushort QuestionCount, ushort AnswerCount, ushort AuthorityCount, ushort AdditionalCount)
{
    public const int Bytes = 12;

    public const ushort ResponseFlag = 0x8000;
    public const ushort TruncatedFlag = 0x0200;
    public const ushort RecursionDesiredFlag = 0x0100;
    public const ushort RecursionAvailableFlag = 0x0080;
    public const ushort OpcodeMask = 0x7800;
    public const ushort RcodeMask = 0x000F;

    public bool IsResponse => (Flags & ResponseFlag) != 0;

    public bool IsTruncated => (Flags & TruncatedFlag) != 0;

    /// <summary>0 is a standard query.</summary>
    public int Opcode => (Flags & OpcodeMask) >> 11;

    public DnsRcode Rcode => (DnsRcode)(Flags & RcodeMask);

    public static bool TryRead(ReadOnlySpan<byte> message, out DnsHeader header)
    {
        header = default;
        if (message.Length < Bytes)
            return false;
        header = new DnsHeader(
            Word(message, 0), Word(message, 2), Word(message, 4), Word(message, 6), Word(message, 8), Word(message, 10));
        return true;
    }

    internal static ushort Word(ReadOnlySpan<byte> message, int at) => (ushort)((message[at] << 8) | message[at + 1]);
}
