// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

/// <summary>A port as users write it: <c>80</c>, <c>80/tcp</c>, <c>http/tcp</c>, <c>53/udp</c>, <c>8/icmp</c> (the type), <c>icmp</c> (echo).</summary>
/// <param name="Protocol">Never Any.</param>
/// <param name="Number">Port or ICMP type; null when a name has to be looked up.</param>
/// <param name="Name">Of a container port or of a service's port.</param>
public sealed record PortText(L4Protocol Protocol, ushort? Number, string Name)
{
    public bool IsIcmp => Protocol is L4Protocol.Icmp or L4Protocol.IcmpV6;

    /// <exception cref="UnknownEndException">It is nothing of that.</exception>
    public static PortText Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string[] parts = text.Split('/');
        string protocolText = parts.Length == 2 ? parts[1] : parts[0] is "icmp" or "icmpv6" ? parts[0] : "tcp";
        L4Protocol? protocol = protocolText.ToLowerInvariant() switch
        {
            "tcp" => L4Protocol.Tcp,
            "udp" => L4Protocol.Udp,
            "sctp" => L4Protocol.Sctp,
            "icmp" => L4Protocol.Icmp,
            "icmpv6" => L4Protocol.IcmpV6,
            _ => null,
        };
        if (parts.Length > 2 || protocol is not { } known)
            throw new UnknownEndException($"port '{text}' is not PORT/PROTOCOL with tcp, udp, sctp, icmp or icmpv6");
        bool isIcmp = known is L4Protocol.Icmp or L4Protocol.IcmpV6;
        if (isIcmp && parts.Length == 1)
            return new PortText(known, (ushort)(known == L4Protocol.Icmp ? 8 : 128), "");
        if (parts[0].Length > 0 && parts[0].All(char.IsAsciiDigit))
        {
            return ushort.TryParse(parts[0], out ushort number) && (isIcmp ? number <= 255 : number > 0)
                ? new PortText(known, number, "")
                : throw new UnknownEndException($"port '{text}': {parts[0]} is not in the range {(isIcmp ? "0 to 255" : "1 to 65535")}");
        }

        if (isIcmp || parts[0].Length == 0)
            throw new UnknownEndException($"port '{text}': {(isIcmp ? "ICMP types are numbers" : "the port is missing")}");
        return new PortText(known, null, parts[0]);
    }

    public static string Of(L4Protocol protocol, ushort port)
        => protocol is L4Protocol.Icmp or L4Protocol.IcmpV6 ? $"{NameOf(protocol)} type {port}" : $"{port}/{NameOf(protocol)}";

    public static string NameOf(L4Protocol protocol) => protocol switch
    {
        L4Protocol.IcmpV6 => "ICMPv6",
        _ => protocol.ToString().ToUpperInvariant(),
    };

    public override string ToString() => Number is { } number ? Of(Protocol, number) : $"{Name}/{NameOf(Protocol)}";
}
