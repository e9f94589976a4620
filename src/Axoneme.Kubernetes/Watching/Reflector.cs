// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Kubernetes;

/// <summary>Receives what a <see cref="Reflector{T}"/> learns. Calls come one at a time.</summary>
public interface IReflectorSink<T>
    where T : Resource
{
    /// <summary>The complete state. Objects in <paramref name="keep"/> exist but cannot be read: what is known of them stays.</summary>
    void Replace(IReadOnlyList<T> items, IReadOnlySet<ResourceName> keep);

    /// <summary>What happened since, in order; only Added, Modified and Deleted.</summary>
    void Change(IReadOnlyList<WatchEvent<T>> events);

    /// <summary>The state is complete for the first time (also when the kind does not exist in this cluster, so nothing of it can).</summary>
    void Initialized();
}

public enum ReflectorPhase
{
    Starting,
    Listing,
    Watching,

    /// <summary>The cluster does not know the kind (yet).</summary>
    KindMissing,

    /// <summary>The API cannot be reached or refuses; the state is the last one known.</summary>
    Failing,
}

/// <summary>How a reflector is doing.</summary>
/// <param name="Problem">Why it is missing or failing; empty otherwise.</param>
/// <param name="ResourceVersion">Last version known.</param>
/// <param name="LastContact">When the server last delivered something.</param>
public sealed record ReflectorStatus(
    ResourceKind Kind, ReflectorPhase Phase, string Problem, string ResourceVersion, DateTimeOffset? LastContact, int Lists)
{
    public override string ToString() => Problem.Length == 0 ? $"{Kind}: {Phase}" : $"{Kind}: {Phase}: {Problem}";
}

public sealed record ReflectorOptions
{
    public TimeSpan RetryMinimum { get; init; } = TimeSpan.FromMilliseconds(200);

