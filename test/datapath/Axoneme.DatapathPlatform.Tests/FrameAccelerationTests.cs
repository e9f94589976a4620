// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using Axoneme.Bpf;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Netlink;
using Axoneme.Network;

namespace Axoneme.DatapathPlatform.Tests;

/// <summary>The XDP program on a node's uplink.</summary>
public sealed class FrameAccelerationTests : IDisposable
{
    private const string Device = "eth0";
    private readonly TestNode _test = new();
    private readonly NetworkNamespace _outside;

    public FrameAccelerationTests()
    {
        _outside = _test.AddNamespace("outside");
        using RouteNetlink node = RouteNetlink.Open(_test.Host);
        node.AddLink(new LinkSpec(Device) { Kind = new VethKind(new LinkSpec(Device) { NamespaceDescriptor = _outside.Descriptor }), Up = true });
        using RouteNetlink outside = RouteNetlink.Open(_outside);
        outside.SetLink(outside.FindLink(Device)!.Index, new LinkChange { Up = true });
    }

    [Theory]
    [InlineData(AccelerationMode.Native)]
    [InlineData(AccelerationMode.Generic)]
    [InlineData(AccelerationMode.BestEffort)]
    public void It_is_attached_once_and_adopted_by_the_next_run(AccelerationMode mode)
    {
        using (NodeDatapath first = Start(mode))
            Assert.Contains("from_wire on eth0", first.Report.Created);
        using NodeDatapath again = Start(mode);
        Assert.Contains("from_wire on eth0", again.Report.Adopted);
        Assert.Equal([Device], again.AcceleratedDevices);
    }

    [Fact]
    public void Another_mode_replaces_it_and_none_removes_it()
    {
        Start(AccelerationMode.Native).Dispose();
        using (NodeDatapath generic = Start(AccelerationMode.Generic))
            Assert.Contains("from_wire on eth0", generic.Report.Created);
        using BpfProgram program = ProgramOf(Pin("generic"));
        using NodeDatapath none = Start(AccelerationMode.None);
        Assert.Empty(none.AcceleratedDevices);
        // A device has one XDP program: it is free now.
        using BpfLink other = AttachOther(program);
    }

    [Fact]
    public void A_device_that_refuses_is_an_error_or_done_without()
    {
        Start(AccelerationMode.Native).Dispose();
        using BpfProgram program = ProgramOf(Pin("native"));
        Start(AccelerationMode.None).Dispose();
        using BpfLink other = AttachOther(program);
        InvalidOperationException error = Assert.Throws<InvalidOperationException>(() => Start(AccelerationMode.Native));
        Assert.Contains("device eth0", error.Message, StringComparison.Ordinal);
        using NodeDatapath without = Start(AccelerationMode.BestEffort);
        Assert.Empty(without.AcceleratedDevices);
        Assert.StartsWith("from_wire on eth0", Assert.Single(without.Report.Refused), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("172.30.0.11", "172.30.0.12", "203.0.113.10", 24)]
    [InlineData("fd00:30::11", "fd00:30::12", "2001:db8::10", 64)]
    public async Task A_connection_from_outside_reaches_a_backend_of_another_node(string host, string backend, string client, int bits)
    {
        IpAddress own = IpAddress.Parse(host);
        // Client and other node are one namespace: for this node they are two addresses on the wire.
        Configure(_outside, bits, elsewhere: host, backend, client);
        Configure(_test.Host, bits, elsewhere: client, host);
        using NodeDatapath node = Start(AccelerationMode.Generic);
        var service = new ServiceMapEntry(new ServiceMapKey(new L4Address(own, 30080, L4Protocol.Tcp)))
        {
            Flags = LbFlags.NodePort | LbFlags.Routable,
            Backends = [new BackendMapEntry(new L4Address(IpAddress.Parse(backend), 8080, L4Protocol.Tcp))],
        };
        await Write(node, service);
        // Without the program behind the stack, which would do the same; and with the neighbours that it would have asked for.
        File.Delete(Path.Combine(_test.Paths.DeviceLinks(Device), HostObject.FromNetdev));
        AddNeighbors(backend, client);

        using Socket server = Open(backend, 8080);
        server.Listen();
        using Socket socket = Open(client, 0);
        await socket.ConnectAsync(new IPEndPoint(own.ToIPAddress(), 30080), TestContext.Current.CancellationToken);
        using Socket accepted = await server.AcceptAsync(TestContext.Current.CancellationToken);
        Assert.Equal(own.ToIPAddress(), ((IPEndPoint)accepted.RemoteEndPoint!).Address);
        await accepted.SendAsync("hello"u8.ToArray(), TestContext.Current.CancellationToken);
        byte[] buffer = new byte[16];
        Assert.Equal(5, await socket.ReceiveAsync(buffer, TestContext.Current.CancellationToken));
    }

    public void Dispose() => _test.Dispose();

    private string Pin(string mode) => Path.Combine(_test.Paths.DeviceLinks(Device), $"from_wire_{mode}");

    private static async Task Write(NodeDatapath node, ServiceMapEntry service)
    {
        var target = new ServiceTarget(node.Maps, new MaglevSettings(11, "seed", ServiceModel.Fill));
        await ServiceTargetTests.Apply(target, [service]);
    }

    private NodeDatapath Start(AccelerationMode mode)
    {
        _test.Options = _test.Options with
        {
            Devices = [Device],
            Services = new ServiceForwarding { NodePorts = true, Acceleration = mode },
        };
        return _test.Start();
    }

    private BpfLink AttachOther(BpfProgram program)
        => _test.Host.Run(() => BpfLink.AttachXdp(program, DeviceIndex(_test.Host), XdpMode.Native));

    private static BpfProgram ProgramOf(string pin)
    {
        using BpfLink link = BpfLink.OpenPinned(pin);
        return BpfProgram.OpenById(link.GetInfo().ProgramId);
    }

    private Socket Open(string address, int port)
        => _outside.Run(() =>
        {
            var endpoint = new IPEndPoint(IPAddress.Parse(address), port);
            var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(endpoint);
            return socket;
        });

    private static int DeviceIndex(NetworkNamespace host)
    {
        using RouteNetlink netlink = RouteNetlink.Open(host);
        return netlink.FindLink(Device)!.Index;
    }

    private void AddNeighbors(params string[] addresses)
    {
        using RouteNetlink outside = RouteNetlink.Open(_outside);
        using RouteNetlink node = RouteNetlink.Open(_test.Host);
        foreach (string address in addresses)
            node.ReplaceNeighbor(new Neighbor(DeviceIndex(_test.Host), IpAddress.Parse(address)) { Mac = outside.FindLink(Device)!.Mac });
    }

    // What is elsewhere is reached over the device as well.
    private static void Configure(NetworkNamespace host, int bits, string elsewhere, params string[] addresses)
    {
        using RouteNetlink netlink = RouteNetlink.Open(host);
        int device = netlink.FindLink(Device)!.Index;
        foreach (IpAddress address in addresses.Select(IpAddress.Parse))
            netlink.ReplaceAddress(new LinkAddress(device, address, bits) { Flags = address.IsV6 ? AddressFlags.NoDad : 0 });
        netlink.ReplaceRoute(new Route(IpPrefix.Parse($"{elsewhere}/{(elsewhere.Contains(':') ? 128 : 32)}")) { Device = device });
    }
}
