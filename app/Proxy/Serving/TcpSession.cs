// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using Axoneme.Linux;
using Axoneme.Network;
using Axoneme.Proxy.Sockets;

namespace Axoneme.Proxy.Serving;

/// <summary>
/// A pod's TCP connection to a server, and the proxy's own to that server, which is opened for the first question that is allowed. Questions may follow each
/// other without waiting, and answers come in any order.
/// </summary>
internal sealed class TcpSession : IDisposable
{
    // More are left unread until some were answered.
    private const int MaximalWaiting = 64;
    private const int MaximalUnsent = 256 * 1024;

    private readonly Worker _worker;
    private readonly TcpStream _client;
    private readonly Dictionary<ushort, int> _waiting = [];
    private TcpStream? _upstream;

    public TcpSession(Worker worker, ProxySocket socket, SocketAddress client, SocketAddress server)
    {
        _worker = worker;
        Client = client;
        Server = server;
        LastUsed = worker.Now;
        _client = new TcpStream(worker.Poller, socket, connecting: false, OnClient);
    }

    public SocketAddress Client { get; }

    public SocketAddress Server { get; }

    public bool IsClosed { get; private set; }

    /// <summary>Answers of this session that wait for the agent.</summary>
    public int Held { get; set; }

    /// <summary>Timestamp of the worker's clock.</summary>
    public long LastUsed { get; private set; }

    /// <summary>A question has come.</summary>
    public bool HasAsked { get; private set; }

    public bool IsIdle => _waiting.Count == 0 && Held == 0 && _client.Unsent == 0;

    /// <summary>Passes a question on; the id of the message is replaced. False: there is no way to the server.</summary>
    public bool TryForward(Span<byte> message, int pending, SecurityIdentity identity)
    {
        if (_upstream is null && !TryConnect(identity))
            return false;
        ushort id = _worker.Ids.Next();
        while (!_waiting.TryAdd(id, pending))
            id = _worker.Ids.Next();
        _worker.Pending[pending].UpstreamId = id;
        Dns.DnsReply.SetId(message, id);
        _upstream!.Send(message);
        return true;
    }

    /// <summary>The question is not waited for any more.</summary>
    public void Forget(ushort upstreamId) => _waiting.Remove(upstreamId);

    public void Reply(ReadOnlySpan<byte> message)
    {
        if (IsClosed)
            return;
        LastUsed = _worker.Now;
        _client.Send(message);
        Settle();
    }

    public void Close()
    {
        if (IsClosed)
            return;
        IsClosed = true;
        foreach (int pending in _waiting.Values)
            _worker.Abandon(pending);
        _waiting.Clear();
        _client.Dispose();
        CloseUpstream();
        _worker.Forget(this);
    }

    public void Dispose() => Close();

    private void OnClient(TcpStream stream)
    {
        LastUsed = _worker.Now;
        while (!IsClosed && !stream.IsBroken && !IsBusy && stream.TryReadFrame(out Span<byte> message))
        {
            HasAsked = true;
            _worker.OnQuestion(message, new Asked(Client, Server, this));
            if (!IsClosed)
                stream.DropFrame();
        }

        Settle();
    }

    private bool IsBusy => _waiting.Count >= MaximalWaiting || _client.Unsent > MaximalUnsent;

    private void OnUpstream(TcpStream stream)
    {
        while (!IsClosed && stream.TryReadFrame(out Span<byte> message))
        {
            if (message.Length >= 2 && _waiting.TryGetValue(BinaryPrimitives.ReadUInt16BigEndian(message), out int pending))
                _worker.OnAnswer(message, pending);
            else
                _worker.Counters.UnexpectedAnswers++;
            if (!IsClosed && _upstream == stream)
                stream.DropFrame();
        }

        if (IsClosed || (!stream.IsBroken && !stream.IsEnded))
            return;
        // As the server's connection would: questions without answer are the client's to repeat.
        if (_waiting.Count > 0)
            Close();
        else
            CloseUpstream();
    }

    // What was left unread is read when there is room again, and a connection that has ended is closed when it is done with.
    private void Settle()
    {
        if (IsClosed)
            return;
        if (_client.IsBroken || (_client.IsEnded && IsIdle && !_client.TryReadFrame(out _)))
        {
            Close();
            return;
        }

        bool wasPaused = _client.IsPaused;
        _client.IsPaused = IsBusy;
        if (wasPaused && !IsBusy)
            _worker.Resume(this);
    }

    /// <summary>Goes on with questions that were read and left waiting.</summary>
    public void Continue() => OnClient(_client);

    private bool TryConnect(SecurityIdentity identity)
    {
        try
        {
            ProxySocket socket = ProxySocket.Open(SocketCalls.SOCK_STREAM, 0, Client.Address.IsV6).SetTransparent()
                .Set(SocketCalls.SOL_SOCKET, SocketCalls.SO_MARK, (int)Marks.Of(identity))
                .Set(SocketCalls.SOL_TCP, SocketCalls.TCP_NODELAY, 1)
                .BindTo(new SocketAddress(Client.Address, 0));
            bool connected = socket.ConnectTo(Server);
            _upstream = new TcpStream(_worker.Poller, socket, connecting: !connected, OnUpstream);
            return true;
        }
        catch (SystemCallException)
        {
            return false;
        }
    }

    private void CloseUpstream()
    {
        if (_upstream is not { } upstream)
            return;
        _upstream = null;
        _worker.CloseUpstream(upstream);
    }
}
