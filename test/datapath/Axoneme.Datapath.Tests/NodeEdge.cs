// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath.Tests;

/// <summary>What a node does at its edge, as its load-time constants say it.</summary>
public sealed record EdgeOptions
{
    public bool NodePorts { get; init; }
    public bool Dsr { get; init; }
    public bool Masquerade { get; init; }
    public bool MasqueradeExceptions { get; init; }

    /// <summary>Destinations of both families that are not masqueraded.</summary>
    public IReadOnlyList<string> NativePrefixes { get; init; } = [];

    public ushort NatPortMin { get; init; } = 32768;
    public ushort NatPortMax { get; init; } = 65535;
    public bool Reject { get; init; } = true;

    /// <summary>Number of the node as an endpoint; 0: no host firewall.</summary>
    public ushort HostEndpoint { get; init; }

    /// <summary>Number of the cluster in its identities.</summary>
    public uint ClusterId { get; init; }

    /// <summary>Bits below that number.</summary>
    public byte ClusterIdentityBits { get; init; } = 16;

    /// <summary>Services without backends keep their packets.</summary>
    public bool Claim { get; init; } = true;

    /// <summary>A pod is told what its own policy drops.</summary>
    public bool TellDenied { get; init; }

    public object Apply(object constants)
    {
        if (constants is INatConstants nat)
        {
            nat.NodePorts = NodePorts;
            nat.ServiceDsr = Dsr;
            nat.Masquerade4 = nat.Masquerade6 = Masquerade;
            nat.MasqueradeExceptions = MasqueradeExceptions;
            nat.NatPortMin = NatPortMin;
            nat.NatPortMax = NatPortMax;
            NativePrefixes.Select(IpPrefix.Parse).ToList().ForEach(prefix => Exclude(nat, prefix));
        }

        if (constants is ILbConstants lb)
        {
            lb.RejectWithoutBackend = Reject;
            lb.ClaimWithoutBackend = Claim;
        }

        if (constants is INodeConstants node)
        {
            (node.StackRoutesWorld, node.HostEndpoint, node.PolicyDenyIcmp) = (!Masquerade, HostEndpoint, TellDenied);
            (node.ClusterId, node.ClusterIdentityBits) = (ClusterId, ClusterIdentityBits);
        }

        return constants;
    }

    private static void Exclude(INatConstants nat, IpPrefix prefix)
    {
        UInt128 mask = prefix.Length == 0 ? 0 : UInt128.MaxValue << ((prefix.IsV6 ? 128 : 32) - prefix.Length);
        if (prefix.IsV6)
            (nat.NativeCidr6, nat.NativeMask6) = (Node.Ip6(prefix.Address), Node.Ip6(IpAddress.FromV6(mask)));
        else
            (nat.NativeCidr4, nat.NativeMask4) = ((uint)prefix.Address.Number, (uint)mask);
    }
}

/// <summary>Tables of services and translations.</summary>
public sealed partial class Node
{
    /// <summary>Address of cilium_host: what answers through the tunnel come back to.</summary>
    public static string Router(bool v6) => v6 ? "fd00:244::1" : "10.244.0.1";

    /// <summary>A device that leads out, with the addresses of translated packets.</summary>
    public void AddDevice(uint ifindex, string address4, string address6)
        => Map(Maps.CiliumDevices).Update(
            ifindex,
            new DeviceInfo { Ip4 = (uint)IpAddress.Parse(address4).Number, Ip6 = Ip6(IpAddress.Parse(address6)) });

    /// <summary>A service for clients outside.</summary>
    public void AddFrontend(string frontend, ushort reverseNat, byte protocol, string[] backends, LbFlags flags = LbFlags.Routable | LbFlags.NodePort, LbFlags2 flags2 = 0)
    {
        AddService(frontend, reverseNat, protocol, backends);
        (IpAddress address, ushort port) = Packet.Endpoint(frontend);
        WriteSlot(address, port, 0, protocol, new LbService
        {
            Count = (ushort)backends.Length,
            RevNat = reverseNat,
            Flags = (byte)flags,
            Flags2 = (byte)flags2,
        });
    }

    /// <summary>The entry that refuses what is not served on a service's address.</summary>
    public void AddWildcard(string address)
        => WriteSlot(IpAddress.Parse(address), 0, 0, 0, new LbService { Flags = (byte)LbFlags.Routable });

