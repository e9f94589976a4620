// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using Axoneme.Dns;
using Axoneme.DnsProxy;
using Axoneme.Linux;
using Axoneme.Network;
using Axoneme.Proxy.KernelTests;

namespace Axoneme.Bench.Sites;

/// <summary>
/// A resolver that answers one question, reachable from a pod through the DNS proxy and, on another port, past it; and the agent's side of the proxy, which
/// takes the records of all questions.
/// </summary>
internal sealed class DnsSite : IDisposable
{
    private const int ProxiedPort = 53;
    private const string Name = "www.example";

    private readonly ProxyNode _node;
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Socket> _servers = [];
    private readonly DnsProxyConnection _agent;

    public DnsSite()
    {
        Leftovers.Add(this);
        _node = new ProxyNode(Path.Combine(AppContext.BaseDirectory, "axoneme-proxy"));
        try
        {
            foreach (int port in (int[])[ProxiedPort, ProxyNode.DirectPort])
                _servers.Add(Serve(port));
            _node.Start("--dnsproxy-workers=1");
            _agent = DescribeAsync().GetAwaiter().GetResult();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Seconds that the proxy has used a processor.</summary>
    public double ProxyProcessorSeconds
    {
        get
        {
            // User and system time, in ticks of 10 ms (proc_pid_stat(5)); the name of the program may have spaces.
            string stat = File.ReadAllText($"/proc/{_node.ProcessId}/stat");
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return (long.Parse(fields[11]) + long.Parse(fields[12])) / 100.0;
        }
    }

    public DnsClient Proxied() => new(_node.Pod, ProxyNode.ServerAddress, ProxiedPort);

    public DnsClient Direct() => new(_node.Pod, ProxyNode.ServerAddress, ProxyNode.DirectPort);

    public void Dispose() => Leftovers.Remove(this, () =>
    {
        _stop.Cancel();
        _agent?.Dispose();
        _servers.ForEach(s => s.Dispose());
        _node.Dispose();
    });

    public static byte[] Question() => Message(0x0100, answer: false);

    private static byte[] Message(ushort flags, bool answer)
    {
        byte[] message = new byte[128];
        message[2] = (byte)(flags >> 8);
        message[3] = (byte)flags;
        message[5] = 1;
        int at = DnsHeader.Bytes + DnsName.Write(Name, message.AsSpan(DnsHeader.Bytes));
        ((ReadOnlySpan<byte>)[0, 1, 0, 1]).CopyTo(message.AsSpan(at));
        at += 4;
        if (!answer)
            return message[..at];
        message[7] = 1;
        ((ReadOnlySpan<byte>)[0xC0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 192, 0, 2, 1]).CopyTo(message.AsSpan(at));
        return message[..(at + 16)];
    }

    private Socket Serve(int port)
    {
        Socket socket = _node.Server.Run(() =>
        {
            var opened = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { ReceiveBufferSize = 4 << 20, SendBufferSize = 4 << 20 };
            opened.Bind(new IPEndPoint(IPAddress.Parse(ProxyNode.ServerAddress), port));
            return opened;
        });
        new Thread(() => Answer(socket)) { IsBackground = true }.Start();
        return socket;
    }

    private static void Answer(Socket socket)
    {
        byte[] query = new byte[512], answer = Message(0x8180, answer: true);
        var from = new SocketAddress(AddressFamily.InterNetwork);
        try
        {
            while (true)
            {
                socket.ReceiveFrom(query, SocketFlags.None, from);
                query.AsSpan(0, 2).CopyTo(answer);
                socket.SendTo(answer, SocketFlags.None, from);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The measurement is over.
        }
    }

    private async Task<DnsProxyConnection> DescribeAsync()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        (DnsProxyConnection connection, _) = await _node.ConnectAsync(limit.Token);
        if (!DnsPattern.TryParsePattern("*.example", out DnsPattern pattern, out string problem))
            throw new FormatException(problem);
        var rule = new DnsRule(default, L4Protocol.Any, ProxiedPort, 16, [pattern]);
        foreach (ProxyMessage message in (ProxyMessage[])[
            new SnapshotBegin(), new SetOptions(new ProxyOptions()),
            new UpdateEndpoints([new ProxiedEndpoint(1, new SecurityIdentity(4711), [IpAddress.Parse(ProxyNode.PodAddress)], [rule])], []),
            new UpdateSets([new SelectorSet(new SecurityIdentity(SecurityIdentity.LocalCidrScope + 1), [pattern])], []), new SnapshotEnd()])
            await connection.SendAsync(message, limit.Token);
        await connection.SendAsync(new SyncRequest(1), limit.Token);
        while (await connection.ReceiveAsync(limit.Token) is { } message and not SyncReply)
            _ = message;
        _ = TakeAsync(connection);
        return connection;
    }

    private async Task TakeAsync(DnsProxyConnection connection)
    {
        try
        {
            while (await connection.ReceiveAsync(_stop.Token) is { } message)
            {
                if (message is Learned { Id: not 0 } learned)
                    await connection.SendAsync(new LearnedAcknowledgement([learned.Id]), _stop.Token);
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
        {
            // The measurement is over.
        }
    }
}

/// <summary>Asks from the pod, on a socket of its own.</summary>
internal sealed class DnsClient : IDisposable
{
    private readonly Socket _socket;
    private readonly byte[] _question = DnsSite.Question();
    private readonly byte[] _answer = new byte[512];
    private ushort _id;

    public DnsClient(NetworkNamespace place, string server, int port)
    {
        _socket = place.Run(() => new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { ReceiveTimeout = 2000 });
        _socket.Connect(IPAddress.Parse(server), port);
    }

    public void Ask()
    {
        DnsReply.SetId(_question, ++_id);
        _socket.Send(_question);
    }

    /// <exception cref="BenchException">No answer came, or one that is none.</exception>
    public void Await()
    {
        int length = _socket.Receive(_answer, SocketFlags.None, out SocketError error);
        if (error != SocketError.Success || length <= _question.Length || (_answer[3] & DnsHeader.RcodeMask) != 0)
            throw new BenchException($"dns: no answer ({error}, {length} bytes)");
    }

    public void Dispose() => _socket.Dispose();
}
