// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Tables;

namespace Axoneme.Kubernetes;

/// <summary>Tables of API objects by name.</summary>
public static class ResourceTable
{
    /// <summary>
    /// A table for a kind's objects. Versions decide whether an object changed, so that a repeated list of 30,000 objects wakes nobody.
    /// </summary>
    public static Table<ResourceName, T> Create<T>(ResourceKind<T> kind, IEnumerable<TableIndex<ResourceName, T>>? indexes = null)
        where T : Resource
        => new(
            "k8s-" + kind.Plural,
            value => value.ResourceName,
            indexes,
            [
                new("Name", v => v.ResourceName.ToString()),
                new("UID", v => v.Metadata.Uid ?? ""),
                new("Version", v => v.Metadata.ResourceVersion ?? ""),
                new("Created", v => v.Metadata.CreationTimestamp?.ToString("u") ?? ""),
            ],
            ResourceVersionComparer<T>.Instance);
}

/// <summary>Writes a kind's objects to a table, and marks it initialised when it is complete.</summary>
public sealed class TableSink<T> : IReflectorSink<T>
    where T : Resource
{
    private readonly Table<ResourceName, T> _table;
    private readonly string _source;
    private readonly Func<T, T> _trim;

    /// <summary>Registers itself as initialiser of the table.</summary>
    /// <param name="trim">Leaves out of an object what nobody needs, before the table keeps it.</param>
    public TableSink(Table<ResourceName, T> table, Func<T, T>? trim = null)
    {
        ArgumentNullException.ThrowIfNull(table);
        _table = table;
        _trim = trim ?? (static value => value);
        _source = "kubernetes/" + table.Name;
        table.RegisterInitializer(_source);
    }

    public void Replace(IReadOnlyList<T> items, IReadOnlySet<ResourceName> keep)
        => _table.Write(writer => writer.ReplaceWhere(old => !keep.Contains(old.ResourceName), items.Select(_trim)));

    public void Change(IReadOnlyList<WatchEvent<T>> events) => _table.Write(writer =>
    {
        foreach (WatchEvent<T> watched in events)
        {
            if (watched.Type == WatchEventType.Deleted)
                writer.Remove(watched.Name);
            else
                writer.Upsert(_trim(watched.Object!));
        }
    });

    public void Initialized() => _table.MarkInitialized(_source);
}
