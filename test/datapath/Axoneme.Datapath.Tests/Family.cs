// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;

namespace Axoneme.Datapath.Tests;

/// <summary>Addresses of the test cluster in one IP version: each test of the datapath runs in both.</summary>
public sealed record Family(bool IsV6)
{
    public static TheoryData<Family> Both { get; } = new(new Family(false), new Family(true));

    public string Client => IsV6 ? "fd00:244::5" : "10.244.0.5";
    public string Server => IsV6 ? "fd00:244::6" : "10.244.0.6";
    public string Remote => IsV6 ? "fd00:244:0:1::7" : "10.244.1.7";
    public string RemoteNode => IsV6 ? "fd00:30::12" : "172.30.0.12";
    public string Gateway => IsV6 ? "fd00:30::1" : "172.30.0.1";
    public string Host => IsV6 ? "fd00:30::11" : "172.30.0.11";
    public string Outside => IsV6 ? "2001:db8::10" : "203.0.113.10";
    public string OutsidePrefix => IsV6 ? "2001:db8::/32" : "203.0.113.0/24";
    public string Service => IsV6 ? "fd00:96::10" : "10.96.0.10";
    public string Loopback => IsV6 ? "fe80::1" : "169.254.42.1";
    public string Any => IsV6 ? "::" : "0.0.0.0";
    public string Self => IsV6 ? "::1" : "127.0.0.1";
    public string Stranger => IsV6 ? "fd00:244::66" : "10.244.0.66";
    public byte Icmp => IsV6 ? (byte)58 : (byte)1;
    public byte EchoRequest => IsV6 ? (byte)128 : (byte)8;

    /// <summary>Type and code of "port unreachable".</summary>
    public (byte Type, byte Code) PortUnreachable => IsV6 ? ((byte)1, (byte)4) : ((byte)3, (byte)3);

    /// <summary>Type and code of "administratively prohibited".</summary>
    public (byte Type, byte Code) Prohibited => IsV6 ? ((byte)1, (byte)1) : ((byte)3, (byte)13);

    public AddressFamily Sockets => IsV6 ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork;

    /// <summary>Type and code of "packet too big" or "fragmentation needed".</summary>
    public (byte Type, byte Code) PacketTooBig => IsV6 ? ((byte)2, (byte)0) : ((byte)3, (byte)4);

    /// <summary>The loopback address and a port that the kernel chooses.</summary>
    public IPEndPoint LoopbackEndpoint => new(IPAddress.Parse(Self), 0);

    public string At(string address, ushort port) => IsV6 ? $"[{address}]:{port}" : $"{address}:{port}";

    public override string ToString() => IsV6 ? "IPv6" : "IPv4";
}

/// <summary>A node with a client and a server pod, a remote pod behind another node, and a prefix of the outside world.</summary>
public sealed class Cluster : IDisposable
{
    public const uint ClientIdentity = 20001;
    public const uint ServerIdentity = 20002;
    public const uint RemoteIdentity = 20003;
    public const uint PrefixIdentity = 16777217;

    public Cluster(Family family, bool tunnel = false, bool perPacketLb = false, uint? uplink = Tests.Node.Uplink, uint connections = 1024, Abi.TraceAggregation aggregation = Abi.TraceAggregation.Connections, EdgeOptions? edge = null)
    {
        Node = new Node(tunnel, perPacketLb, uplink, connections, aggregation, edge);
        Client = Node.AddPod(5, ClientIdentity, "10.244.0.5", "fd00:244::5");
        Server = Node.AddPod(6, ServerIdentity, "10.244.0.6", "fd00:244::6");
        Node.AddHostAddress(family.Host);
        Node.AddDevice(Tests.Node.Uplink, "172.30.0.11", "fd00:30::11");
        Node.AddDevice(Tests.Node.Tunnel, Tests.Node.Router(v6: false), Tests.Node.Router(v6: true));
        Node.AddIdentity(family.Remote, RemoteIdentity, family.IsV6 && !tunnel ? family.RemoteNode : "172.30.0.12");
        Node.AddIdentity(family.OutsidePrefix, PrefixIdentity);
    }

    public Node Node { get; }

    public Pod Client { get; }

    public Pod Server { get; }

    public void Dispose() => Node.Dispose();
}
