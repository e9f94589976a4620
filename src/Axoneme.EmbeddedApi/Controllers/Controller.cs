// SPDX-License-Identifier: Apache-2.0
using System.Threading.Channels;
using Axoneme.EmbeddedApi.Objects;

namespace Axoneme.EmbeddedApi.Controllers;

/// <summary>
/// A loop that makes one object at a time as it should be. Changes of the kinds it watches name keys; a key that is already waiting
/// does not wait twice; a key that failed comes again later.
/// </summary>
internal abstract class Controller(ApiMachinery machinery, Action<string>? log)
{
    private static readonly TimeSpan FirstRetry = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan LastRetry = TimeSpan.FromSeconds(10);
    private readonly Lock _gate = new();
    private readonly HashSet<string> _waiting = new(StringComparer.Ordinal);
    private readonly Dictionary<string, TimeSpan> _backoff = new(StringComparer.Ordinal);

    // Unbounded, but its content is bounded by the number of objects: a key waits only once.
    private readonly Channel<string> _queue = Channel.CreateUnbounded<string>(new UnboundedChannelOptions { SingleReader = true });
    private CancellationToken _stopping;

    protected ApiMachinery Machinery => machinery;

    protected ObjectStore Store => machinery.Store;

    protected ResourceType Type(string name) => machinery.Catalog.Find(name);

    /// <summary>Kinds to watch, and the keys that a version of an object concerns.</summary>
    protected abstract IEnumerable<(string Resource, Func<StoredObject, IEnumerable<string>> Keys)> Sources { get; }

    /// <summary>Makes it right; quick, and safe to repeat.</summary>
    protected abstract void Reconcile(string key);

    public Task RunAsync(CancellationToken stopping)
    {
        _stopping = stopping;
        var tasks = Sources.Select(s => FollowAsync(s.Resource, s.Keys, stopping)).ToList();
        tasks.Add(Task.Run(() => WorkAsync(stopping), CancellationToken.None));
        return Task.WhenAll(tasks);
    }

    protected void Enqueue(string key)
    {
        lock (_gate)
            if (!_waiting.Add(key))
                return;
        _queue.Writer.TryWrite(key);
    }

    protected void EnqueueAfter(string key, TimeSpan delay)
        => _ = Task.Delay(delay, machinery.Clock, _stopping).ContinueWith(
            _ => Enqueue(key), _stopping, TaskContinuationOptions.OnlyOnRanToCompletion, TaskScheduler.Default);

    protected static string KeyOf(StoredObject stored) => $"{stored.Namespace}/{stored.Name}";

    protected static (string Namespace, string Name) Split(string key)
        => key.Split('/') is [string ns, string name] ? (ns, name) : throw new ArgumentException($"'{key}' is no key.", nameof(key));

    private async Task FollowAsync(string resource, Func<StoredObject, IEnumerable<string>> keys, CancellationToken stopping)
    {
        while (!stopping.IsCancellationRequested)
        {
            (ObjectSnapshot present, ObjectWatch watch) = Store.ListAndWatch(Type(resource));
            using (watch)
            {
                try
                {
                    foreach (StoredObject each in present.All)
                        foreach (string key in keys(each))
                            Enqueue(key);
                    await foreach (ObjectChange change in watch.Changes.ReadAllAsync(stopping).ConfigureAwait(false))
                    {
                        foreach (string key in keys(change.Object))
                            Enqueue(key);
                        foreach (string key in change.Previous is { } previous ? keys(previous) : [])
                            Enqueue(key);
                    }
                }
                catch (OperationCanceledException)
                {
                    return;
                }
                catch (ApiException)
                {
                    // Fell behind: the list of the next round names every key again.
                }
            }
        }
    }

    private async Task WorkAsync(CancellationToken stopping)
    {
        try
        {
            await foreach (string key in _queue.Reader.ReadAllAsync(stopping).ConfigureAwait(false))
            {
                lock (_gate)
                    _waiting.Remove(key);
                Work(key);
            }
        }
        catch (OperationCanceledException)
        {
            // Stopped.
        }
    }

    private void Work(string key)
    {
        try
        {
            Reconcile(key);
            _backoff.Remove(key);
        }
        catch (Exception e)
        {
            // Conflicts and races with deletion are everyday; anything else is worth a line.
            if (e is not ApiException { Code: 404 or 409 or 403 })
                log?.Invoke($"{GetType().Name} {key}: {e}");
            TimeSpan delay = _backoff.TryGetValue(key, out TimeSpan before) ? before * 2 : FirstRetry;
            _backoff[key] = delay > LastRetry ? LastRetry : delay;
            EnqueueAfter(key, _backoff[key]);
        }
    }
}
