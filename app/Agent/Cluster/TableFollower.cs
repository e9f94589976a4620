// SPDX-License-Identifier: Apache-2.0
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Cluster;

/// <summary>Calls for each change of a table, in order. One bad object is reported and skipped; the rest goes on.</summary>
internal static class TableFollower
{
    /// <param name="complete">Completed when the table is initialised and everything that it then held has been taken over.</param>
    public static async Task FollowAsync<TKey, TValue>(
        this Table<TKey, TValue> table, Func<Change<TKey, TValue>, Task> apply, ILogger log, CancellationToken cancellation,
        TaskCompletionSource? complete = null)
        where TKey : notnull
        where TValue : class
    {
        using ChangeStream<TKey, TValue> stream = table.Watch();
        await foreach (ChangeBatch<TKey, TValue> batch in stream.ReadAllAsync(cancellation))
        {
            foreach (Change<TKey, TValue> change in batch.Changes)
            {
                try
                {
                    await apply(change);
                }
                catch (Exception e) when (e is not OperationCanceledException || !cancellation.IsCancellationRequested)
                {
                    log.LogError(e, "{Table} {Key} could not be taken over", table.Name, change.Key);
                }
            }

            if (batch.IsInitialized)
                complete?.TrySetResult();
        }
    }

    public static Task FollowAsync<TKey, TValue>(
        this Table<TKey, TValue> table, Action<Change<TKey, TValue>> apply, ILogger log, CancellationToken cancellation,
        TaskCompletionSource? complete = null)
        where TKey : notnull
        where TValue : class
        => table.FollowAsync(
            change =>
            {
                apply(change);
                return Task.CompletedTask;
            },
            log,
            cancellation,
            complete);
}
