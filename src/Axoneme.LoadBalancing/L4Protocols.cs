// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

internal static class L4Protocols
{
    /// <summary>As services, slices and pods write it; TCP when omitted.</summary>
    public static bool TryParse(string? written, out L4Protocol protocol)
    {
        protocol = written switch
        {
            null or "" or "TCP" => L4Protocol.Tcp,
            "UDP" => L4Protocol.Udp,
            "SCTP" => L4Protocol.Sctp,
            _ => L4Protocol.Any,
        };
        return protocol != L4Protocol.Any;
    }
}
