// SPDX-License-Identifier: Apache-2.0
using System.Net.Sockets;
using System.Text;

namespace Axoneme.DnsProxy.Tests;

public sealed class ConnectionTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("dnsproxy").FullName;
    private readonly CancellationTokenSource _stop = new(TimeSpan.FromSeconds(30));

    private string SocketPath => Path.Combine(_directory, ProxyMessage.SocketName);

    [Fact]
    public async Task Without_a_proxy_there_is_no_connection()
        => Assert.Null(await DnsProxyConnection.TryConnectAsync(SocketPath, _stop.Token));

    [Fact]
    public async Task A_stale_socket_is_no_proxy()
    {
        using (var stale = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
            stale.Bind(new UnixDomainSocketEndPoint(SocketPath));
        Assert.Null(await DnsProxyConnection.TryConnectAsync(SocketPath, _stop.Token));
        using DnsProxyServer server = Listen();
        Task running = server.RunAsync(EchoAsync, _stop.Token);
        using DnsProxyConnection agent = await ConnectAsync();
        await _stop.CancelAsync();
        await running;
    }

    [Fact]
    public async Task Messages_arrive_in_order()
    {
        using DnsProxyServer server = Listen();
        Task running = server.RunAsync(EchoAsync, _stop.Token);
        using DnsProxyConnection agent = await ConnectAsync();
        Task sending = SendAllAsync(agent);
        for (int i = 0; i < 100; i++)
        {
            var back = Assert.IsType<LearnedAcknowledgement>(await agent.ReceiveAsync(_stop.Token));
            Assert.Equal(Enumerable.Repeat<long>(i, i * 20), back.Ids);
        }

        await sending;
        await _stop.CancelAsync();
        await running;
    }

    [Fact]
    public async Task A_new_agent_replaces_the_one_before()
    {
        using DnsProxyServer server = Listen();
        Task running = server.RunAsync(EchoAsync, _stop.Token);
        using DnsProxyConnection first = await ConnectAsync();
        await first.SendAsync(new SnapshotBegin(), _stop.Token);
        Assert.IsType<SnapshotBegin>(await first.ReceiveAsync(_stop.Token));
        using DnsProxyConnection second = await ConnectAsync();
        await second.SendAsync(new SnapshotEnd(), _stop.Token);
        Assert.IsType<SnapshotEnd>(await second.ReceiveAsync(_stop.Token));
        Assert.Null(await first.ReceiveAsync(_stop.Token));
        await _stop.CancelAsync();
        await running;
    }

    public static TheoryData<byte[]> Garbage() =>
    [
        Array.Empty<byte>(),
        new byte[] { 1, 2 },
        new byte[] { 0xff, 0xff, 0xff, 0xff, 1, 2, 3 },
        new byte[] { 0, 0, 1, 0 },
        new byte[] { 2, 0, 0, 0, (byte)'{', (byte)'}' },
        new byte[] { 0, 0, 0, 0 },
        Framed("""{"kind":"agent-hello","version":9,"oldest":9}"""),
        Framed("""{"kind":"snapshot-begin"}"""),
        Framed("GET / HTTP/1.1"),
    ];

    [Theory]
    [MemberData(nameof(Garbage))]
    public async Task Garbage_closes_its_own_connection_only(byte[] bytes)
    {
        using DnsProxyServer server = Listen();
        Task running = server.RunAsync(EchoAsync, _stop.Token);
        using DnsProxyConnection agent = await ConnectAsync();
        using (var stranger = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            await stranger.ConnectAsync(new UnixDomainSocketEndPoint(SocketPath), _stop.Token);
            await stranger.SendAsync(bytes, _stop.Token);
            stranger.Shutdown(SocketShutdown.Send);
            try
            {
                Assert.Equal(0, await stranger.ReceiveAsync(new byte[16], _stop.Token));
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
            {
                // Closed with bytes unread: that is an answer as well.
            }
        }

        await agent.SendAsync(new SnapshotBegin(), _stop.Token);
        Assert.IsType<SnapshotBegin>(await agent.ReceiveAsync(_stop.Token));
        await _stop.CancelAsync();
        await running;
    }

    [Fact]
    public async Task Garbage_of_an_agent_ends_its_service_and_the_next_is_served()
    {
        using DnsProxyServer server = Listen();
        Task running = server.RunAsync(EchoAsync, _stop.Token);
        using (DnsProxyConnection agent = await ConnectAsync())
        {
            await agent.SendJsonAsync("{\"kind\":7"u8.ToArray(), _stop.Token);
            Assert.Null(await agent.ReceiveAsync(_stop.Token));
        }

        using DnsProxyConnection next = await ConnectAsync();
        await next.SendAsync(new SnapshotBegin(), _stop.Token);
        Assert.IsType<SnapshotBegin>(await next.ReceiveAsync(_stop.Token));
        await _stop.CancelAsync();
        await running;
    }

    private async Task SendAllAsync(DnsProxyConnection agent)
    {
        for (int i = 0; i < 100; i++)
            await agent.SendAsync(new LearnedAcknowledgement([.. Enumerable.Repeat<long>(i, i * 20)]), _stop.Token);
    }

    private static async Task EchoAsync(DnsProxyConnection connection, CancellationToken cancellation)
    {
        while (await connection.ReceiveAsync(cancellation) is { } message)
            await connection.SendAsync(message, cancellation);
    }

    private DnsProxyServer Listen() => DnsProxyServer.Listen(SocketPath, () => new ProxyHello(10053, 1));

    private async Task<DnsProxyConnection> ConnectAsync()
    {
        (DnsProxyConnection Connection, ProxyHello Hello)? connected = await DnsProxyConnection.TryConnectAsync(SocketPath, _stop.Token);
        Assert.NotNull(connected);
        Assert.Equal(10053, connected.Value.Hello.Port);
        return connected.Value.Connection;
    }

    private static byte[] Framed(string json) => [(byte)json.Length, 0, 0, 0, .. Encoding.ASCII.GetBytes(json)];

    public void Dispose()
    {
        _stop.Dispose();
        Directory.Delete(_directory, recursive: true);
    }
}
