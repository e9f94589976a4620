// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Netlink;

/// <summary>Interface flags that we read or set (IFF_* of if.h).</summary>
[Flags]
public enum LinkFlags : uint
{
    None = 0,
    Up = 0x1,
    Broadcast = 0x2,
    Loopback = 0x8,
    PointToPoint = 0x10,
    Running = 0x40,
    NoArp = 0x80,
    Promiscuous = 0x100,
    Multicast = 0x1000,
    LowerUp = 0x10000,
}

/// <summary>How the kernel makes IPv6 link-local addresses on a device (IN6_ADDR_GEN_MODE_*).</summary>
public enum AddressGenerationMode : byte
{
    Eui64 = 0,
    None = 1,
    StablePrivacy = 2,
    Random = 3,
}

/// <summary>A device as the kernel lists it. Sizes are bytes.</summary>
public sealed record Link(int Index, string Name)
{
    /// <summary>Driver kind such as <c>veth</c>, <c>vxlan</c>; empty for physical devices and the loopback.</summary>
    public string Kind { get; init; } = "";

    public MacAddress? Mac { get; init; }

    public int Mtu { get; init; }

    public LinkFlags Flags { get; init; }

    /// <summary>Index of the bridge or bond above, 0 for none.</summary>
    public int Master { get; init; }

    /// <summary>Index of the peer (veth) or lower device; it counts in namespace <see cref="PeerNamespaceId"/> if that is set.</summary>
    public int PeerIndex { get; init; }

    /// <summary>Kernel's id of the namespace the peer lives in, or null when it is this one.</summary>
    public int? PeerNamespaceId { get; init; }

    public uint Group { get; init; }

    public string Alias { get; init; } = "";

    public IReadOnlyList<string> AlternativeNames { get; init; } = [];

    public uint GsoMaxSize { get; init; }

    public uint GroMaxSize { get; init; }

    public uint GsoIPv4MaxSize { get; init; }

    public uint GroIPv4MaxSize { get; init; }

    /// <summary>Set for VXLAN devices.</summary>
    public VxlanKind? Vxlan { get; init; }

    public bool IsUp => (Flags & LinkFlags.Up) != 0;
}

/// <summary>The driver of a new device and its own settings.</summary>
public abstract record LinkKind(string Name);

/// <summary>A pair of Ethernet devices; the peer can be born in another namespace.</summary>
public sealed record VethKind(LinkSpec Peer) : LinkKind("veth");

public sealed record BridgeKind() : LinkKind("bridge");

public sealed record DummyKind() : LinkKind("dummy");

/// <summary>A VXLAN device. Collecting metadata, it takes VNI and remote address from each packet's tunnel key.</summary>
public sealed record VxlanKind() : LinkKind("vxlan")
{
    public bool CollectMetadata { get; init; }

    /// <summary>Network identifier; not for devices that collect metadata.</summary>
    public uint? Id { get; init; }

    /// <summary>UDP destination port.</summary>
    public ushort Port { get; init; } = 8472;

    public bool Learning { get; init; }

    /// <summary>Underlay source address, or null for the route's.</summary>
    public IpAddress? Local { get; init; }
}

/// <summary>A device to create. Everything given takes effect in the one request that creates it.</summary>
public sealed record LinkSpec(string Name)
{
    /// <summary>Null only for the peer of a veth, whose kind is that of its twin.</summary>
    public LinkKind? Kind { get; init; }

    public MacAddress? Mac { get; init; }

    public int? Mtu { get; init; }

    public uint? Group { get; init; }

    /// <summary>Brings the device up in the same request; not for the peer of a veth, which cannot open before it has its twin.</summary>
    public bool Up { get; init; }

    public bool NoArp { get; init; }

    /// <summary>Descriptor of the namespace to create the device in, or null for the socket's.</summary>
    public int? NamespaceDescriptor { get; init; }

    public int? Master { get; init; }

    /// <summary>Number of queues, for both directions.</summary>
    public uint? Queues { get; init; }

    public uint? GsoMaxSize { get; init; }

    public uint? GroMaxSize { get; init; }

    public uint? GsoIPv4MaxSize { get; init; }

    public uint? GroIPv4MaxSize { get; init; }

    public override string ToString() => $"{Kind?.Name ?? "link"} {Name}";
}

/// <summary>What to change of a device; null leaves the setting alone.</summary>
public sealed record LinkChange
{
    public string? Name { get; init; }

    public bool? Up { get; init; }

    public bool? NoArp { get; init; }

    public int? Mtu { get; init; }

    public MacAddress? Mac { get; init; }

    /// <summary>0 releases the device from its bridge.</summary>
    public int? Master { get; init; }

    public string? Alias { get; init; }

    public uint? Group { get; init; }

    public uint? GsoMaxSize { get; init; }

    public uint? GroMaxSize { get; init; }

    public uint? GsoIPv4MaxSize { get; init; }

    public uint? GroIPv4MaxSize { get; init; }

    public AddressGenerationMode? AddressGeneration { get; init; }

    /// <summary>Moves the device into another namespace.</summary>
    public int? NamespaceDescriptor { get; init; }
}
