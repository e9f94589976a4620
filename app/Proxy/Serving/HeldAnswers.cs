// SPDX-License-Identifier: Apache-2.0
using Axoneme.Proxy.Sockets;

namespace Axoneme.Proxy.Serving;

/// <summary>An answer that is ready and waits for the agent.</summary>
internal sealed record HeldAnswer(SocketAddress From, SocketAddress To, TcpSession? Session, byte[] Message, long Since);

/// <summary>Answers with something new, by the id of what the agent has to acknowledge.</summary>
internal sealed class HeldAnswers(Action<HeldAnswer> release)
{
    private readonly Dictionary<long, List<HeldAnswer>> _byId = [];

    // In the order of time; ids that were released meanwhile are passed over.
    private readonly Queue<(long Id, long Since)> _order = new();

    public bool IsEmpty => _byId.Count == 0;

    public void Add(long id, HeldAnswer answer)
    {
        if (!_byId.TryGetValue(id, out List<HeldAnswer>? held))
        {
            _byId[id] = held = [];
            _order.Enqueue((id, answer.Since));
        }

        held.Add(answer);
    }

    public void Release(long id)
    {
        if (_byId.Remove(id, out List<HeldAnswer>? held))
            held.ForEach(release);
    }

    public void ReleaseAll()
    {
        foreach (long id in _byId.Keys.ToList())
            Release(id);
    }

    /// <summary>Releases what has waited since before <paramref name="limit"/>; returns how many answers that were.</summary>
    public int ReleaseOlder(long limit)
    {
        int released = 0;
        while (_order.TryPeek(out (long Id, long Since) first) && (first.Since <= limit || !_byId.ContainsKey(first.Id)))
        {
            _order.Dequeue();
            released += _byId.TryGetValue(first.Id, out List<HeldAnswer>? held) ? held.Count : 0;
            Release(first.Id);
        }

        return released;
    }
}
