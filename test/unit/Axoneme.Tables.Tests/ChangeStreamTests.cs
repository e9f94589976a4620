// SPDX-License-Identifier: Apache-2.0
using FsCheck;
using FsCheck.Fluent;

namespace Axoneme.Tables.Tests;

public sealed class ChangeStreamTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public void A_reader_that_replays_the_changes_has_the_table() => Prop.ForAll(Step.Transactions, transactions =>
    {
        Table<int, Item> table = Item.NewTable();
        using ChangeStream<int, Item> stream = table.Watch();
        Dictionary<int, Item> replay = [];
        long last = -1;
        foreach (Step[] steps in transactions)
        {
            table.Write(writer => Array.ForEach(steps, step => step.Do(writer)));
            if (steps.Any(s => s is Step.Read))
                Replay(stream, replay, ref last);
        }

        Replay(stream, replay, ref last);
        Assert.Equal(table.Snapshot().Values.OrderBy(i => i.Id), replay.Values.OrderBy(i => i.Id));
        Assert.False(stream.TryNext(out _));
    }).QuickCheckThrowOnFailure();

    [Fact]
    public async Task The_first_batch_comes_at_once_even_from_an_empty_table()
    {
        using ChangeStream<int, Item> stream = Item.NewTable().Watch();
        ChangeBatch<int, Item> batch = await stream.NextAsync(Stop);
        Assert.Empty(batch.Changes);
        Assert.True(batch.IsInitialized);
    }

    [Fact]
    public void A_slow_reader_costs_one_entry_an_object_however_many_come_and_go()
    {
        Table<int, Item> table = Item.NewTable();
        table.Upsert(new Item(0, "red", 0));
        using ChangeStream<int, Item> stream = table.Watch();
        stream.TryNext(out _);
        for (int i = 1; i <= 10_000; i++)
        {
            table.Upsert(new Item(i, "red", i));
            table.Upsert(new Item(0, "red", i));
            table.Remove(i);
        }

        table.Remove(0);
        Assert.True(stream.TryNext(out ChangeBatch<int, Item>? batch));
        Change<int, Item> change = Assert.Single(batch.Changes);
        Assert.Equal((0, true, table.Revision), (change.Key, change.IsDelete, change.Revision));
    }

    [Fact]
    public async Task Becoming_initialised_wakes_a_reader_without_changes()
    {
        Table<int, Item> table = Item.NewTable();
        table.RegisterInitializer("source");
        using ChangeStream<int, Item> stream = table.Watch();
        Assert.False((await stream.NextAsync(Stop)).IsInitialized);
        ValueTask<ChangeBatch<int, Item>> next = stream.NextAsync(Stop);
        Assert.False(next.IsCompleted);
        table.MarkInitialized("source");
        ChangeBatch<int, Item> batch = await next;
        Assert.True(batch.IsInitialized);
        Assert.Empty(batch.Changes);
    }

    [Fact]
    public async Task No_wake_up_is_lost_between_writers_and_a_reader()
    {
        Table<int, Item> table = Item.NewTable();
        using ChangeStream<int, Item> stream = table.Watch();
        const int Writers = 3, Writes = 20_000;
        Task[] writers = [.. Enumerable.Range(0, Writers).Select(w => Task.Factory.StartNew(
            () =>
            {
                for (int i = 1; i <= Writes; i++)
                    table.Upsert(new Item(w, "red", i));
            },
            Stop,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default))];
        Dictionary<int, int> seen = [];
        while (seen.Count < Writers || seen.Values.Any(size => size < Writes))
        {
            // A lost wake-up would leave this waiting for ever; the time-out only turns that into a failure.
            ChangeBatch<int, Item> batch = await stream.NextAsync(Stop).AsTask().WaitAsync(TimeSpan.FromSeconds(30), Stop);
            foreach (Change<int, Item> change in batch.Changes)
            {
                Assert.True(seen.GetValueOrDefault(change.Key) < change.Value!.Size);
                seen[change.Key] = change.Value.Size;
            }
        }

        await Task.WhenAll(writers);
    }

    [Fact]
    public async Task A_signal_given_to_a_cancelled_wait_reaches_the_next_one()
    {
        for (int i = 0; i < 500; i++)
        {
            var signal = new WakeSignal();
            using var cancel = new CancellationTokenSource();
            Task abandoned = signal.WaitAsync(cancel.Token);
            Task cancelling = cancel.CancelAsync();
            signal.Set();
            await cancelling;
            bool taken = true;
            try
            {
                await abandoned;
            }
            catch (OperationCanceledException)
            {
                taken = false;
            }

            if (!taken)
                await signal.WaitAsync(Stop).WaitAsync(TimeSpan.FromSeconds(30), Stop);
        }
    }

    [Fact]
    public async Task A_cancelled_reader_can_go_on_where_it_was()
    {
        Table<int, Item> table = Item.NewTable();
        using ChangeStream<int, Item> stream = table.Watch();
        await stream.NextAsync(Stop);
        using var cancel = new CancellationTokenSource();
        ValueTask<ChangeBatch<int, Item>> waiting = stream.NextAsync(cancel.Token);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await waiting);
        table.Upsert(new Item(1, "red", 1));
        Assert.Equal(1, Assert.Single((await stream.NextAsync(Stop)).Changes).Key);
    }

    [Fact]
    public void A_disposed_stream_is_fed_no_longer()
    {
        Table<int, Item> table = Item.NewTable();
        ChangeStream<int, Item> stream = table.Watch();
        stream.TryNext(out _);
        stream.Dispose();
        table.Upsert(new Item(1, "red", 1));
        Assert.False(stream.TryNext(out _));
    }

    private static void Replay(ChangeStream<int, Item> stream, Dictionary<int, Item> replay, ref long last)
    {
        if (!stream.TryNext(out ChangeBatch<int, Item>? batch))
            return;
        Assert.Equal(batch.Changes.Count, batch.Changes.Select(c => c.Key).Distinct().Count());
        foreach (Change<int, Item> change in batch.Changes)
        {
            Assert.True(change.Revision >= last);
            last = change.Revision;
            if (change.IsDelete)
                Assert.True(replay.Remove(change.Key), "a deletion of an object that the reader never saw");
            else
                replay[change.Key] = change.Value!;
        }

        Assert.Equal(batch.Snapshot.Values.OrderBy(i => i.Id), replay.Values.OrderBy(i => i.Id));
    }
}
