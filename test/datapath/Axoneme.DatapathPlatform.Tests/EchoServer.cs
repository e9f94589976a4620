// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using System.Text;
using Axoneme.Linux;
using Axoneme.Network;

namespace Axoneme.DatapathPlatform.Tests;

/// <summary>Answers over UDP and TCP with the address that it was asked from and with the question: <c>10.0.0.1 question</c>.</summary>
internal sealed class EchoServer : IDisposable
{
    private readonly int _repeat;
    private readonly Socket _datagrams;
    private readonly Socket _listener;

    /// <param name="repeat">How often the question is in the answer.</param>
    public EchoServer(NetworkNamespace place, IpAddress address, ushort port, int repeat = 1)
    {
        _repeat = repeat;
        var end = new IPEndPoint(address.ToIPAddress(), port);
        _datagrams = place.Run(() => new Socket(end.AddressFamily, SocketType.Dgram, ProtocolType.Udp));
        // A proxy beside it answers from this address.
        _datagrams.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        _datagrams.Bind(end);
        _listener = place.Run(() => new Socket(end.AddressFamily, SocketType.Stream, ProtocolType.Tcp));
        _listener.Bind(end);
        _listener.Listen();
        _ = ServeDatagramsAsync(end);
        _ = ServeStreamsAsync();
    }

    public void Dispose()
    {
        _datagrams.Dispose();
        _listener.Dispose();
    }

    private byte[] Answer(EndPoint from, ReadOnlySpan<byte> question)
        => Encoding.ASCII.GetBytes(
            $"{((IPEndPoint)from).Address} {string.Concat(Enumerable.Repeat(Encoding.ASCII.GetString(question), _repeat))}");

    private async Task ServeDatagramsAsync(IPEndPoint any)
    {
        byte[] buffer = new byte[8192];
        try
        {
            while (true)
            {
                SocketReceiveFromResult question = await _datagrams.ReceiveFromAsync(buffer, any);
                await _datagrams.SendToAsync(Answer(question.RemoteEndPoint, buffer.AsSpan(0, question.ReceivedBytes)), question.RemoteEndPoint);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The end of the test.
        }
    }

    private async Task ServeStreamsAsync()
    {
        byte[] buffer = new byte[8192];
        try
        {
            while (true)
            {
                using Socket client = await _listener.AcceptAsync();
                int length;
                while ((length = await client.ReceiveAsync(buffer)) > 0)
                    await client.SendAsync(Answer(client.RemoteEndPoint!, buffer.AsSpan(0, length)));
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
        }
    }
}
