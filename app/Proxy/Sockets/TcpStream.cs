// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using System.Buffers.Binary;
using Axoneme.Linux;

namespace Axoneme.Proxy.Sockets;

/// <summary>One end of DNS over TCP (RFC 7766): messages with their length in front, read and written without blocking.</summary>
internal sealed class TcpStream : IPolled, IDisposable
{
    private const int HeaderBytes = 2;
    private const int MaximalFrame = HeaderBytes + ushort.MaxValue;

    private readonly Poller _poller;
    private readonly Action<TcpStream> _onProgress;
    private readonly int _slot;
    private readonly Bytes _in = new(), _out = new();
    private PollEvents _interest;
    private bool _connecting;
    private bool _paused;

    public TcpStream(Poller poller, ProxySocket socket, bool connecting, Action<TcpStream> onProgress)
    {
        _poller = poller;
        _onProgress = onProgress;
        _connecting = connecting;
        Socket = socket;
        _interest = WantedEvents();
        _slot = poller.Add(socket.Descriptor, _interest, this);
    }

    public ProxySocket Socket { get; }

    /// <summary>The other end sends nothing any more.</summary>
    public bool IsEnded { get; private set; }

    public bool IsBroken { get; private set; }

    /// <summary>Written, and not taken by the kernel yet.</summary>
    public int Unsent => _out.Length;

    /// <summary>While set nothing is read.</summary>
    public bool IsPaused
    {
        get => _paused;
        set
        {
            _paused = value;
            UpdateInterest();
        }
    }

    public void OnReady(PollEvents events)
    {
        if (_connecting && (events & (PollEvents.Writable | PollEvents.Error | PollEvents.HangUp)) != 0)
            FinishConnecting();
        if (!IsBroken && (events & PollEvents.Writable) != 0)
            Flush();
        // Such events come again and again, whatever is waited for.
        IsBroken |= (events & PollEvents.HangUp) != 0 && (_paused || IsEnded);
        if (!IsBroken && !_paused && (events & (PollEvents.Readable | PollEvents.HangUp | PollEvents.Error)) != 0)
            Fill();
        _onProgress(this);
        UpdateInterest();
    }

    /// <summary>The next whole message, valid until <see cref="DropFrame"/>.</summary>
    public bool TryReadFrame(out Span<byte> message)
    {
        message = default;
        Span<byte> read = _in.Span;
        if (read.Length < HeaderBytes)
            return false;
        int length = BinaryPrimitives.ReadUInt16BigEndian(read);
        if (read.Length < HeaderBytes + length)
            return false;
        message = read.Slice(HeaderBytes, length);
        return true;
    }

    public void DropFrame() => _in.Drop(HeaderBytes + BinaryPrimitives.ReadUInt16BigEndian(_in.Span));

    public void Send(ReadOnlySpan<byte> message)
    {
        if (IsBroken)
            return;
        Span<byte> space = _out.Reserve(HeaderBytes + message.Length);
        BinaryPrimitives.WriteUInt16BigEndian(space, (ushort)message.Length);
        message.CopyTo(space[HeaderBytes..]);
        _out.Add(HeaderBytes + message.Length);
        if (!_connecting)
            Flush();
        UpdateInterest();
    }

    /// <summary>Ends the stream and gives the socket, which is open still, to the caller.</summary>
    public ProxySocket Release()
    {
        _poller.Remove(_slot, Socket.Descriptor);
        int descriptor = Socket.Detach();
        Dispose();
        return ProxySocket.Adopt(descriptor, Socket.IsV6);
    }

    public void Dispose()
    {
        if (Socket.Descriptor >= 0)
            _poller.Remove(_slot, Socket.Descriptor);
        Socket.Dispose();
        _in.Dispose();
        _out.Dispose();
        IsBroken = true;
    }

    private unsafe void FinishConnecting()
    {
        int error = 0, length = sizeof(int);
        _ = SocketCalls.GetOption(Socket.Descriptor, SocketCalls.SOL_SOCKET, SocketCalls.SO_ERROR, &error, &length);
        _connecting = false;
        IsBroken = error != 0;
    }

    private void Flush()
    {
        while (_out.Length > 0)
        {
            int sent = Socket.TrySend(_out.Span);
            if (sent == -Errno.EINTR)
                continue;
            if (sent < 0)
            {
                IsBroken |= sent != -Errno.EAGAIN;
                return;
            }

            _out.Drop(sent);
        }
    }

    // A whole message fits, so that there is always room for more of it.
    private void Fill()
    {
        Span<byte> space = _in.Reserve(Math.Clamp(MaximalFrame - _in.Length, 1, 4096));
        int received = Socket.TryReceive(space);
        if (received > 0)
            _in.Add(received);
        else if (received == 0)
            IsEnded = true;
        else
            IsBroken |= received is not (-Errno.EAGAIN or -Errno.EINTR);
    }

    private PollEvents WantedEvents()
        => (_paused || IsEnded || _connecting ? PollEvents.None : PollEvents.Readable) | (_connecting || _out.Length > 0 ? PollEvents.Writable : PollEvents.None);

    private void UpdateInterest()
    {
        PollEvents wanted = WantedEvents();
        if (wanted == _interest || Socket.Descriptor < 0)
            return;
        _interest = wanted;
        _poller.Change(_slot, Socket.Descriptor, wanted);
    }

    // Bytes that come at the end and go at the front.
    private sealed class Bytes : IDisposable
    {
        private byte[] _array = [];
        private int _start;

        public int Length { get; private set; }

        public Span<byte> Span => _array.AsSpan(_start, Length);

        public Span<byte> Reserve(int count)
        {
            if (_start + Length + count > _array.Length)
            {
                byte[] larger = Length + count <= _array.Length ? _array : ArrayPool<byte>.Shared.Rent(Length + count);
                Span.CopyTo(larger);
                if (larger != _array)
                    Return();
                _array = larger;
                _start = 0;
            }

            return _array.AsSpan(_start + Length);
        }

        public void Add(int count) => Length += count;

        public void Drop(int count)
        {
            _start += count;
            Length -= count;
            if (Length == 0)
                _start = 0;
        }

        public void Dispose()
        {
            Return();
            _array = [];
            _start = Length = 0;
        }

        private void Return()
        {
            if (_array.Length > 0)
                ArrayPool<byte>.Shared.Return(_array);
        }
    }
}
