// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Tables;

/// <summary>
/// Keys that need work: some now, in the order in which they became due, some later after a failure. A key is in it at most once. For one thread.
/// </summary>
internal sealed class RetryQueue<TKey>(TimeProvider time, TimeSpan minimum, TimeSpan maximum)
    where TKey : notnull
{
    // One record for each key that is not in order; queue entries whose ticket is outdated are skipped when they surface.
    private readonly Dictionary<TKey, Entry> _entries = [];
    private readonly Queue<(TKey Key, long Ticket)> _ready = new();
    private readonly PriorityQueue<(TKey Key, long Ticket), long> _later = new();
    private long _lastTicket;

    private readonly record struct Entry(long Ticket, int Failures);

    public int Count => _entries.Count;

    /// <summary>The object changed: it is due now, and earlier failures no longer count.</summary>
    public void AddNow(TKey key)
    {
        // Where the key waits for its first attempt already, its place in the queue stays.
        if (_entries.TryGetValue(key, out Entry present) && present.Failures == 0)
            return;
        long ticket = ++_lastTicket;
        _entries[key] = new Entry(ticket, 0);
        _ready.Enqueue((key, ticket));
    }

    /// <summary>Takes at most <paramref name="count"/> keys that are due; each is then answered by <see cref="Succeeded"/> or <see cref="Failed"/>.</summary>
    public List<TKey> Take(int count)
    {
        long now = time.GetTimestamp();
        while (_later.TryPeek(out (TKey Key, long Ticket) next, out long due) && due <= now)
        {
            _later.Dequeue();
            if (IsCurrent(next))
                _ready.Enqueue(next);
        }

        var taken = new List<TKey>(Math.Min(count, _ready.Count));
        while (taken.Count < count && _ready.TryDequeue(out (TKey Key, long Ticket) next))
        {
            if (IsCurrent(next))
                taken.Add(next.Key);
        }

        return taken;
    }

    public void Succeeded(TKey key) => _entries.Remove(key);

    /// <summary>Schedules the next attempt and returns how often in a row the key has failed.</summary>
    public int Failed(TKey key)
    {
        int failures = _entries.GetValueOrDefault(key).Failures + 1;
        long ticket = ++_lastTicket;
        _entries[key] = new Entry(ticket, failures);
        _later.Enqueue((key, ticket), time.GetTimestamp() + ToTimestamp(Delay(failures)));
        return failures;
    }

    /// <summary>
    /// What failed may succeed now: keys that wait for longer than a moment are tried after it, at most <paramref name="count"/> of them, those
    /// that would have been tried first. How often they failed still counts.
    /// </summary>
    public void Hasten(TimeSpan moment, int count)
    {
        long soon = time.GetTimestamp() + ToTimestamp(moment);
        List<((TKey Key, long Ticket) Queued, long Due)> taken = [];
        int hastened = 0;
        while (hastened < count && _later.TryDequeue(out (TKey Key, long Ticket) next, out long due))
        {
            if (!IsCurrent(next))
                continue;
            hastened += due > soon ? 1 : 0;
            taken.Add((next, Math.Min(due, soon)));
        }

        foreach (((TKey Key, long Ticket) queued, long due) in taken)
            _later.Enqueue(queued, due);
    }

    public bool Contains(TKey key) => _entries.ContainsKey(key);

    /// <summary>The key is due and has not been attempted since it last changed.</summary>
    public bool IsUntried(TKey key) => _entries.TryGetValue(key, out Entry entry) && entry.Failures == 0;

    /// <summary>Time until something is due: zero for now, null for never.</summary>
    public TimeSpan? UntilNext()
    {
        while (_ready.TryPeek(out (TKey Key, long Ticket) ready))
        {
            if (IsCurrent(ready))
                return TimeSpan.Zero;
            _ready.Dequeue();
        }

        while (_later.TryPeek(out (TKey Key, long Ticket) next, out long due))
        {
            if (IsCurrent(next))
                return due <= time.GetTimestamp() ? TimeSpan.Zero : time.GetElapsedTime(time.GetTimestamp(), due);
            _later.Dequeue();
        }

        return null;
    }

    public TimeSpan Delay(int failures)
    {
        double factor = Math.Pow(2, Math.Min(failures - 1, 40));
        return minimum * factor < maximum ? minimum * factor : maximum;
    }

    private bool IsCurrent((TKey Key, long Ticket) queued)
        => _entries.TryGetValue(queued.Key, out Entry entry) && entry.Ticket == queued.Ticket;

    private long ToTimestamp(TimeSpan span) => (long)(span.TotalSeconds * time.TimestampFrequency);
}
