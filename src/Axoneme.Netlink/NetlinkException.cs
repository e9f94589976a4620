// SPDX-License-Identifier: Apache-2.0
using Axoneme.Linux;

namespace Axoneme.Netlink;

/// <summary>The kernel refused a request: what was asked of which object, the errno, and the kernel's own words if it gave any.</summary>
public sealed class NetlinkException : SystemCallException
{
    public NetlinkException(string operation, int errno)
        : base(operation, errno)
    {
    }

    public NetlinkException(string operation, int errno, string kernelMessage)
        : base(operation, errno, kernelMessage) => KernelMessage = kernelMessage;

    /// <summary>Text of the extended acknowledgement, such as "Invalid prefix for given prefix length."; null when there was none.</summary>
    public string? KernelMessage { get; }
}
