// SPDX-License-Identifier: Apache-2.0
using Axoneme.Proxy.Sockets;

namespace Axoneme.Proxy.Serving;

/// <summary>
/// Connections to servers that the proxy has ended, until the server has as well (<c>dnsproxy-socket-linger-timeout</c>). Waiting in close(2) would stop the worker.
/// </summary>
internal sealed class LingeringStreams(Poller poller, TimeProvider time)
{
    private readonly List<Lingering> _streams = [];

    /// <summary>Ends a connection whose stream is done with.</summary>
    /// <param name="stream">Is disposed.</param>
    /// <param name="seconds">0 resets the connection, a negative number leaves the rest to the kernel.</param>
    public void Close(TcpStream stream, int seconds)
    {
        if (seconds <= 0 || stream.IsEnded || stream.IsBroken)
        {
            if (seconds == 0)
                stream.Socket.ResetOnClose();
            stream.Dispose();
            return;
        }

        ProxySocket socket = stream.Release();
        socket.ShutdownSending();
        var lingering = new Lingering(socket, time.GetTimestamp() + (seconds * time.TimestampFrequency), Remove);
        lingering.Slot = poller.Add(socket.Descriptor, PollEvents.Readable, lingering);
        _streams.Add(lingering);
    }

    public void Sweep()
    {
        long now = time.GetTimestamp();
        for (int i = _streams.Count - 1; i >= 0; i--)
        {
            if (_streams[i].Deadline > now)
                continue;
            _streams[i].Socket.ResetOnClose();
            Remove(_streams[i]);
        }
    }

    public void CloseAll()
    {
        for (int i = _streams.Count - 1; i >= 0; i--)
            Remove(_streams[i]);
    }

    private void Remove(Lingering lingering)
    {
        poller.Remove(lingering.Slot, lingering.Socket.Descriptor);
        lingering.Socket.Dispose();
        _streams.Remove(lingering);
    }

    private sealed class Lingering(ProxySocket socket, long deadline, Action<Lingering> onEnd) : IPolled
    {
        private readonly byte[] _discarded = new byte[512];

        public ProxySocket Socket { get; } = socket;

        public long Deadline { get; } = deadline;

        public int Slot { get; set; }

        public void OnReady(PollEvents events)
        {
            int received = Socket.TryReceive(_discarded);
            if (received == 0 || (received < 0 && received is not (-Linux.Errno.EAGAIN or -Linux.Errno.EINTR)))
                onEnd(this);
        }
    }
}
