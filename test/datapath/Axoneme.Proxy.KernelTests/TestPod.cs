// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using System.Text;
using Axoneme.Dns;
using Axoneme.Dns.Tests;
using Axoneme.Linux;

namespace Axoneme.Proxy.KernelTests;

/// <summary>What a client got.</summary>
internal sealed record TestAnswer(DnsHeader Header, string Name, IReadOnlyList<string> Addresses, int Length);

/// <summary>Asks from the pod's namespace. UDP sockets are connected: an answer that does not come from the server does not arrive.</summary>
internal static class TestPod
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private static int s_id = 1000;

    public static Socket Open(NetworkNamespace pod, string server, bool isTcp = false, string? from = null, int port = 53)
    {
        var to = new IPEndPoint(IPAddress.Parse(server), port);
        return pod.Run(() =>
        {
            var socket = new Socket(to.AddressFamily, isTcp ? SocketType.Stream : SocketType.Dgram, isTcp ? ProtocolType.Tcp : ProtocolType.Udp)
            {
                ReceiveTimeout = (int)Patience.TotalMilliseconds,
            };
            if (from is not null)
                socket.Bind(new IPEndPoint(IPAddress.Parse(from), 0));
            socket.Connect(to);
            return socket;
        });
    }

    public static byte[] Question(string name, ushort type = DnsType.A, ushort? edns = null, ushort? id = null)
    {
        PacketWriter query = new PacketWriter(id ?? (ushort)Interlocked.Increment(ref s_id), DnsHeader.RecursionDesiredFlag).Question(name, type);
        return (edns is { } size ? query.Opt(size) : query).ToArray();
    }

    public static TestAnswer Ask(ProxyNode node, string name, ushort type = DnsType.A, string server = ProxyNode.ServerAddress,
        bool isTcp = false, ushort? edns = null, string? from = null)
    {
        using Socket socket = Open(node.Pod, server, isTcp, from);
        byte[] query = Question(name, type, edns);
        Send(socket, query);
        TestAnswer answer = Read(Receive(socket));
        Assert.Equal((ushort)((query[0] << 8) | query[1]), answer.Header.Id);
        return answer;
    }

    public static void Send(Socket socket, byte[] message)
        => socket.Send(socket.SocketType == SocketType.Stream ? [(byte)(message.Length >> 8), (byte)message.Length, .. message] : message);

    public static byte[] Receive(Socket socket)
    {
        byte[] buffer = new byte[65536];
        if (socket.SocketType == SocketType.Dgram)
            return buffer[..socket.Receive(buffer)];
        ReadExactly(socket, buffer.AsSpan(0, 2));
        int length = (buffer[0] << 8) | buffer[1];
        ReadExactly(socket, buffer.AsSpan(0, length));
        return buffer[..length];
    }

    public static TestAnswer Read(byte[] message)
    {
        byte[] text = new byte[DnsName.MaximalTextBytes];
        Assert.True(DnsHeader.TryRead(message, out DnsHeader header));
        if (!DnsQuestion.TryRead(message, text, out DnsQuestion question))
            return new TestAnswer(header, "", [], message.Length);
        var addresses = new List<string>();
        var answer = new DnsAnswer(message, question);
        while (answer.TryNext(out ushort type, out int offset, out int length))
        {
            if (type is DnsType.A or DnsType.Aaaa)
                addresses.Add(new IPAddress(message.AsSpan(offset, length)).ToString());
        }

        Assert.False(answer.IsMalformed);
        return new TestAnswer(header, Encoding.ASCII.GetString(text, 0, question.NameLength), addresses, message.Length);
    }

    private static void ReadExactly(Socket socket, Span<byte> buffer)
    {
        while (buffer.Length > 0)
        {
            int got = socket.Receive(buffer);
            if (got == 0)
                throw new EndOfStreamException();
            buffer = buffer[got..];
        }
    }
}
