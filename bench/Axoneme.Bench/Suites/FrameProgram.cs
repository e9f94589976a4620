// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Datapath.Tests;
using Axoneme.Network;

namespace Axoneme.Bench.Suites;

/// <summary>
/// Cost of load balancing before the stack for one frame of an established connection, by BPF_PROG_TEST_RUN: lookups, routing table and
/// rewriting. A repetition gets the frame that the one before left, so the place is made such that this is the same frame again:
/// the frontend is its own backend, the client has the address that translated packets leave with, and the next hop is the uplink itself.
/// </summary>
internal static class FrameProgram
{
    // One hop is used up each time.
    private const int Repetitions = 250;
    private const int Samples = 400;

    public static IEnumerable<Row> Run()
    {
        foreach (bool isV6 in new[] { false, true })
        {
            (string client, string backend) = isV6 ? ("[fd00:30::99]:40000", "[fd00:244:0:1::7]:8080") : ("172.30.0.99:40000", "10.244.1.7:8080");
            string version = isV6 ? "IPv6" : "IPv4";
            using var node = new Node(connections: 65536);
            using Uplink uplink = Prepare(node, isV6, client, backend);
            yield return Row.FromSamples(
                $"XDP program, to a backend elsewhere, {version}", "ns", Measure(uplink, client, backend), 0.5, aim: 200);
            yield return Row.FromSamples(
                $"XDP program, answer to the client, {version}", "ns", Measure(uplink, backend, client), 0.5, aim: 200);
        }
    }

    private static Uplink Prepare(Node node, bool isV6, string client, string backend)
    {
        (string host, string other, string gateway, string pods) = isV6
            ? ("fd00:30::11", "fd00:30::12", "fd00:30::1", "fd00:244:0:1::/64")
            : ("172.30.0.11", "172.30.0.12", "172.30.0.1", "10.244.1.0/24");
        (IpAddress address, _) = Packet.Endpoint(client);
        var uplink = new Uplink(IpAddress.Parse(host), IpAddress.Parse(other), IpAddress.Parse(gateway), IpPrefix.Parse(pods));
        uplink.SetNeighbor(IpAddress.Parse(other), Uplink.Mac);
        uplink.SetNeighbor(address, Uplink.Mac);
        XdpConstants constants = XdpObject.Image.DefaultConstants<XdpConstants>();
        constants.NodePorts = true;
        constants.UplinkIfindex = (uint)uplink.Index;
        uplink.Attach(node.LoadFrameProgram(constants).Program(XdpObject.FromWire));
        var info = new DeviceInfo();
        Convert.FromHexString(Uplink.Mac).CopyTo((Span<byte>)info.Mac.Bytes);
        if (isV6)
            info.Ip6 = Node.Ip6(address);
        else
            info.Ip4 = (uint)address.Number;
        node.Map(Maps.CiliumDevices).Update((uint)uplink.Index, info);
        new TestService(backend, 7, 6) { Flags = LbFlags.Routable | LbFlags.LoadBalancer, Backends = [backend] }.Install(node);
        return uplink;
    }

    private static double[] Measure(Uplink uplink, string from, string to)
    {
        Packet data = Packet.TcpFrom(from, to, Tcp.Ack) with { SourceMac = Uplink.Mac, DestinationMac = Uplink.Mac, HopLimit = 255 };
        byte[] frame = data.ToBytes();
        byte[] output = new byte[frame.Length];
        BpfTestRunResult first = uplink.Run(frame, output);
        if ((XdpVerdict)first.ReturnValue != XdpVerdict.Transmit || !output.AsSpan().SequenceEqual(data.Routed().ToBytes()))
            throw new InvalidOperationException($"the frame from {from} to {to} does not come back as itself: {(XdpVerdict)first.ReturnValue}");
        return [.. Enumerable.Range(0, Samples).Select(_ => (double)uplink.Run(frame, output, Repetitions).Nanoseconds)];
    }
}
