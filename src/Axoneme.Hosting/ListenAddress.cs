// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using Axoneme.Network;

namespace Axoneme.Hosting;

/// <summary>Where to listen.</summary>
/// <param name="Address">Null: all addresses of both families.</param>
/// <param name="Port">Not 0.</param>
public readonly record struct ListenAddress(IpAddress? Address, ushort Port)
{
    public static bool TryParse(string text, out ListenAddress address)
    {
        address = default;
        int colon = text.LastIndexOf(':');
        if (colon < 0 || !ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ushort port) || port == 0)
            return false;
        string host = text[..colon];
        // An IPv6 address needs its brackets, or its last group would be taken for the port.
        bool isBracketed = host.StartsWith('[') && host.EndsWith(']');
        if (isBracketed)
            host = host[1..^1];
        if (host.Length == 0)
        {
            address = new ListenAddress(null, port);
            return !isBracketed;
        }

        if (!IpAddress.TryParse(host, out IpAddress own) || own.IsV6 != isBracketed)
            return false;
        address = new ListenAddress(own, port);
        return true;
    }

    public override string ToString() => Address switch
    {
        null => $":{Port}",
        { IsV6: true } v6 => $"[{v6}]:{Port}",
        { } v4 => $"{v4}:{Port}",
    };
}