    public void AddSourceRange(ushort reverseNat, string prefix)
    {
        IpPrefix range = IpPrefix.Parse(prefix);
        if (range.IsV6)
            Map(Maps.CiliumLb6SourceRange).Update(new Lb6SourceRange { PrefixLen = 32u + (uint)range.Length, RevNat = reverseNat, Addr = Ip6(range.Address) }, 0);
        else
            Map(Maps.CiliumLb4SourceRange).Update(new Lb4SourceRange { PrefixLen = 32u + (uint)range.Length, RevNat = reverseNat, Addr = (uint)range.Address.Number }, 0);
    }

    /// <summary>All translations of one direction: the key's ends and what they become.</summary>
    public IReadOnlyList<Translation> Translations(bool v6, NatDirection direction)
        => v6
            ? [.. Map(Maps.CiliumSnatV6External).Entries().Where(e => e.Key.Direction == (byte)direction).Select(Translation.Of)]
            : [.. Map(Maps.CiliumSnatV4External).Entries().Where(e => e.Key.Direction == (byte)direction).Select(Translation.Of)];

    /// <summary>Takes the translations of one direction away, as the map does with the oldest when it is full.</summary>
    public void ForgetTranslations(bool v6, NatDirection direction)
    {
        foreach (Nat4Key key in v6 ? [] : Map(Maps.CiliumSnatV4External).Entries().Select(e => e.Key).Where(k => k.Direction == (byte)direction).ToList())
            Map(Maps.CiliumSnatV4External).TryDelete(key);
        foreach (Nat6Key key in v6 ? Map(Maps.CiliumSnatV6External).Entries().Select(e => e.Key).Where(k => k.Direction == (byte)direction).ToList() : [])
            Map(Maps.CiliumSnatV6External).TryDelete(key);
    }

    /// <summary>Takes all entries of conntrack away, as the map does with the oldest when it is full.</summary>
    public void ForgetConnections(bool v6)
    {
        if (v6)
            Map(Maps.CiliumCt6Global).Entries().ToList().ForEach(e => Map(Maps.CiliumCt6Global).TryDelete(e.Key));
        else
            Map(Maps.CiliumCt4Global).Entries().ToList().ForEach(e => Map(Maps.CiliumCt4Global).TryDelete(e.Key));
    }

    /// <summary>Connections that needed that many more ports to try.</summary>
    public uint AllocationTries(bool v6, uint tries)
    {
        uint[] counts = new uint[ProcessorSet.PossibleCount];
        BpfMap map = _maps[v6 ? "cilium_snat_v6_alloc_retries" : "cilium_snat_v4_alloc_retries"];
        using BpfPerCpuMap<uint, uint> typed = BpfMap.OpenById(map.Id).AsPerCpu<uint, uint>();
        typed.TryLookup(tries, counts);
        return counts.Aggregate(0u, (sum, count) => sum + count);
    }

    /// <summary>A destination that is not masqueraded.</summary>
    public void AddMasqueradeException(string prefix)
    {
        IpPrefix range = IpPrefix.Parse(prefix);
        if (range.IsV6)
            Map(Maps.CiliumIpmasqV6).Update(new Masq6Prefix { PrefixLen = (uint)range.Length, Addr = Ip6(range.Address) }, 0);
        else
            Map(Maps.CiliumIpmasqV4).Update(new Masq4Prefix { PrefixLen = (uint)range.Length, Addr = (uint)range.Address.Number }, 0);
    }

    public Outcome ToNetwork(byte[] frame, uint mark = 0) => Run(Host.Program(HostObject.ToNetdev), frame, mark);

    public Outcome ToNetwork(Packet packet, uint mark = 0) => ToNetwork(packet.ToBytes(), mark);
}

/// <summary>An entry of the translation maps in words of both families.</summary>
public sealed record Translation(string Source, ushort SourcePort, string Destination, ushort DestinationPort, string Becomes, ushort BecomesPort, ushort ReverseNat, NatFlags Flags)
{
    public static Translation Of(KeyValuePair<Nat4Key, Nat4Entry> e)
        => new(Text(e.Key.Source), e.Key.SourcePort.Value, Text(e.Key.Destination), e.Key.DestinationPort.Value, Text(e.Value.Addr), e.Value.Port.Value, e.Value.RevNat, (NatFlags)e.Value.Flags);

    public static Translation Of(KeyValuePair<Nat6Key, Nat6Entry> e)
        => new(Text(e.Key.Source), e.Key.SourcePort.Value, Text(e.Key.Destination), e.Key.DestinationPort.Value, Text(e.Value.Addr), e.Value.Port.Value, e.Value.RevNat, (NatFlags)e.Value.Flags);

    private static string Text(NetU32 address) => IpAddress.FromV4(address.Value).ToString();

    private static string Text(Ip6Addr address) => new System.Net.IPAddress((ReadOnlySpan<byte>)address.Bytes).ToString();
}
