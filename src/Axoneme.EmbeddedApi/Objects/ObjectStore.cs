// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using System.Threading.Channels;

namespace Axoneme.EmbeddedApi.Objects;

/// <summary>A stream of changes of one kind. It ends with an error when its reader falls behind by more than its bound.</summary>
internal sealed class ObjectWatch(Action<ObjectWatch> close) : IDisposable
{
    /// <summary>A reader this far behind is cheaper served by a new list.</summary>
    private const int MaxPending = 65536;

    private readonly Channel<ObjectChange> _channel = Channel.CreateBounded<ObjectChange>(
        new BoundedChannelOptions(MaxPending) { SingleReader = true, FullMode = BoundedChannelFullMode.Wait });

    public ChannelReader<ObjectChange> Changes => _channel.Reader;

    public void Offer(ObjectChange change)
    {
        if (!_channel.Writer.TryWrite(change))
            _channel.Writer.TryComplete(ApiErrors.Expired("too old resource version: the watch fell behind"));
    }

    public void Dispose() => close(this);
}

/// <summary>
/// Objects by kind with one counter of versions, as etcd has. Writers are serialised by a lock and only compare and swap; readers take
/// immutable snapshots. Each kind keeps its latest changes so that watches can resume.
/// </summary>
internal sealed class ObjectStore(int historyLength)
{
    private sealed class Shelf
    {
        public ObjectSnapshot Snapshot = ObjectSnapshot.Empty;
        public readonly Queue<ObjectChange> History = new();
        public readonly List<ObjectWatch> Watches = [];

        /// <summary>Changes up to this version are forgotten.</summary>
        public long Floor;
    }

    /// <summary>Every change of every kind, in order and under the store's lock: handlers only take note.</summary>
    public event Action<ResourceType, ObjectChange>? Changed;

    private readonly Lock _gate = new();
    private readonly Dictionary<string, Shelf> _shelves = new(StringComparer.Ordinal);
    private long _version = 1;

    public long Version
    {
        get
        {
            lock (_gate)
                return _version;
        }
    }

    public StoredObject? Get(ResourceType type, string? ns, string name) => Snapshot(type).Find(ns, name);

    /// <summary>The state now; its version is the store's, not that of the kind's last change.</summary>
    public ObjectSnapshot Snapshot(ResourceType type)
    {
        lock (_gate)
            return Of(type).Snapshot with { Version = _version };
    }

    public (ObjectSnapshot Present, ObjectWatch Watch) ListAndWatch(ResourceType type)
    {
        lock (_gate)
        {
            Shelf shelf = Of(type);
            return (shelf.Snapshot with { Version = _version }, Attach(shelf));
        }
    }

    /// <summary>All changes after a version, then the following ones.</summary>
    /// <exception cref="ApiException">410 when the version is too old, 504 when it has not been reached.</exception>
    public ObjectWatch Watch(ResourceType type, long after)
    {
        lock (_gate)
        {
            Shelf shelf = Of(type);
            if (after > _version)
                throw ApiErrors.TooLargeVersion(after, _version);
            if (after < shelf.Floor)
                throw ApiErrors.Expired($"too old resource version: {after} ({shelf.Floor})");
            ObjectWatch watch = Attach(shelf);
            foreach (ObjectChange change in shelf.History)
                if (change.Object.Version > after)
                    watch.Offer(change);
            return watch;
        }
    }

    /// <summary>Writes if the stored version is still <paramref name="expected"/> (null: if there is none).</summary>
    /// <returns>The stored object, or null when another writer was first.</returns>
    public StoredObject? TryPut(ResourceType type, JsonObject value, StoredObject? expected)
    {
        lock (_gate)
        {
            Shelf shelf = Of(type);
            string ns = value.Text("metadata", "namespace") ?? "";
            if (!ReferenceEquals(shelf.Snapshot.Find(ns, value.Text("metadata", "name")!), expected))
                return null;
            var stored = new StoredObject(value, ++_version);
            shelf.Snapshot = shelf.Snapshot.With(stored, _version);
            Publish(type, shelf, new(expected is null ? ChangeKind.Added : ChangeKind.Modified, stored, expected));
            return stored;
        }
    }

    /// <returns>The last version of the object, or null when another writer was first.</returns>
    public StoredObject? TryRemove(ResourceType type, StoredObject expected)
    {
        lock (_gate)
        {
            Shelf shelf = Of(type);
            if (!ReferenceEquals(shelf.Snapshot.Find(expected.Namespace, expected.Name), expected))
                return null;
            var last = new StoredObject(expected.Copy(), ++_version);
            shelf.Snapshot = shelf.Snapshot.Without(expected, _version);
            Publish(type, shelf, new(ChangeKind.Deleted, last, expected));
            return last;
        }
    }

    /// <summary>Forgets the history of all kinds, as a compaction does.</summary>
    public void Compact()
    {
        lock (_gate)
            foreach (Shelf shelf in _shelves.Values)
            {
                shelf.History.Clear();
                shelf.Floor = _version;
            }
    }

    /// <summary>Fills an empty store; versions go on after <paramref name="version"/>, and nothing before can be watched.</summary>
    public void Restore(IEnumerable<(ResourceType Type, JsonObject Value)> objects, long version)
    {
        lock (_gate)
        {
            foreach ((ResourceType type, JsonObject value) in objects)
            {
                Shelf shelf = Of(type);
                var stored = new StoredObject(value, long.Parse(value.Text("metadata", "resourceVersion") ?? "1"));
                shelf.Snapshot = shelf.Snapshot.With(stored, version);
                shelf.Floor = version;
            }
            _version = Math.Max(_version, version);
        }
    }

    private static void Detach(Lock gate, Shelf shelf, ObjectWatch watch)
    {
        lock (gate)
            shelf.Watches.Remove(watch);
    }

    private ObjectWatch Attach(Shelf shelf)
    {
        var watch = new ObjectWatch(w => Detach(_gate, shelf, w));
        shelf.Watches.Add(watch);
        return watch;
    }

    private void Publish(ResourceType type, Shelf shelf, ObjectChange change)
    {
        shelf.History.Enqueue(change);
        if (shelf.History.Count > historyLength)
            shelf.Floor = shelf.History.Dequeue().Object.Version;
        foreach (ObjectWatch watch in shelf.Watches)
            watch.Offer(change);
        Changed?.Invoke(type, change);
    }

    private Shelf Of(ResourceType type)
    {
        if (!_shelves.TryGetValue(type.StorageKey, out Shelf? shelf))
            _shelves[type.StorageKey] = shelf = new Shelf();
        return shelf;
    }
}