    public TimeSpan RetryMaximum { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Time between looks for a kind that is missing.</summary>
    public TimeSpan MissingInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Failed watches in a row after which the state is listed anew, in case the version itself is the trouble.</summary>
    public int WatchFailuresBeforeList { get; init; } = 5;

    /// <summary>Told of each new status; must not block.</summary>
    public Action<ReflectorStatus>? OnStatus { get; init; }

    /// <summary>Told of each object that cannot be decoded; must not block.</summary>
    public Action<UndecodableObject>? OnUndecodable { get; init; }
}

/// <summary>
/// Keeps a copy of a kind's objects: lists once, then watches, and goes on after interruptions where it stopped. Lists again only when the
/// server has forgotten that point. Waits for a kind whose CRD is missing.
/// </summary>
public sealed class Reflector<T>
    where T : Resource
{
    private readonly ResourceClient<T> _client;
    private readonly IReflectorSink<T> _sink;
    private readonly ResourceQuery _query;
    private readonly ReflectorOptions _options;
    private readonly ConcurrentDictionary<ResourceName, UndecodableObject> _undecodable = new();
    private string _version = "";
    private bool _initialized;
    private int _lists;
    private DateTimeOffset? _lastContact;

    public Reflector(ResourceClient<T> client, IReflectorSink<T> sink, ResourceQuery? query = null, ReflectorOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(client);
        ArgumentNullException.ThrowIfNull(sink);
        _client = client;
        _sink = sink;
        _query = query ?? ResourceQuery.All;
        _options = options ?? new ReflectorOptions();
        Status = new ReflectorStatus(client.Kind, ReflectorPhase.Starting, "", "", null, 0);
    }

    public ReflectorStatus Status { get; private set; }

    /// <summary>Objects that exist and cannot be decoded now; the sink has their last good version, if there was one.</summary>
    public IReadOnlyCollection<UndecodableObject> Undecodable => [.. _undecodable.Values];

    private TimeProvider Time => _client.Client.Options.Time;

    /// <summary>Works until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        int failures = 0;
        bool listed = false;
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            try
            {
                if (!listed)
                {
                    await ListAsync(cancellationToken);
                    listed = true;
                }

                long start = Time.GetTimestamp();
                bool progressed = await WatchAsync(cancellationToken);
                // A server that ends watches at once, without an event, must not be asked in a tight loop.
                failures = progressed || Time.GetElapsedTime(start) > _options.RetryMinimum ? 0 : failures + 1;
            }
            catch (KubernetesException e) when (e.IsGone)
            {
                listed = false;
                failures++;
            }
            catch (KubernetesException e) when (e.IsNotFound)
            {
                listed = false;
                Report(ReflectorPhase.KindMissing, "the cluster has no such kind");
                MarkInitialized();
                await Task.Delay(_options.MissingInterval, Time, cancellationToken);
                continue;
            }
            catch (Exception e) when (e is KubernetesException or KubernetesConfigException or HttpRequestException or IOException or TimeoutException)
            {
                // An idle time-out is the quiet end of a connection; the next one goes on where it stopped.
                if (e is not TimeoutException)
                    Report(ReflectorPhase.Failing, e.Message);
                failures++;
                listed &= failures < _options.WatchFailuresBeforeList;
            }

            // The first interruption is a normal end or a server that restarts; go on at once, with hardly any pause.
            if (failures > 0)
                await Task.Delay(_client.Client.Backoff(failures, _options.RetryMinimum, _options.RetryMaximum), Time, cancellationToken);
        }
    }

    private async Task ListAsync(CancellationToken cancellationToken)
    {
        if (_lists == 0)
            Report(ReflectorPhase.Listing, "");
        ResourceList<T> list = await _client.ListAsync(_query, cancellationToken);
        _version = list.ResourceVersion;
        _lists++;
        _undecodable.Clear();
        foreach (UndecodableObject bad in list.Undecodable)
            Note(bad);
        _sink.Replace(list.Items, list.Undecodable.Select(u => u.Name).ToHashSet());
        MarkInitialized();
        Report(ReflectorPhase.Watching, "");
    }

    /// <returns>Whether anything came.</returns>
    private async Task<bool> WatchAsync(CancellationToken cancellationToken)
    {
        bool progressed = false;
        await foreach (IReadOnlyList<WatchEvent<T>> events in _client.WatchAsync(_query, _version, cancellationToken))
        {
            if (Status.Phase != ReflectorPhase.Watching)
                Report(ReflectorPhase.Watching, "");
            if (events.Count == 0)
                continue;
            progressed = true;
            _lastContact = Time.GetUtcNow();
            Deliver(events);
            if (events[^1].ResourceVersion is { Length: > 0 } version)
                _version = version;
        }

        return progressed;
    }

    private void Deliver(IReadOnlyList<WatchEvent<T>> events)
    {
        IReadOnlyList<WatchEvent<T>> good = events;
        if (events.Any(e => e.Type is WatchEventType.Bookmark or WatchEventType.Undecodable))
            good = [.. events.Where(e => e.Type is not (WatchEventType.Bookmark or WatchEventType.Undecodable))];
        foreach (WatchEvent<T> watched in events)
        {
            if (watched.Type == WatchEventType.Undecodable)
                Note(new UndecodableObject(watched.Name, watched.Problem ?? ""));
            else if (!_undecodable.IsEmpty)
                _undecodable.TryRemove(watched.Name, out _);
        }

        if (good.Count > 0)
            _sink.Change(good);
    }

    private void Note(UndecodableObject bad)
    {
        _undecodable[bad.Name] = bad;
        _options.OnUndecodable?.Invoke(bad);
    }

    private void MarkInitialized()
    {
        if (_initialized)
            return;
        _initialized = true;
        _sink.Initialized();
    }

    private void Report(ReflectorPhase phase, string problem)
    {
        if (phase is ReflectorPhase.Watching)
            _lastContact = Time.GetUtcNow();
        Status = new ReflectorStatus(_client.Kind, phase, problem, _version, _lastContact, _lists);
        _options.OnStatus?.Invoke(Status);
    }
}
