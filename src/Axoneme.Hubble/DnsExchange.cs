// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Hubble;

/// <summary>What became of a DNS message at the proxy.</summary>
public enum DnsVerdict : byte
{
    Forwarded,
    Denied,
    Error,
}

/// <summary>A DNS question, or its answer, as the node's proxy saw it. Both are told from the question's side.</summary>
public sealed record DnsExchange
{
    /// <summary>Nanoseconds since 1970, UTC.</summary>
    public required long TimeNs { get; init; }

    /// <summary>Who asked.</summary>
    public required L4Address Client { get; init; }

    /// <summary>Who was asked, as the client sees it.</summary>
    public required L4Address Server { get; init; }

    public required SecurityIdentity ServerIdentity { get; init; }

    public required DnsVerdict Verdict { get; init; }

    public required bool IsResponse { get; init; }

    /// <summary>With the final dot.</summary>
    public required string Query { get; init; }

    public required ushort QueryType { get; init; }

    /// <summary>Of an answer (RFC 1035, 4.1.1).</summary>
    public int Rcode { get; init; }

    public IReadOnlyList<IpAddress> Addresses { get; init; } = [];

    public IReadOnlyList<string> Cnames { get; init; } = [];

    public IReadOnlyList<ushort> AnswerTypes { get; init; } = [];

    /// <summary>Seconds.</summary>
    public uint Ttl { get; init; }

    /// <summary>From the question to the server's answer, nanoseconds; 0 of a question.</summary>
    public ulong LatencyNs { get; init; }
}
