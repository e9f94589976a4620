// SPDX-License-Identifier: Apache-2.0
using Axoneme.Dns;
using Axoneme.Network;

namespace Axoneme.Proxy.Serving;

/// <summary>What the answer section of a message has, and what else of it gives addresses to the name of the question. One object is filled again and again.</summary>
internal sealed class AnswerContents
{
    // Records of four bytes with two of name and ten of header fit; of hints without all that, what is more is no use to anybody.
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
            if (type is DnsType.A or DnsType.Aaaa)
                AddAddresses(message, offset, length, length);
            else if (type is DnsType.Svcb or DnsType.Https && DnsServiceBinding.TryRead(message, offset, length, out DnsServiceBinding binding))
                AddHints(message, binding);
            else if (type == DnsType.Cname && _aliasCount < _aliases.Length)
                _aliases[_aliasCount++] = offset;
            if (!answer.IsAdditional && _typeCount < _types.Length && !Types.Contains(type))
                _types[_typeCount++] = type;
        }

        Ttl = answer.Ttl == uint.MaxValue ? 0 : answer.Ttl;
        return !answer.IsMalformed;
    }

    // Clients connect to them before, or instead of, asking for the target's addresses.
    private void AddHints(ReadOnlySpan<byte> message, in DnsServiceBinding binding)
    {
        AddAddresses(message, binding.V4.Offset, binding.V4.Length, 4);
        AddAddresses(message, binding.V6.Offset, binding.V6.Length, 16);
    }

    private void AddAddresses(ReadOnlySpan<byte> message, int offset, int length, int each)
    {
        for (int at = 0; at + each <= length && _addressCount < _addresses.Length; at += each)
            _addresses[_addressCount++] = IpAddress.FromBytes(message.Slice(offset + at, each));
    }
}
