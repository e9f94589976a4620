// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;

namespace Axoneme.Bench.Workers;

/// <summary>
/// The far end of every measurement: one blocking thread a connection, so that what is timed is the path and not an event
/// loop. Dual-stack; runs until it is killed.
/// </summary>
internal static class TrafficServer
{
    /// <summary>Sends each message back.</summary>
    public const int EchoPort = 7001;

    /// <summary>Answers one byte and lets the client close.</summary>
    public const int OneShotPort = 7002;

    /// <summary>Reads and forgets.</summary>
    public const int SinkPort = 7003;

    /// <summary>Which of the ports, counted from the first, a pattern of traffic uses.</summary>
    public static int PortIndex(string pattern) => (pattern switch
    {
        "connect-close" => OneShotPort,
        "bulk" => SinkPort,
        _ => EchoPort,
    }) - EchoPort;

    private const int SinkBufferBytes = 1 << 18;

    public static int Run()
    {
        Start(EchoPort, Echo);
        Start(SinkPort, Sink);
        Console.WriteLine("ready");
        OneProcessor.Stay();
        Listen(OneShotPort, OneShot, threadPerConnection: false);
        return 0;
    }

    private static void Start(int port, Action<Socket> serve)
        => new Thread(() => Listen(port, serve, threadPerConnection: true)) { IsBackground = true }.Start();

    private static void Listen(int port, Action<Socket> serve, bool threadPerConnection)
    {
        using var listener = new Socket(AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp) { DualMode = true };
        listener.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        listener.Bind(new IPEndPoint(IPAddress.IPv6Any, port));
        listener.Listen(1024);
        while (true)
        {
            Socket connection = listener.Accept();
            connection.NoDelay = true;
            if (threadPerConnection)
                new Thread(() => ServeAndClose(connection, serve)) { IsBackground = true }.Start();
            else
                ServeAndClose(connection, serve);
        }
    }

    private static void ServeAndClose(Socket connection, Action<Socket> serve)
    {
        using (connection)
        {
            try
            {
                serve(connection);
            }
            catch (SocketException)
            {
                // The client went away in its own time; that is how every measurement ends.
            }
        }
    }

    private static void Echo(Socket connection)
    {
        OneProcessor.Stay();
        var buffer = new byte[4096];
        int length;
        while ((length = connection.Receive(buffer)) > 0)
            connection.Send(buffer.AsSpan(0, length));
    }

    private static void OneShot(Socket connection)
    {
        Span<byte> buffer = stackalloc byte[64];
        int length = connection.Receive(buffer);
        if (length > 0)
            connection.Send(buffer[..length]);
        // Waits for the client's FIN, so that the client's port is the one in TIME_WAIT.
        connection.Receive(buffer);
    }

    private static void Sink(Socket connection)
    {
        var buffer = new byte[SinkBufferBytes];
        while (connection.Receive(buffer) > 0)
        {
        }
    }
}
