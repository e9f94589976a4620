// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;

namespace Axoneme.Netlink;

/// <summary>How one request ended: 0 or an errno, and the text of the extended acknowledgement.</summary>
internal readonly record struct Result(int Errno, string? Message)
{
    /// <summary>
    /// Reads NLMSG_ERROR and NLMSG_DONE: an errno, negative; then, unless capped, the failed request; then attributes.
    /// NLMSG_DONE has no copy of the request.
    /// </summary>
    public static Result Parse(in NlMsgHdr header, ReadOnlySpan<byte> payload)
    {
        if (payload.Length < 4)
            return default;
        int errno = -MemoryMarshal.Read<int>(payload);
        if ((header.Flags & MessageFlags.NLM_F_ACK_TLVS) == 0)
            return new Result(errno, null);
        int skip = 4;
        if (header.Type == MessageType.NLMSG_ERROR)
        {
            skip += NlMsgHdr.Size;
            if ((header.Flags & MessageFlags.NLM_F_CAPPED) == 0 && payload.Length >= 8)
                skip = 4 + (((int)MemoryMarshal.Read<uint>(payload[4..]) + 3) & ~3);
        }

        if (skip > payload.Length)
            return new Result(errno, null);
        var attributes = new AttributeReader(payload[skip..]);
        while (attributes.Next())
        {
            if (attributes.Type == ExtendedAck.NLMSGERR_ATTR_MSG)
                return new Result(errno, attributes.AsString());
        }

        return new Result(errno, null);
    }

    public NetlinkException ToException(string operation)
        => Message is null ? new NetlinkException(operation, Errno) : new NetlinkException(operation, Errno, Message);
}
