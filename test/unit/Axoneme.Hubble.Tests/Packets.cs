// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.Hubble.Tests;

/// <summary>Packets as they are on the wire, without checksums (nothing that decodes looks at them).</summary>
internal static class Packets
{
    public static byte[] Ethernet(ushort type, byte[] payload, params ushort[] vlans)
    {
        byte[] frame = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        foreach (ushort vlan in vlans)
            frame = [.. frame, 0x81, 0, (byte)(vlan >> 8), (byte)vlan];
        return [.. frame, (byte)(type >> 8), (byte)type, .. payload];
    }

    public static byte[] Ip(string source, string destination, byte protocol, byte[] payload)
    {
        IpAddress from = IpAddress.Parse(source);
        return from.IsV6 ? IPv6(from, IpAddress.Parse(destination), protocol, payload) : IPv4(from, IpAddress.Parse(destination), protocol, payload);
    }

    public static byte[] Frame(string source, string destination, byte protocol, byte[] payload)
        => Ethernet(IpAddress.Parse(source).IsV6 ? (ushort)0x86dd : (ushort)0x0800, Ip(source, destination, protocol, payload));

    public static byte[] Tcp(ushort source, ushort destination, int flags)
    {
        byte[] segment = new byte[20];
        BinaryPrimitives.WriteUInt16BigEndian(segment, source);
        BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(2), destination);
        segment[12] = (byte)(0x50 | ((flags >> 8) & 1));
        segment[13] = (byte)flags;
        return segment;
    }

    public static byte[] Udp(ushort source, ushort destination)
        => [(byte)(source >> 8), (byte)source, (byte)(destination >> 8), (byte)destination, 0, 8, 0, 0];

    private static byte[] IPv4(IpAddress source, IpAddress destination, byte protocol, byte[] payload)
    {
        byte[] header = new byte[20];
        header[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(2), (ushort)(20 + payload.Length));
        header[9] = protocol;
        source.WriteBytes(header.AsSpan(12));
        destination.WriteBytes(header.AsSpan(16));
        return [.. header, .. payload];
    }

    private static byte[] IPv6(IpAddress source, IpAddress destination, byte protocol, byte[] payload)
    {
        byte[] header = new byte[40];
        header[0] = 0x60;
        header[6] = protocol;
        source.WriteBytes(header.AsSpan(8));
        destination.WriteBytes(header.AsSpan(24));
        return [.. header, .. payload];
    }
}

/// <summary>A small cluster: two pods, one service, two policies.</summary>
internal sealed class KnownCluster : IFlowEnrichment
{
    public static readonly FlowEndpoint Client = new(7, new SecurityIdentity(21001), LabelSet.Parse("k8s:app=cart"))
    {
        Namespace = "shop",
        PodName = "cart-abc",
        Workloads = [new FlowWorkload("Deployment", "cart")],
    };

    public static readonly FlowEndpoint Server = new(8, new SecurityIdentity(21002), LabelSet.Parse("k8s:app=db"))
    {
        Namespace = "shop",
        PodName = "db-0",
    };

    public static readonly FlowPolicy AllowDb =
        new("CiliumNetworkPolicy", "shop", "allow-db", 3) { Labels = ["k8s:x=y"], Rules = ["spec.ingress[0]"] };

    public FlowEndpoint? FindEndpoint(IpAddress address) => address.ToString() switch
    {
        "10.244.0.5" or "fd00:244::5" => Client,
        "10.244.0.6" or "fd00:244::6" => Server,
        _ => null,
    };

    public LabelSet? FindLabels(SecurityIdentity identity)
        => identity == SecurityIdentity.World ? LabelSet.Reserved("world") : identity.Value switch
        {
            30000 => LabelSet.Parse("k8s:app=other"),
            30001 => LabelSet.Parse("k8s:app=db", "k8s:io.kubernetes.pod.namespace=shop"),
            _ => null,
        };

    public FlowService? FindService(L4Address frontend)
        => frontend.Address.ToString() == "10.96.0.10" && frontend.Port == 80 ? new FlowService("shop", "db") : null;

    public ImmutableArray<string> FindNames(ushort endpointId, IpAddress address)
        => endpointId == 7 && address.ToString() == "203.0.113.10" ? ["api.example.com"] : [];

    public FlowAttribution? FindRules(uint cookie)
        => cookie == 5 ? new FlowAttribution(AttributionKind.Rules, [AllowDb]) { Logs = ["audited by finance"] } : null;

    public FlowAttribution? FindDefaultDeny(ushort endpointId, bool isEgress, bool isShadow) => (endpointId, isEgress, isShadow) switch
    {
        (8, false, false) => new FlowAttribution(AttributionKind.DefaultDeny, [AllowDb, new FlowPolicy("NetworkPolicy", "shop", "shut", 0)]),
        (8, false, true) => new FlowAttribution(AttributionKind.DefaultDeny, [new FlowPolicy("NetworkPolicy", "shop", "planned", 0)]),
        (7, true, false) => new FlowAttribution(AttributionKind.DefaultDeny, []),
        _ => null,
    };

    public string? FindInterface(uint index) => index == 14 ? "lxc1234" : null;
}
