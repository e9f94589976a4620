// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Axoneme.Linux;

namespace Axoneme.DnsProxy;

/// <summary>
/// Keeps copies of the proxy's listening sockets in another process, the agent. While no proxy runs, questions wait in them, and the next proxy takes them
/// over with what waits there. Each request is a connection of its own: a byte that says what is wanted, then packets of descriptors.
/// </summary>
/// <remarks>
/// It has a thread of its own and needs nothing else of the process: as long as copies are open that nobody hands out, the kernel shares questions out to them.
/// </remarks>
public sealed class ListenerKeeper : IDisposable
{
    /// <summary>Name of the socket in the state directory.</summary>
    public const string SocketName = "dns-proxy-listeners.sock";

    // 64 workers with four sockets each.
    private const int MaximalListeners = 256;
    private const byte Take = (byte)'T', Keep = (byte)'K', Last = (byte)'.', More = (byte)'+';
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private readonly DescriptorSocket _socket;
    private readonly Thread _thread;
    private readonly Lock _lock = new();
    private List<int> _kept = [];

    /// <param name="path">Of the socket, which only this user may connect to.</param>
    /// <exception cref="SystemCallException">The socket cannot be made.</exception>
    public ListenerKeeper(string path)
    {
        _socket = DescriptorSocket.Listen(path);
        _thread = new Thread(Serve) { Name = "dns-listeners", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Timestamp (<see cref="Stopwatch"/>) of the last request.</summary>
    public long LastUsed => Interlocked.Read(ref _lastUsed);

    private long _lastUsed = Stopwatch.GetTimestamp();

    /// <summary>Sockets that are kept.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
                return _kept.Count;
        }
    }

    /// <summary>Asks for what is kept; empty if nobody keeps anything, or does not answer.</summary>
    /// <param name="path">Of the keeper's socket.</param>
    /// <param name="problem">Why there is nothing, where that is not as usual.</param>
    /// <returns>Descriptors that belong to the caller.</returns>
    public static IReadOnlyList<int> TakeFrom(string path, out string? problem)
    {
        problem = null;
        try
        {
            using DescriptorSocket? socket = DescriptorSocket.TryConnect(path);
            if (socket is null)
                return [];
            socket.SetTimeout(Patience);
            socket.Send([Take]);
            if (TryReceive(socket, out List<int> came))
                return came;
            Close(came);
            problem = "whoever keeps the listening sockets does not answer";
        }
        catch (SystemCallException e)
        {
            problem = $"the listening sockets that were kept are out of reach: {e.Message}";
        }

        return [];
    }

    /// <summary>Has copies kept in the place of those so far; false if nobody does.</summary>
    /// <param name="path">Of the keeper's socket.</param>
    /// <param name="listeners">Descriptors, which stay the caller's.</param>
    public static bool TryKeepAt(string path, IReadOnlyList<int> listeners)
    {
        try
        {
            using DescriptorSocket? socket = DescriptorSocket.TryConnect(path);
            if (socket is null)
                return false;
            socket.SetTimeout(Patience);
            socket.Send([Keep]);
            Send(socket, listeners);
            Span<byte> done = stackalloc byte[1];
            return socket.Receive(done, out _) == 1;
        }
        catch (SystemCallException)
        {
            return false;
        }
    }

    /// <summary>Closes the copies: whoever asks is told at once that nobody is there.</summary>
    public void Drop()
    {
        lock (_lock)
        {
            Close(_kept);
            _kept = [];
        }
    }

    public void Dispose()
    {
        _socket.Shutdown();
        _thread.Join();
        _socket.Dispose();
        Drop();
    }

    private void Serve()
    {
        while (_socket.Accept() is { } accepted)
        {
            using DescriptorSocket connection = accepted;
            Interlocked.Exchange(ref _lastUsed, Stopwatch.GetTimestamp());
            try
            {
                connection.SetTimeout(Patience);
                Answer(connection);
            }
            catch (SystemCallException)
            {
                // Whoever asked is gone.
            }
        }
    }

    private void Answer(DescriptorSocket connection)
    {
        Span<byte> request = stackalloc byte[1];
        if (connection.Receive(request, [], out _) != 1)
            return;
        if (request[0] == Take)
        {
            lock (_lock)
                Send(connection, _kept);
        }
        else if (request[0] == Keep)
        {
            if (!TryReceive(connection, out List<int> came))
            {
                Close(came);
                return;
            }

            lock (_lock)
            {
                Close(_kept);
                _kept = came;
            }

            connection.Send([Last]);
        }
    }

    private static void Send(DescriptorSocket socket, IReadOnlyList<int> descriptors)
    {
        int[][] packets = [.. descriptors.Chunk(DescriptorSocket.MaximalDescriptors)];
        foreach (int[] packet in packets)
            socket.Send([More], packet);
        socket.Send([Last]);
    }

    // What came before a failure is the caller's to close.
    private static bool TryReceive(DescriptorSocket socket, out List<int> descriptors)
    {
        descriptors = [];
        Span<byte> kind = stackalloc byte[1];
        Span<int> came = stackalloc int[DescriptorSocket.MaximalDescriptors];
        while (descriptors.Count <= MaximalListeners && socket.Receive(kind, came, out int count) == 1)
        {
            descriptors.AddRange(came[..count]);
            if (kind[0] == Last)
                return true;
        }

        return false;
    }

    private static void Close(List<int> descriptors)
    {
        foreach (int descriptor in descriptors)
            _ = Libc.Close(descriptor);
    }
}
