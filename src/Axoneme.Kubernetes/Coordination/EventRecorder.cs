// SPDX-License-Identifier: Apache-2.0
using System.Security.Cryptography;
using System.Text;
using System.Threading.Channels;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Kubernetes;

/// <summary>
/// Tells users about an object through its events. Recording never waits and never fails: events are written by <see cref="RunAsync"/>, repeated
/// ones are counted up in place, and what comes faster than the API takes it is dropped.
/// </summary>
/// <param name="component">Who speaks, such as cilium-agent.</param>
/// <param name="host">On which node.</param>
public sealed class EventRecorder(KubernetesClient client, string component, string host)
{
    // Enough for a burst about every pod of a node.
    private const int QueueLength = 512;

    // Repetitions of older ones become new events.
    private const int RememberedEvents = 2048;

    private readonly Channel<Recorded> _queue = Channel.CreateBounded<Recorded>(
        new BoundedChannelOptions(QueueLength) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true });

    private readonly Dictionary<Recorded, Event> _known = [];
    private readonly Queue<Recorded> _age = new();
    private long _sequence;

    private sealed record Recorded(ResourceName Name, string Kind, string ApiVersion, string Uid, string Type, string Reason, string Message)
    {
        public bool IsShared { get; init; }
    }

    /// <summary>An ordinary event.</summary>
    public void Normal(Resource about, string reason, string message) => Record(about, "Normal", reason, message);

    /// <summary>Something that a user should look at.</summary>
    public void Warning(Resource about, string reason, string message) => Record(about, "Warning", reason, message);

    /// <summary>
    /// A warning for which many processes have the same reason, such as the agents of all nodes for an object that none of them can use: who
    /// comes first writes it, under a name that follows from what it says, and the others leave it at that.
    /// </summary>
    public void WarningOnce(Resource about, string reason, string message) => Record(about, "Warning", reason, message, isShared: true);

    /// <summary>Writes events until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        await foreach (Recorded recorded in _queue.Reader.ReadAllAsync(cancellationToken))
        {
            try
            {
                await WriteAsync(recorded, cancellationToken);
            }
            catch (Exception e) when (e is KubernetesException or HttpRequestException or IOException)
            {
                // An event is a courtesy: its loss harms nobody, and the namespace may just be going away.
                _known.Remove(recorded);
            }
        }
    }

    private void Record(Resource about, string type, string reason, string message, bool isShared = false)
    {
        const int MaximumMessage = 1024; // The API refuses longer ones.
        ArgumentNullException.ThrowIfNull(about);
        string text = message.Length <= MaximumMessage ? message : message[..MaximumMessage];
        _queue.Writer.TryWrite(new Recorded(about.ResourceName, about.Kind, about.ApiVersion, about.Metadata.Uid ?? "", type, reason, text)
        {
            IsShared = isShared,
        });
    }

    private async Task WriteAsync(Recorded recorded, CancellationToken cancellationToken)
    {
        ResourceClient<Event> events = client.Of(Kinds.Events);
        DateTimeOffset now = client.Options.Time.GetUtcNow();
        if (recorded.IsShared)
        {
            await WriteSharedAsync(events, recorded, now, cancellationToken);
            return;
        }

        if (_known.TryGetValue(recorded, out Event? earlier))
        {
            int count = (earlier.Count ?? 1) + 1;
            string patch = $$"""{"count":{{count}},"lastTimestamp":"{{now.UtcDateTime:yyyy-MM-dd'T'HH:mm:ss'Z'}}"}""";
            try
            {
                _known[recorded] = await events.PatchAsync(earlier.ResourceName, PatchKind.Merge, patch, null, cancellationToken);
                return;
            }
            catch (KubernetesException e) when (e.IsNotFound)
            {
                // Events expire on the server; this one begins anew.
            }
        }

        Remember(recorded, await events.CreateAsync(New(recorded, NextName(recorded, now), now), null, cancellationToken));
    }

    private async Task WriteSharedAsync(ResourceClient<Event> events, Recorded recorded, DateTimeOffset now, CancellationToken cancellationToken)
    {
        if (_known.ContainsKey(recorded))
            return;
        Event shared = New(recorded, SharedName(recorded), now);
        Remember(recorded, shared);
        try
        {
            await events.CreateAsync(shared, null, cancellationToken);
        }
        catch (KubernetesException e) when (e.IsConflict)
        {
            // Another process was first.
        }
    }

    private void Remember(Recorded recorded, Event written)
    {
        if (!_known.ContainsKey(recorded))
            _age.Enqueue(recorded);
        _known[recorded] = written;
        while (_age.Count > RememberedEvents)
            _known.Remove(_age.Dequeue());
    }

    private string NextName(Recorded recorded, DateTimeOffset now) => $"{recorded.Name.Name}.{now.UtcTicks:x}{++_sequence:x4}";

    private static string SharedName(Recorded recorded)
    {
        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes($"{recorded.Kind}\n{recorded.Uid}\n{recorded.Reason}\n{recorded.Message}"));
        return $"{recorded.Name.Name}.{Convert.ToHexStringLower(hash.AsSpan(0, 8))}";
    }

    private Event New(Recorded recorded, string name, DateTimeOffset now) => new()
    {
        Metadata = new ObjectMeta
        {
            // Events about cluster-scoped objects live in the default namespace.
            Namespace = recorded.Name.Namespace.Length > 0 ? recorded.Name.Namespace : "default",
            Name = name,
        },
        InvolvedObject = new ObjectReference
        {
            ApiVersion = recorded.ApiVersion,
            Kind = recorded.Kind,
            Namespace = recorded.Name.Namespace.Length > 0 ? recorded.Name.Namespace : null,
            Name = recorded.Name.Name,
            Uid = recorded.Uid,
        },
        Type = recorded.Type,
        Reason = recorded.Reason,
        Message = recorded.Message,
        Source = new EventSource { Component = component, Host = host },
        ReportingComponent = component,
        ReportingInstance = host,
        FirstTimestamp = now,
        LastTimestamp = now,
        Count = 1,
    };
}
