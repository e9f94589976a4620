// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;

namespace Axoneme.Datapath.Tests;

/// <summary>Connections of pods with servers on the node itself, whose sockets have the ends that the proxy's would have.</summary>
public sealed class ProxiedStreamTests : IDisposable
{
    private const string Folder = "/run/netns";
    private const ushort Port = 53;
    private const byte Protocol = 6;
    private static int s_count;

    private readonly string _name = $"axoneme-proxied-{Environment.ProcessId}-{Interlocked.Increment(ref s_count)}";
    private readonly NetworkNamespace _place;
    private readonly List<Socket> _sockets = [];

    public ProxiedStreamTests() => _place = NetworkNamespace.Create(Folder, _name);

    public void Dispose()
    {
        _sockets.ForEach(s => s.Dispose());
        _place.Dispose();
        NetworkNamespace.Delete(Folder, _name);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_connection_from_before_the_redirect_does_not_go_on_with_the_server(Family f)
    {
        using var c = new Cluster(f);
        Packet data = Connect(f, mark: 0);
        PolicyKey rule = Allow(c);
        Assert.Null(Send(c, data with { Flags = Tcp.Syn }).Dropped);
        Assert.Null(Send(c, data).Dropped);
        Redirect(c, rule);
        Assert.Equal(DropReason.SocketLookupFailed, Send(c, data).Dropped);
    }

    [Theory, MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void A_connection_that_the_proxy_accepted_goes_to_it(Family f)
    {
        using var c = new Cluster(f);
        Packet data = Connect(f, mark: (int)PacketMark.FromProxy);
        Redirect(c, Allow(c));
        Assert.NotEqual(DropReason.SocketLookupFailed, Send(c, data).Dropped);
    }

    private static PolicyKey Allow(Cluster c)
    {
        PolicyKey rule = Node.Rule(c.Client, TrafficDirection.Egress, c.Server.Identity, Protocol, Port);
        c.Node.Enforce(c.Client, PolicyStateFlags.EgressEnforced);
        return rule;
    }

    // Nobody listens there: what goes to no connection of the proxy goes nowhere.
    private static void Redirect(Cluster c, PolicyKey rule)
    {
        c.Client.Policy.Update(rule, new PolicyEntry { PrefixLen = 24, ProxyPort = 1 });
        c.Node.Enforce(c.Client, PolicyStateFlags.EgressEnforced);
    }

    private Outcome Send(Cluster c, Packet packet) => _place.Run(() => c.Node.Send(c.Client, packet));

    /// <summary>Opens a connection between the addresses of client and server; returns a packet of it.</summary>
    private Packet Connect(Family f, int mark)
    {
        foreach (string command in (string[])["link set lo up", $"address add {f.Client} dev lo", $"address add {f.Server} dev lo"])
            Run($"-n {_name} {command}");
        return _place.Run(() =>
        {
            using var listener = new Socket(f.Sockets, SocketType.Stream, ProtocolType.Tcp);
            listener.Bind(new IPEndPoint(IPAddress.Parse(f.Server), Port));
            listener.Listen();
            var client = new Socket(f.Sockets, SocketType.Stream, ProtocolType.Tcp);
            client.Bind(new IPEndPoint(IPAddress.Parse(f.Client), 0));
            client.Connect(listener.LocalEndPoint!);
            Socket server = listener.Accept();
            server.SetRawSocketOption(1, 36, BitConverter.GetBytes(mark));
            _sockets.AddRange([client, server]);
            ushort port = (ushort)((IPEndPoint)client.LocalEndPoint!).Port;
            return Packet.TcpFrom(f.At(f.Client, port), f.At(f.Server, Port)) with { Flags = Tcp.Ack };
        });
    }

    private static void Run(string arguments)
    {
        using var process = System.Diagnostics.Process.Start("ip", arguments);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }
}
