// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath.Abi;

namespace Axoneme.Hubble;

/// <summary>Names of the kernel programs' sources, which drops carry as a number.</summary>
internal static class SourceFiles
{
    public static string NameOf(byte file) => (SourceFile)file switch
    {
        SourceFile.Pod => "pod.c",
        SourceFile.Host => "host.c",
        SourceFile.Overlay => "overlay.c",
        SourceFile.Endpoint => "endpoint.c",
        SourceFile.Packet => "packet.h",
        SourceFile.Conntrack => "conntrack.h",
        SourceFile.Policy => "policy.h",
        SourceFile.Lb => "lb.h",
        SourceFile.Nat => "nat.h",
        SourceFile.Forward => "forward.h",
        SourceFile.Icmp => "icmp.h",
        SourceFile.Xdp => "xdp.c",
        SourceFile.NodePort => "node_port.h",
        SourceFile.Masquerade => "masquerade.h",
        SourceFile.Dsr => "dsr.h",
        SourceFile.Proxy => "proxy.h",
        SourceFile.HostPolicy => "host_policy.h",
        _ => $"unknown({file})",
    };
}
