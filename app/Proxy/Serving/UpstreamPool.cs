// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Axoneme.Linux;
using Axoneme.Network;
using Axoneme.Proxy.Sockets;

namespace Axoneme.Proxy.Serving;

/// <summary>
/// A connected UDP socket from a pod's address to a server: the kernel passes on only what comes from that address and port. Ids are random and
/// belong to one question each.
/// </summary>
internal sealed class UpstreamSocket(ProxySocket socket, Action<UpstreamSocket> onReady) : IPolled
{
    private readonly Dictionary<ushort, int> _waiting = new(16);

    public ProxySocket Socket { get; } = socket;

    public int Slot { get; set; }

    /// <summary>The pod in whose name it asks.</summary>
    public required IpAddress Client { get; init; }

    public int Asked { get; private set; }

    public int Waiting => _waiting.Count;

    /// <summary>Timestamps of the worker's clock.</summary>
    public long Opened { get; init; }

    public long LastUsed { get; set; }

    public ushort Expect(int pending, RandomIds ids)
    {
        ushort id = ids.Next();
        while (!_waiting.TryAdd(id, pending))
            id = ids.Next();
        Asked++;
        return id;
    }

    public bool TryFind(ushort id, out int pending) => _waiting.TryGetValue(id, out pending);

    public void Forget(ushort id) => _waiting.Remove(id);

    /// <summary>Any question that waits; for when all have failed.</summary>
    public bool TryPeek(out int pending)
    {
        foreach (int any in _waiting.Values)
        {
            pending = any;
            return true;
        }

        pending = PendingTable.None;
        return false;
    }

    public void OnReady(PollEvents events) => onReady(this);
}

/// <summary>Ids that nobody can foretell, fetched many at a time.</summary>
internal sealed class RandomIds
{
    private readonly byte[] _bytes = new byte[4096];
    private int _used = int.MaxValue;

    public ushort Next()
    {
        if (_used > _bytes.Length - sizeof(ushort))
        {
            RandomNumberGenerator.Fill(_bytes);
            _used = 0;
        }

        _used += sizeof(ushort);
        return BitConverter.ToUInt16(_bytes, _used - sizeof(ushort));
    }
}

/// <summary>
/// The upstream sockets of one worker: few for a pod and server, each with a random port, and new ones after a while, so that an answer cannot be guessed.
/// </summary>
internal sealed class UpstreamPool(Poller poller, TimeProvider time, RandomIds ids, Action<UpstreamSocket> onReady) : IDisposable
{
    private const int SocketsEach = 4;
    private const int QuestionsEach = 20_000;
    private const int MaximalSockets = 4096;

    // A pod that asks very many servers.
    private const int MaximalSocketsEach = 256;
    private static readonly TimeSpan LongestUse = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan LongestRest = TimeSpan.FromSeconds(15);

    private readonly record struct Key(IpAddress Client, SocketAddress Server);

    private readonly Dictionary<Key, List<UpstreamSocket>> _sockets = [];

    // Take no new question, but wait for answers.
    private readonly List<UpstreamSocket> _retired = [];
    private readonly Dictionary<IpAddress, int> _byClient = [];
    private int _count;

    /// <summary>A socket for a question; null when none can be opened.</summary>
    public UpstreamSocket? Take(IpAddress client, SocketAddress server, SecurityIdentity identity)
    {
        var key = new Key(client, server);
        if (!_sockets.TryGetValue(key, out List<UpstreamSocket>? group))
            _sockets[key] = group = new List<UpstreamSocket>(SocketsEach);
        long now = time.GetTimestamp();
        UpstreamSocket? chosen = group.Count == 0 ? null : group[ids.Next() % group.Count];
        if (chosen is not null && IsWorn(chosen, now))
        {
            Retire(group, chosen);
            chosen = null;
        }

        if (chosen is null || (chosen.Waiting > 0 && group.Count < SocketsEach))
            chosen = TryOpen(client, server, identity, now, group) ?? chosen;
        if (chosen is not null)
            chosen.LastUsed = now;
        return chosen;
    }

    /// <summary>Closes what was not used for a while.</summary>
    public void Sweep()
    {
        long now = time.GetTimestamp();
        foreach ((Key key, List<UpstreamSocket> group) in _sockets)
        {
            for (int i = group.Count - 1; i >= 0; i--)
            {
                if (time.GetElapsedTime(group[i].LastUsed, now) > LongestRest || IsWorn(group[i], now))
                    Retire(group, group[i]);
            }

            if (group.Count == 0)
                _sockets.Remove(key);
        }

        for (int i = _retired.Count - 1; i >= 0; i--)
        {
            if (_retired[i].Waiting > 0)
                continue;
            Close(_retired[i]);
            _retired.RemoveAt(i);
        }
    }

    public void Dispose()
    {
        foreach (UpstreamSocket socket in _sockets.Values.SelectMany(g => g).Concat(_retired))
            Close(socket);
        _sockets.Clear();
        _retired.Clear();
    }

    private bool IsWorn(UpstreamSocket socket, long now)
        => socket.Asked >= QuestionsEach || time.GetElapsedTime(socket.Opened, now) > LongestUse;

    private void Retire(List<UpstreamSocket> group, UpstreamSocket socket)
    {
        group.Remove(socket);
        if (socket.Waiting > 0)
            _retired.Add(socket);
        else
            Close(socket);
    }

    private UpstreamSocket? TryOpen(IpAddress client, SocketAddress server, SecurityIdentity identity, long now, List<UpstreamSocket> group)
    {
        if (_count >= MaximalSockets || _byClient.GetValueOrDefault(client) >= MaximalSocketsEach)
            return null;
        try
        {
            ProxySocket socket = ProxySocket.Open(SocketCalls.SOCK_DGRAM, 0, client.IsV6).SetTransparent()
                .Set(SocketCalls.SOL_SOCKET, SocketCalls.SO_MARK, (int)Marks.Of(identity))
                .Set(SocketCalls.SOL_SOCKET, SocketCalls.SO_RCVBUF, 1 << 20)
                .BindTo(new SocketAddress(client, 0));
            socket.ConnectTo(server);
            var opened = new UpstreamSocket(socket, onReady) { Client = client, Opened = now };
            opened.Slot = poller.Add(socket.Descriptor, PollEvents.Readable, opened);
            group.Add(opened);
            _count++;
            _byClient[client] = _byClient.GetValueOrDefault(client) + 1;
            return opened;
        }
        catch (SystemCallException)
        {
            // No way to the server, or no descriptors: the question fails, the next one tries again.
            return null;
        }
    }

    private void Close(UpstreamSocket socket)
    {
        poller.Remove(socket.Slot, socket.Socket.Descriptor);
        socket.Socket.Dispose();
        _count--;
        if (--CollectionsMarshal.GetValueRefOrAddDefault(_byClient, socket.Client, out _) == 0)
            _byClient.Remove(socket.Client);
    }
}
