// SPDX-License-Identifier: Apache-2.0
using FsCheck;
using FsCheck.Fluent;

namespace Axoneme.Tables.Tests;

public sealed class TableTests
{
    [Fact]
    public void A_table_behaves_like_a_dictionary_and_old_snapshots_never_change() => Prop.ForAll(Step.Transactions, transactions =>
    {
        Table<int, Item> table = Item.NewTable();
        Dictionary<int, Item> model = [];
        List<(TableSnapshot<int, Item> Snapshot, Dictionary<int, Item> Model)> history = [];
        foreach (Step[] steps in transactions)
        {
            Dictionary<int, Item> before = new(model);
            long revision = table.Revision;
            long returned = table.Write(writer => Array.ForEach(steps, step => step.Do(writer)));
            Array.ForEach(steps, step => step.Do(model));

            Assert.Equal(table.Revision, returned);
            bool changed = !Same(before, model);
            Assert.Equal(changed ? revision + 1 : revision, table.Revision);
            foreach ((int id, Item item) in model)
            {
                bool touched = !before.TryGetValue(id, out Item? old) || old != item;
                long rowRevision = table.Snapshot().RevisionOf(id);
                Assert.True(touched ? rowRevision == table.Revision : rowRevision <= revision);
            }

            history.Add((table.Snapshot(), new(model)));
        }

        foreach ((TableSnapshot<int, Item> snapshot, Dictionary<int, Item> expected) in history)
            AssertSame(expected, snapshot);
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_transaction_that_throws_writes_nothing()
    {
        Table<int, Item> table = Item.NewTable();
        table.Upsert(new Item(1, "red", 1));
        using ChangeStream<int, Item> stream = table.Watch();
        stream.TryNext(out _);
        Assert.Throws<FormatException>(() => table.Write(writer =>
        {
            writer.Remove(1);
            writer.Upsert(new Item(2, "blue", 2));
            throw new FormatException();
        }));
        AssertSame(new() { [1] = new Item(1, "red", 1) }, table.Snapshot());
        Assert.Equal(1, table.Revision);
        Assert.False(stream.TryNext(out _));
        table.Upsert(new Item(2, "blue", 2));
        Assert.Equal(2, table.Count);
    }

    [Fact]
    public void An_index_function_that_throws_leaves_both_tables_of_a_common_transaction_as_they_were()
    {
        Table<int, Item> left = Item.NewTable("left");
        TableIndex<int, Item, int> broken = new("broken", i => i.Size == 13 ? throw new FormatException() : i.Size);
        Table<int, Item> right = new("right", i => i.Id, [broken]);
        foreach (Action<Item, Item> write in new Action<Item, Item>[]
        {
            (a, b) => left.WriteWith(right, (l, r) => (l.Upsert(a), r.Upsert(b)).ToString()),
            (a, b) => right.WriteWith(left, (r, l) => (l.Upsert(a), r.Upsert(b)).ToString()),
        })
        {
            Assert.Throws<FormatException>(() => write(new Item(1, "red", 1), new Item(1, "red", 13)));
            Assert.Equal((0, 0), (left.Count, right.Count));
        }

        left.WriteWith(right, (l, r) => (l.Upsert(new Item(1, "red", 1)), r.Upsert(new Item(1, "red", 2))).ToString());
        Assert.Equal((1L, 1L), (left.Revision, right.Revision));
    }

    [Fact]
    public void Common_transactions_in_opposite_order_do_not_wait_for_each_other_for_ever()
    {
        Table<int, Item> left = Item.NewTable("left");
        Table<int, Item> right = Item.NewTable("right");
        Parallel.For(0, 2000, new ParallelOptions { MaxDegreeOfParallelism = 4 }, i =>
        {
            (Table<int, Item> a, Table<int, Item> b) = i % 2 == 0 ? (left, right) : (right, left);
            a.WriteWith(b, (x, y) =>
            {
                x.Upsert(new Item(1, "red", i));
                y.Upsert(new Item(1, "red", i));
            });
        });
        Assert.Equal(left.Snapshot().Find(1), right.Snapshot().Find(1));
    }

    [Fact]
    public void A_table_cannot_be_written_from_within_its_own_transaction()
    {
        Table<int, Item> table = Item.NewTable();
        Assert.Throws<InvalidOperationException>(() => table.Write(_ => table.Upsert(new Item(1, "red", 1))));
        Assert.Equal(0, table.Revision);
    }

    [Fact]
    public void A_writer_kept_beyond_its_transaction_is_refused()
    {
        Table<int, Item> table = Item.NewTable();
        TableWriter<int, Item>? kept = null;
        table.Write(writer => kept = writer);
        Assert.Throws<ObjectDisposedException>(() => kept!.Upsert(new Item(1, "red", 1)));
    }

    [Fact]
    public void A_value_changed_and_changed_back_in_one_transaction_is_no_change()
    {
        Table<int, Item> table = Item.NewTable();
        table.Upsert(new Item(1, "red", 1));
        table.Upsert(new Item(2, "red", 1));
        long revision = table.Write(writer =>
        {
            writer.Upsert(new Item(1, "blue", 1));
            writer.Remove(1);
            writer.Upsert(new Item(1, "red", 1));
            writer.Upsert(new Item(3, "red", 1));
            writer.Remove(3);
        });
        Assert.Equal(2, revision);
        Assert.Equal(1, table.Snapshot().RevisionOf(1));
    }

    [Fact]
    public void Rows_of_other_sources_survive_a_partial_replacement()
    {
        Table<int, Item> table = Item.NewTable();
        table.Write(writer => writer.ReplaceAll([new Item(1, "red", 1), new Item(2, "blue", 1), new Item(3, "red", 1)]));
        table.Write(writer => writer.ReplaceWhere(i => i.Color == "red", [new Item(4, "red", 1), new Item(3, "red", 1)]));
        Assert.Equal([2, 3, 4], table.Snapshot().Keys.Order());
        Assert.Equal(1, table.Snapshot().RevisionOf(3));
    }

    [Fact]
    public void An_index_that_the_table_was_made_without_is_refused()
    {
        var table = new Table<int, Item>("plain", i => i.Id);
        Assert.Throws<ArgumentException>(() => table.Snapshot().Lookup(Item.ByColor, "red").ToList());
    }

    [Fact]
    public async Task A_table_is_initialised_when_the_last_source_has_delivered()
    {
        Table<int, Item> table = Item.NewTable();
        Assert.True(table.IsInitialized);
        table.RegisterInitializer("b");
        table.RegisterInitializer("a");
        Assert.Throws<InvalidOperationException>(() => table.RegisterInitializer("a"));
        Assert.Equal(["a", "b"], table.PendingInitializers);
        Task waiting = table.WhenInitializedAsync(TestContext.Current.CancellationToken);
        table.MarkInitialized("a");
        table.MarkInitialized("a");
        table.MarkInitialized("unknown");
        Assert.False(waiting.IsCompleted);
        Assert.False(table.IsInitialized);
        table.MarkInitialized("b");
        await waiting;
        Assert.True(table.IsInitialized);
        Assert.Throws<InvalidOperationException>(() => table.RegisterInitializer("late"));
    }

    [Fact]
    public void The_catalog_shows_any_table_as_text()
    {
        var catalog = new TableCatalog();
        Table<int, Item> plain = catalog.Add(Item.NewTable("b"));
        catalog.Add(new Table<int, Item>("a", i => i.Id, columns: [new("Id", i => i.Id.ToString()), new("Color", i => i.Color)]))
            .Upsert(new Item(7, "red", 1));
        Assert.Throws<InvalidOperationException>(() => catalog.Add(Item.NewTable("a")));
        Assert.Equal(["a", "b"], catalog.All.Select(t => t.Name));
        Assert.Equal(["Id", "Color"], catalog.Find("a")!.Columns);
        Assert.Equal(["7", "red"], Assert.Single(catalog.Find("a")!.Rows()));
        plain.Upsert(new Item(3, "blue", 2));
        Assert.Equal(["3", new Item(3, "blue", 2).ToString()], Assert.Single(catalog.Find("b")!.Rows()));
        Assert.Null(catalog.Find("c"));
    }

    internal static bool Same(Dictionary<int, Item> a, Dictionary<int, Item> b)
        => a.Count == b.Count && a.All(p => b.TryGetValue(p.Key, out Item? other) && other == p.Value);

    private static void AssertSame(Dictionary<int, Item> expected, TableSnapshot<int, Item> snapshot)
    {
        Assert.Equal(expected.OrderBy(p => p.Key).Select(p => p.Value), snapshot.Values.OrderBy(i => i.Id));
        Assert.Equal(expected.Count, snapshot.Count);
        foreach (string color in new[] { "red", "green", "blue" })
        {
            Assert.Equal(
                expected.Values.Where(i => i.Color == color).OrderBy(i => i.Id),
                snapshot.Lookup(Item.ByColor, color).OrderBy(i => i.Id));
        }

        for (int divisor = 2; divisor <= 5; divisor++)
        {
            Assert.Equal(
                expected.Values.Where(i => Item.Divisors(i.Size).Contains(divisor)).OrderBy(i => i.Id),
                snapshot.Lookup(Item.ByDivisor, divisor).OrderBy(i => i.Id));
        }

        Assert.Equal(expected.Values.Select(i => i.Color).Distinct().Order(), snapshot.IndexKeys(Item.ByColor).Order());
    }
}
