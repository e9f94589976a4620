// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Tables;

/// <summary>Those who wait until the reconciler has dealt with an object.</summary>
internal sealed class ReconcileWaiters<TKey>(WakeSignal wake)
    where TKey : notnull
{
    private readonly Lock _gate = new();
    private readonly List<Waiter> _waiters = [];
    private bool _ended;

    private sealed record Waiter(TKey Key, long Revision, TaskCompletionSource<ReconcileStatus<TKey>?> Done);

    public async Task<ReconcileStatus<TKey>?> WaitAsync(TKey key, long revision, CancellationToken cancellationToken)
    {
        var waiter = new Waiter(key, revision, new(TaskCreationOptions.RunContinuationsAsynchronously));
        lock (_gate)
        {
            if (_ended)
                throw new OperationCanceledException("The reconciler has ended.");
            _waiters.Add(waiter);
        }

        wake.Set();
        try
        {
            return await waiter.Done.Task.WaitAsync(cancellationToken);
        }
        finally
        {
            lock (_gate)
                _waiters.Remove(waiter);
        }
    }

    /// <summary>Releases who waits for a revision that has been seen and a key that is not in the queue for a first attempt.</summary>
    public void Resolve(long seenRevision, Predicate<TKey> isUntried, Func<TKey, ReconcileStatus<TKey>?> statusOf)
    {
        lock (_gate)
        {
            foreach (Waiter waiter in _waiters)
            {
                if (waiter.Revision <= seenRevision && !isUntried(waiter.Key))
                    waiter.Done.TrySetResult(statusOf(waiter.Key));
            }
        }
    }

    public void Cancel()
    {
        lock (_gate)
        {
            _ended = true;
            foreach (Waiter waiter in _waiters)
                waiter.Done.TrySetCanceled(CancellationToken.None);
        }
    }
}
