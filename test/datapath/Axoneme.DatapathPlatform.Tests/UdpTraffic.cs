// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using Axoneme.Linux;
using Axoneme.Network;

namespace Axoneme.DatapathPlatform.Tests;

/// <summary>Sends every datagram back, from inside a pod.</summary>
internal sealed class UdpEcho : IDisposable
{
    public const int Port = 7777;
    private readonly Socket _socket;
    private readonly Thread _thread;

    public UdpEcho(NetworkNamespace pod, IpAddress address)
    {
        _socket = pod.Run(() => new Socket(address.ToIPAddress().AddressFamily, SocketType.Dgram, ProtocolType.Udp));
        _socket.Bind(new IPEndPoint(address.ToIPAddress(), Port));
        // So that the thread notices the end.
        _socket.ReceiveTimeout = 100;
        _thread = new Thread(Serve) { IsBackground = true };
        _thread.Start();
    }

    public void Dispose()
    {
        _socket.Dispose();
        _thread.Join();
    }

    private void Serve()
    {
        byte[] buffer = new byte[2048];
        EndPoint peer = new IPEndPoint(_socket.AddressFamily == AddressFamily.InterNetworkV6 ? IPAddress.IPv6Any : IPAddress.Any, 0);
        while (true)
        {
            try
            {
                int length = _socket.ReceiveFrom(buffer, ref peer);
                _socket.SendTo(buffer, 0, length, SocketFlags.None, peer);
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.TimedOut)
            {
            }
            catch (Exception e) when (e is ObjectDisposedException or SocketException)
            {
                return;
            }
        }
    }
}

/// <summary>Asks a <see cref="UdpEcho"/> from inside another pod.</summary>
internal sealed class UdpPing : IDisposable
{
    private readonly Socket _socket;

    public UdpPing(NetworkNamespace pod, IpAddress target)
    {
        _socket = pod.Run(() => new Socket(target.ToIPAddress().AddressFamily, SocketType.Dgram, ProtocolType.Udp));
        _socket.Connect(new IPEndPoint(target.ToIPAddress(), UdpEcho.Port));
        _socket.ReceiveTimeout = 2000;
    }

    public void Dispose() => _socket.Dispose();

    /// <summary>Whether the number came back.</summary>
    public bool Exchange(int number)
    {
        byte[] buffer = new byte[sizeof(int)];
        try
        {
            _socket.Send(BitConverter.GetBytes(number));
            return _socket.Receive(buffer) == sizeof(int) && BitConverter.ToInt32(buffer) == number;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
