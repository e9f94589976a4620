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

    /// <summary>A block that a policy mentions.</summary>
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
            return [.. _statements.Values.Select(Winner)];
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
        if (!_statements.TryGetValue(prefix, out List<IpcacheRecord>? statements) || statements.Count == 0)
        {
            _statements.Remove(prefix);
            writer.Remove(prefix);
            return;
        }

        IpcacheRecord winner = Winner(statements);
        writer.Upsert(new IpcacheEntry(prefix, winner.Identity, winner.Node));
    }

    private static IpcacheRecord Winner(List<IpcacheRecord> statements)
    {
        IpcacheRecord winner = statements[0];
        foreach (IpcacheRecord statement in statements)
        {
            if (statement.Source >= winner.Source)
                winner = statement;
        }

        return winner;
    }
}
