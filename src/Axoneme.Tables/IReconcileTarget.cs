// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Tables;

/// <summary>
/// The real thing (a kernel map, routes, a file) that a <see cref="Reconciler{TKey, TValue}"/> keeps like a table. Called by one task at a time.
/// A call that throws fails all objects of that call; single ones are failed through <see cref="ReconcileFailures{TKey}"/>. Either is retried.
/// </summary>
public interface IReconcileTarget<TKey, TValue>
    where TKey : notnull
    where TValue : notnull
{
    /// <summary>Makes the objects exist as given, whether they exist or not.</summary>
    ValueTask ApplyAsync(IReadOnlyList<TValue> values, ReconcileFailures<TKey> failures, CancellationToken cancellationToken);

    /// <summary>Removes the objects; one that is absent already is a success.</summary>
    ValueTask DeleteAsync(IReadOnlyList<TKey> keys, ReconcileFailures<TKey> failures, CancellationToken cancellationToken);

    /// <summary>
    /// Reads what is really there: every object that this reconciler would be right to delete if the table did not have it, and no other.
    /// </summary>
    ValueTask<IReadOnlyDictionary<TKey, TValue>> ReadActualAsync(CancellationToken cancellationToken);

    /// <summary>Whether what is there needs no repair; override where the target does not give back every member of a value.</summary>
    bool IsSame(TValue desired, TValue actual) => EqualityComparer<TValue>.Default.Equals(desired, actual);
}

/// <summary>Collects the objects of a call that failed, each with the reason.</summary>
public sealed class ReconcileFailures<TKey>
    where TKey : notnull
{
    private readonly Dictionary<TKey, string> _messages = [];

    public int Count => _messages.Count;

    /// <summary>
    /// Set by a target whose call took something away besides what it was asked to delete: objects that it had no room for may fit now, and are
    /// tried again soon.
    /// </summary>
    public bool MadeRoom { get; set; }

    /// <param name="message">What failed and why, for people.</param>
    public void Add(TKey key, string message) => _messages[key] = message;

    /// <summary>Why the object failed; null when it did not.</summary>
    public string? Find(TKey key) => _messages.GetValueOrDefault(key);
}

public enum ReconcilePhase
{
    /// <summary>Waits for its turn or for a retry that has not failed yet.</summary>
    Pending,

    /// <summary>The target has the object in this revision.</summary>
    Done,

    /// <summary>The last attempt failed; another follows.</summary>
    Error,
}

/// <summary>How far one object of a table has got.</summary>
/// <param name="Key">The object.</param>
/// <param name="Phase">The outcome of the last attempt.</param>
/// <param name="IsDelete">The object left the table and is still to be removed from the target.</param>
/// <param name="Revision">Revision of the object that this is about.</param>
/// <param name="Attempts">Failed attempts since the last success.</param>
/// <param name="Message">Why the last attempt failed; empty otherwise.</param>
/// <param name="Time">When the phase began.</param>
public sealed record ReconcileStatus<TKey>(
    TKey Key, ReconcilePhase Phase, bool IsDelete, long Revision, int Attempts, string Message, DateTimeOffset Time)
    where TKey : notnull;

public enum ReconcileCheckReason
{
    /// <summary>The reconciler took over what an earlier process left.</summary>
    Start,

    /// <summary>The table became complete: what it lacks may go.</summary>
    Initialized,

    /// <summary>The periodic look for changes made behind our back, or one asked for.</summary>
    Drift,
}

/// <summary>What a comparison of table and target found.</summary>
/// <param name="Adopted">Objects that were as they should be.</param>
/// <param name="Missing">Objects that were absent from the target and are written again.</param>
/// <param name="Different">Objects that differed and are written again.</param>
/// <param name="Stale">Objects that the table does not have and that are removed; 0 while the table is incomplete.</param>
/// <param name="Sample">Some of the keys concerned, as text.</param>
public sealed record ReconcileReport(
    ReconcileCheckReason Reason, int Adopted, int Missing, int Different, int Stale, IReadOnlyList<string> Sample)
{
    public int Repaired => Missing + Different + Stale;
}

public sealed record ReconcilerOptions
{
    /// <summary>Objects in one call of the target: large enough for batched system calls, small enough to stay cancellable.</summary>
    public int RoundSize { get; init; } = 1024;

    public TimeSpan RetryMinimum { get; init; } = TimeSpan.FromMilliseconds(100);

    public TimeSpan RetryMaximum { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>
    /// When objects were removed, those that failed are tried again after this time instead of the rest of their back-off: a full target may
    /// have room for them. At most <see cref="RoundSize"/> of them, so that a target that stays full is not kept busy.
    /// </summary>
    public TimeSpan RoomDelay { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Time between comparisons with the target's actual state; zero for never.</summary>
    public TimeSpan DriftInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Told of every comparison, on the reconciler's task; must not block.</summary>
    public Action<ReconcileReport>? OnReport { get; init; }

    /// <summary>Told of failed calls as a whole (the objects' own messages are in the status table); must not block.</summary>
    public Action<Exception>? OnError { get; init; }
}
