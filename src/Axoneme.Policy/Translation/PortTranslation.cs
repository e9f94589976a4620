// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>Ports, protocols and ICMP types of the API.</summary>
internal static class PortTranslation
{
    /// <summary>Of one list of ports, and of ICMP fields.</summary>
    public const int MaximalCount = 40;

    private const string SctpIsOff = "SCTP is not enabled (enable-sctp); the entry has no effect";

    public static IEnumerable<L4Match> Port(TranslationContext context, string path, PortProtocol port)
    {
        L4Protocol? protocol = Protocol(context, $"{path}.protocol", port.Protocol, L4Protocol.Any);
        if (protocol is { } portless && HasNoPorts(portless))
            return Portless(context, path, port, portless);
        if (port.Port.Length == 0 && context.Options.EnableExtendedProtocols)
            return protocol is { } all ? [L4Match.AllPorts(all)] : [];
        if (!TryParsePort(port.Port, out ushort number, out string? name))
        {
            context.Error($"{path}.port", $"'{port.Port}' is neither a number from 0 to 65535 nor a port name");
            return [];
        }

        int end = port.EndPort ?? 0;
        if (end is < 0 or > ushort.MaxValue)
            context.Error($"{path}.endPort", $"{end} is not in the range 0 to 65535");
        else if (end > 0 && number == 0 && name is null)
            context.Error($"{path}.endPort", "needs a port to start from");
        if (protocol is not { } known)
            return [];
        if (name is not null)
            return [L4Match.Named(known, name)];
        if (number == 0)
            return [L4Match.AllPorts(known)];
        ushort last = (ushort)Math.Clamp(end, number, ushort.MaxValue);
        return Protocols(known, context.Options).Select(p => new L4Match(p, number, last));
    }

    public static IEnumerable<L4Match> Port(TranslationContext context, string path, NetworkPolicyPort port)
    {
        L4Protocol? protocol = Protocol(context, $"{path}.protocol", port.Protocol, L4Protocol.Tcp);
        if (protocol is { } foreign && (foreign == L4Protocol.Any || HasNoPorts(foreign)))
        {
            context.Error($"{path}.protocol", $"'{port.Protocol}' is not one of TCP, UDP, SCTP");
            return [];
        }

        if (port.Port is not { } written)
        {
            if (port.EndPort is not null)
                context.Error($"{path}.endPort", "needs a port to start from");
            return protocol is { } all ? [L4Match.AllPorts(all)] : [];
        }

        if (!TryParsePort(written.ToString(), out ushort number, out string? name) || (name is null && number == 0))
        {
            context.Error($"{path}.port", $"'{written}' is neither a number from 1 to 65535 nor a port name");
            return [];
        }

        if (port.EndPort is { } end && (name is not null || end < number || end > ushort.MaxValue))
        {
            context.Error($"{path}.endPort", name is null ? $"{end} is not in the range {number} to 65535" : "needs a number as port");
            return [];
        }

        if (protocol is not { } known)
            return [];
        return [name is null ? new L4Match(known, number, (ushort)(port.EndPort ?? number)) : L4Match.Named(known, name)];
    }

    public static L4Match? Icmp(TranslationContext context, string path, IcmpField field)
    {
        bool v6 = field.Family == "IPv6";
        if (!v6 && field.Family is not (null or "" or "IPv4"))
        {
            context.Error($"{path}.family", $"'{field.Family}' is not one of IPv4, IPv6");
            return null;
        }

        if (field.Type is not { } type)
        {
            context.Error($"{path}.type", "is missing");
            return null;
        }

        bool known = type.TryGetNumber(out int number)
            ? number is >= 0 and <= 255
            : IcmpTypes.TryFind(type.ToString(), v6, out number);
        if (known)
            return L4Match.Single(v6 ? L4Protocol.IcmpV6 : L4Protocol.Icmp, (ushort)number);
        context.Error($"{path}.type", $"'{type}' is no {(v6 ? "ICMPv6" : "ICMP")} type");
        return null;
    }

    // Null: nothing to allow or deny, which was reported.
    private static L4Protocol? Protocol(TranslationContext context, string path, string? written, L4Protocol whenMissing)
    {
        switch (written?.ToUpperInvariant())
        {
            case null or "":
                return whenMissing;
            case "ANY":
                return L4Protocol.Any;
            case "TCP":
                return L4Protocol.Tcp;
            case "UDP":
                return L4Protocol.Udp;
            case "SCTP":
                if (context.Options.EnableSctp)
                    return L4Protocol.Sctp;
                context.Warn(path, SctpIsOff);
                return null;
            case "VRRP" or "IGMP" or "GRE" or "IPIP" or "IPV6" or "ESP" or "AH":
                if (context.Options.EnableExtendedProtocols)
                    return Enum.Parse<L4Protocol>(written, ignoreCase: true);
                context.Error(path, $"{written} needs enable-extended-ip-protocols");
                return null;
            default:
                context.Error(path, $"'{written}' is not one of {KnownProtocols(context.Options)}");
                return null;
        }
    }

    private static string KnownProtocols(PolicyOptions options)
        => options.EnableExtendedProtocols ? "TCP, UDP, SCTP, ANY, VRRP, IGMP, GRE, IPIP, IPV6, ESP, AH" : "TCP, UDP, SCTP, ANY";

    private static bool HasNoPorts(L4Protocol protocol)
        => protocol is not (L4Protocol.Any or L4Protocol.Tcp or L4Protocol.Udp or L4Protocol.Sctp);

    private static IEnumerable<L4Match> Portless(TranslationContext context, string path, PortProtocol port, L4Protocol protocol)
    {
        if (port.Port is not ("" or "0"))
            context.Error($"{path}.port", $"'{port.Port}': {port.Protocol} has no ports");
        if (port.EndPort is > 0)
            context.Error($"{path}.endPort", $"{port.Protocol} has no ports");
        return [L4Match.AllPorts(protocol)];
    }

    private static IEnumerable<L4Protocol> Protocols(L4Protocol protocol, PolicyOptions options)
    {
        if (protocol != L4Protocol.Any)
            return [protocol];
        return options.EnableSctp ? [L4Protocol.Tcp, L4Protocol.Udp, L4Protocol.Sctp] : [L4Protocol.Tcp, L4Protocol.Udp];
    }

    // Names as IANA has them: letters, digits, single dashes inside, at least one letter, 15 characters.
    private static bool TryParsePort(string text, out ushort number, out string? name)
    {
        number = 0;
        name = null;
        if (text.Length > 0 && !text.AsSpan().ContainsAnyExceptInRange('0', '9'))
            return ushort.TryParse(text, out number);
        if (text.Length is 0 or > 15 || text.StartsWith('-') || text.EndsWith('-') || text.Contains("--", StringComparison.Ordinal))
            return false;
        name = text.ToLowerInvariant();
        return name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-') && name.Any(char.IsAsciiLetterLower);
    }
}
