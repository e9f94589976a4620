// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.Agent.Ipcache;

/// <summary>Who says so; later ones are believed more.</summary>
internal enum IpcacheSource
{
    /// <summary>Everything that nobody else speaks for.</summary>
    World,

    /// <summary>A block that a policy mentions, or an address that a name has. Not heard about parts of a <see cref="PodRange"/>: pods are in there.</summary>
    Cidr,

    /// <summary>The pod range of another node, before its single pods are known.</summary>
    PodRange,

    /// <summary>An address of the API server outside the cluster's nodes.</summary>
    ApiServer,

    /// <summary>A pod of another node, from its CiliumEndpoint.</summary>
    Pod,

    /// <summary>A pod of this node.</summary>
    LocalEndpoint,

    /// <summary>A node, this one included.</summary>
    Node,
}

/// <summary>One statement: this prefix has this identity, and is reached through that node (null: directly or local).</summary>
/// <param name="Owner">Tells statements of one source about one prefix apart: pod or node name, or empty.</param>
internal sealed record IpcacheRecord(
    IpPrefix Prefix, SecurityIdentity Identity, IpAddress? Node, IpcacheSource Source, string Owner);

/// <summary>
/// Which identity an address has, merged from all who know. Several may speak of one prefix for a while, such as the old and
/// the new pod of a reused address; the table always has the most trusted, and among equals the latest.
/// </summary>
internal sealed class Ipcache
{
    private readonly Lock _gate = new();
    private readonly Dictionary<IpPrefix, List<IpcacheRecord>> _statements = [];

    // Blocks of policies, and pod ranges with their lengths: what is not heard changes with the ranges.
    private readonly HashSet<IpPrefix> _cidrs = [];
    private readonly HashSet<IpPrefix> _podRanges = [];
    private readonly SortedDictionary<int, int> _podRangeLengths = [];

    /// <summary>What the kernel has to know.</summary>
    public Table<IpPrefix, IpcacheEntry> Table { get; } = new(
        "ipcache",
        entry => entry.Prefix,
        columns:
        [
            new("Prefix", e => e.Prefix.ToString()),
            new("Identity", e => e.Identity.ToString()),
            new("Node", e => e.Node?.ToString() ?? ""),
        ]);

    public void Set(IpcacheRecord statement) => Apply([], [statement]);

    public void Remove(IpPrefix prefix, IpcacheSource source, string owner) => Apply([(prefix, source, owner)], []);

    /// <summary>Replaces what <paramref name="owner"/> said through <paramref name="source"/> by the new statements, in one step.</summary>
    public void Replace(IEnumerable<IpPrefix> before, IReadOnlyCollection<IpcacheRecord> after, IpcacheSource source, string owner)
    {
        var kept = after.Select(record => record.Prefix).ToHashSet();
        Apply([.. before.Where(prefix => !kept.Contains(prefix)).Select(prefix => (prefix, source, owner))], after);
    }

    /// <summary>The statements in force, with who made them, in no particular order.</summary>
    public IReadOnlyList<IpcacheRecord> Describe()
    {
        lock (_gate)
            return [.. _statements.Select(pair => Winner(pair.Key, pair.Value)).OfType<IpcacheRecord>()];
    }

    /// <summary>The most specific statement about an address; tries every length that is in use, longest first.</summary>
    public IpcacheEntry? Find(IpAddress address)
    {
        TableSnapshot<IpPrefix, IpcacheEntry> snapshot = Table.Snapshot();
        for (int length = address.BitCount; length >= 0; length--)
        {
            if (snapshot.TryGet(new IpPrefix(address, length), out IpcacheEntry? entry))
                return entry;
        }

        return null;
    }

    private void Apply(IReadOnlyCollection<(IpPrefix Prefix, IpcacheSource Source, string Owner)> removed, IReadOnlyCollection<IpcacheRecord> added)
    {
        lock (_gate)
        {
            Table.Write(writer =>
            {
                foreach ((IpPrefix prefix, IpcacheSource source, string owner) in removed)
                {
                    if (_statements.TryGetValue(prefix, out List<IpcacheRecord>? statements))
                        statements.RemoveAll(s => s.Source == source && s.Owner == owner);
                    Publish(writer, prefix);
                }

                foreach (IpcacheRecord record in added)
                {
                    if (!_statements.TryGetValue(record.Prefix, out List<IpcacheRecord>? statements))
                        _statements[record.Prefix] = statements = [];
                    statements.RemoveAll(s => s.Source == record.Source && s.Owner == record.Owner);
                    statements.Add(record);
                    Publish(writer, record.Prefix);
                }
            });
        }
    }

    private void Publish(TableWriter<IpPrefix, IpcacheEntry> writer, IpPrefix prefix)
    {
        List<IpcacheRecord> statements = _statements.GetValueOrDefault(prefix, []);
        if (statements.Count == 0)
            _statements.Remove(prefix);
        Note(_cidrs, prefix, statements.Exists(s => s.Source == IpcacheSource.Cidr));
        if (Note(_podRanges, prefix, statements.Exists(s => s.Source == IpcacheSource.PodRange)) is { } isRange)
            MoveRange(writer, prefix, isRange ? 1 : -1);
        Write(writer, prefix, statements);
    }

    // Null: it was so before.
    private static bool? Note(HashSet<IpPrefix> set, IpPrefix prefix, bool isMember)
        => (isMember ? set.Add(prefix) : set.Remove(prefix)) ? isMember : null;

    private void MoveRange(TableWriter<IpPrefix, IpcacheEntry> writer, IpPrefix range, int change)
    {
        _podRangeLengths[range.Length] = _podRangeLengths.GetValueOrDefault(range.Length) + change;
        if (_podRangeLengths[range.Length] == 0)
            _podRangeLengths.Remove(range.Length);
        foreach (IpPrefix cidr in _cidrs.Where(cidr => cidr != range && range.Contains(cidr)))
            Write(writer, cidr, _statements[cidr]);
    }

    private void Write(TableWriter<IpPrefix, IpcacheEntry> writer, IpPrefix prefix, List<IpcacheRecord> statements)
    {
        if (Winner(prefix, statements) is { } winner)
            writer.Upsert(new IpcacheEntry(prefix, winner.Identity, winner.Node));
        else
            writer.Remove(prefix);
    }

    // Null: nobody who is heard says anything.
    private IpcacheRecord? Winner(IpPrefix prefix, List<IpcacheRecord> statements)
    {
        IpcacheRecord? winner = null;
        foreach (IpcacheRecord statement in statements)
        {
            if (winner is null || statement.Source >= winner.Source)
                winner = statement;
        }

        return winner?.Source == IpcacheSource.Cidr && IsInPodRange(prefix) ? null : winner;
    }

    private bool IsInPodRange(IpPrefix prefix)
    {
        foreach (int length in _podRangeLengths.Keys)
        {
            if (length > prefix.Length)
                return false;
            if (_podRanges.Contains(new IpPrefix(prefix.Address, length)))
                return true;
        }

        return false;
    }
}
