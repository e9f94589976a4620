// SPDX-License-Identifier: Apache-2.0
using Axoneme.Dns;
using Axoneme.Network;

namespace Axoneme.Proxy.Serving;

/// <summary>What the answer section of a message has. One object is filled again and again.</summary>
internal sealed class AnswerContents
{
    // As many as fit into the largest message: two bytes of name, ten of header, four of address.
    private readonly IpAddress[] _addresses = new IpAddress[4096];
    private readonly ushort[] _types = new ushort[16];
    private readonly int[] _aliases = new int[16];
    private int _addressCount;
    private int _typeCount;
    private int _aliasCount;

    public ReadOnlySpan<IpAddress> Addresses => _addresses.AsSpan(0, _addressCount);

    /// <summary>Types of records, each once.</summary>
    public ReadOnlySpan<ushort> Types => _types.AsSpan(0, _typeCount);

    /// <summary>Where the targets of CNAME records are.</summary>
    public ReadOnlySpan<int> AliasOffsets => _aliases.AsSpan(0, _aliasCount);

    /// <summary>Smallest of the chain, seconds; 0 without addresses or aliases.</summary>
    public uint Ttl { get; private set; }

    public void Clear()
    {
        _addressCount = _typeCount = _aliasCount = 0;
        Ttl = 0;
    }

    /// <summary>False when the message is malformed.</summary>
    public bool TryRead(ReadOnlySpan<byte> message, in DnsQuestion question)
    {
        Clear();
        var answer = new DnsAnswer(message, question);
        while (answer.TryNext(out ushort type, out int offset, out int length))
        {
            if (type is DnsType.A or DnsType.Aaaa && _addressCount < _addresses.Length)
                _addresses[_addressCount++] = IpAddress.FromBytes(message.Slice(offset, length));
            else if (type == DnsType.Cname && _aliasCount < _aliases.Length)
                _aliases[_aliasCount++] = offset;
            if (_typeCount < _types.Length && !Types.Contains(type))
                _types[_typeCount++] = type;
        }

        Ttl = answer.Ttl == uint.MaxValue ? 0 : answer.Ttl;
        return !answer.IsMalformed;
    }
}
