// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Dns;

/// <summary>The data of an SVCB or HTTPS record (RFC 9460, 2.2), as far as it says where to connect to.</summary>
public readonly record struct DnsServiceBinding
{
    private const int PriorityBytes = 2;
    private const int ParameterHeaderBytes = 4;
    private const ushort Ipv4Hint = 4;
    private const ushort Ipv6Hint = 6;

    /// <summary>0: an alias; its target is to be asked for as if it had been the question.</summary>
    public ushort Priority { get; private init; }

    /// <summary>Of the target's name.</summary>
    public int TargetOffset { get; private init; }

    /// <summary>The target is written as the root, which stands for the name that has the record.</summary>
    public bool IsTargetOwner { get; private init; }

    /// <summary>Of the IPv4 addresses, 4 bytes each, from the start of the message.</summary>
    public (int Offset, int Length) V4 { get; private init; }

    /// <summary>Of the IPv6 addresses, 16 bytes each.</summary>
    public (int Offset, int Length) V6 { get; private init; }

    /// <summary>False: the data is malformed, and a client has to pass the record over. Parameters of aliases have no meaning.</summary>
    public static bool TryRead(ReadOnlySpan<byte> message, int offset, int length, out DnsServiceBinding binding)
    {
        binding = default;
        int end = offset + length, at = offset + PriorityBytes;
        if (length < PriorityBytes + 1 || !DnsName.TrySkip(message, ref at) || at > end)
            return false;
        (int, int) v4 = default, v6 = default;
        for (int last = -1; at < end;)
        {
            if (at + ParameterHeaderBytes > end)
                return false;
            int key = DnsHeader.Word(message, at), size = DnsHeader.Word(message, at + 2), value = at + ParameterHeaderBytes;
            at = value + size;
            // Each key once, in ascending order.
            if (at > end || key <= last || !IsHintWhole(key, size))
                return false;
            last = key;
            if (key == Ipv4Hint)
                v4 = (value, size);
            else if (key == Ipv6Hint)
                v6 = (value, size);
        }

        ushort priority = DnsHeader.Word(message, offset);
        binding = new DnsServiceBinding
        {
            Priority = priority,
            TargetOffset = offset + PriorityBytes,
            IsTargetOwner = message[offset + PriorityBytes] == 0,
            V4 = priority == 0 ? default : v4,
            V6 = priority == 0 ? default : v6,
        };
        return true;
    }

    private static bool IsHintWhole(int key, int size) => key switch
    {
        Ipv4Hint => size > 0 && size % 4 == 0,
        Ipv6Hint => size > 0 && size % 16 == 0,
        _ => true,
    };
}
