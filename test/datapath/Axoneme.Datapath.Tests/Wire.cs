// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath.Tests;

/// <summary>What became of a frame before the stack.</summary>
public sealed record WireOutcome(XdpVerdict Verdict, byte[] Bytes);

/// <summary>The program before the stack, on the uplink of a node.</summary>
public sealed class Wire : IDisposable
{
    private readonly Family _family;
    private readonly Uplink _uplink;

    public Wire(Family family, Func<XdpConstants, XdpConstants>? adjust = null)
    {
        _family = family;
        _uplink = new Uplink(
            IpAddress.Parse(family.Host), IpAddress.Parse(family.RemoteNode), IpAddress.Parse(family.Gateway),
            IpPrefix.Parse($"{family.Remote}/{(family.IsV6 ? 64 : 24)}"));
        XdpConstants constants = XdpObject.Image.DefaultConstants<XdpConstants>() with { NodePorts = true, UplinkIfindex = (uint)_uplink.Index };
        try
        {
            _uplink.Attach(Node.LoadFrameProgram(adjust?.Invoke(constants) ?? constants).Program(XdpObject.FromWire));
            AddDevice();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public Node Node { get; } = new();

    public static Packet FromClient(string from, string to, byte protocol = 6)
        => Packet.Between(from, to, protocol) with { SourceMac = Uplink.GatewayMac, DestinationMac = Uplink.Mac, Flags = protocol == 6 ? Tcp.Syn : 0 };

    public void RemoveDevice() => Assert.True(Node.Map(Maps.CiliumDevices).TryDelete((uint)_uplink.Index));

    public void ForgetRemoteNode() => _uplink.SetNeighbor(IpAddress.Parse(_family.RemoteNode), mac: null);

    public WireOutcome Receive(Packet packet) => Receive(packet.ToBytes());

    public WireOutcome Receive(byte[] frame) => Receive(frame, output => _uplink.Run(frame, output));

    /// <summary>Does something on a thread that stays on one processor, where it may let frames come in.</summary>
    public void OnOneProcessor(Action<Func<byte[], WireOutcome>> work)
        => _uplink.Inside(() =>
        {
            OneProcessor.Stay();
            work(frame => Receive(frame, output => _uplink.RunHere(frame, output)));
            return true;
        });

    /// <summary>What is to leave to a backend on the other node, with the source port that the program has chosen.</summary>
    public Packet Forwarded(Packet sent, string backend, byte[] actual)
    {
        int port = _family.IsV6 ? 54 : 34;
        return sent.Routed().ToService(backend).FromService(_family.At(_family.Host, (ushort)((actual[port] << 8) | actual[port + 1])))
            with
        { SourceMac = Uplink.Mac, DestinationMac = Uplink.NodeMac };
    }

    public void Dispose()
    {
        _uplink.Dispose();
        Node.Dispose();
    }

    private static WireOutcome Receive(byte[] frame, Func<byte[], BpfTestRunResult> run)
    {
        byte[] output = new byte[frame.Length + 256];
        BpfTestRunResult result = run(output);
        return new WireOutcome((XdpVerdict)result.ReturnValue, output[..result.OutputLength]);
    }

    // The device with the address that translated packets leave with.
    private void AddDevice()
    {
        var info = default(DeviceInfo);
        if (_family.IsV6)
            info.Ip6 = Node.Ip6(IpAddress.Parse(_family.Host));
        else
            info.Ip4 = (uint)IpAddress.Parse(_family.Host).Number;
        Convert.FromHexString(Uplink.Mac).CopyTo((Span<byte>)info.Mac.Bytes);
        Node.Map(Maps.CiliumDevices).Update((uint)_uplink.Index, info);
    }
}
