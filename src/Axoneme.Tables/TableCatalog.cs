// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;

namespace Axoneme.Tables;

/// <summary>What the command line and the REST interface show of a table, whatever its types.</summary>
public interface ITable
{
    string Name { get; }

    long Revision { get; }

    int Count { get; }

    bool IsInitialized { get; }

    /// <summary>Sources whose first complete state is still awaited.</summary>
    IReadOnlyList<string> PendingInitializers { get; }

    /// <summary>Headings of the columns.</summary>
    IReadOnlyList<string> Columns { get; }

    /// <summary>The rows of one snapshot as texts, a cell for each column, in no particular order.</summary>
    IEnumerable<IReadOnlyList<string>> Rows();
}

/// <summary>One column of a table as people see it.</summary>
public sealed record Column<TValue>(string Name, Func<TValue, string> Text);

/// <summary>The tables of a process by name.</summary>
public sealed class TableCatalog
{
    private readonly ConcurrentDictionary<string, ITable> _tables = new(StringComparer.Ordinal);

    /// <summary>All tables in the order of their names.</summary>
    public IReadOnlyList<ITable> All => [.. _tables.Values.OrderBy(t => t.Name, StringComparer.Ordinal)];

    /// <summary>Adds the table and returns it.</summary>
    /// <exception cref="InvalidOperationException">There is one of that name.</exception>
    public TTable Add<TTable>(TTable table)
        where TTable : ITable
    {
        if (!_tables.TryAdd(table.Name, table))
            throw new InvalidOperationException($"There is a table {table.Name} already.");
        return table;
    }

    public ITable? Find(string name) => _tables.GetValueOrDefault(name);
}
