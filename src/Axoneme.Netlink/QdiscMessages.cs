// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;

namespace Axoneme.Netlink;

/// <summary>RTM_*QDISC: tcmsg and its attributes.</summary>
internal static class QdiscMessages
{
    public static Qdisc Parse(ReadOnlySpan<byte> payload)
    {
        TcMsg header = MemoryMarshal.Read<TcMsg>(payload);
        string kind = "";
        var attributes = new AttributeReader(payload[TcMsg.Size..]);
        while (attributes.Next())
        {
            if (attributes.Type == TrafficControlAttribute.TCA_KIND)
                kind = attributes.AsString();
        }

        return new Qdisc(header.Index, kind, header.Handle, header.Parent);
    }
}
