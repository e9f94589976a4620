// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using FsCheck;
using FsCheck.Fluent;

namespace Axoneme.Tables.Tests;

public sealed class ReconcilerTests : IAsyncDisposable
{
    private readonly FakeTime _time = new();
    private readonly Table<int, Item> _table = Item.NewTable();
    private readonly FakeTarget _target = new();
    private readonly ConcurrentQueue<ReconcileReport> _reports = new();
    private readonly CancellationTokenSource _stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
    private Reconciler<int, Item>? _reconciler;
    private Task _running = Task.CompletedTask;

    private CancellationToken Stop => _stop.Token;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await _running;
            Stop.ThrowIfCancellationRequested();
        });
        _stop.Dispose();
    }

    [Fact]
    public async Task What_an_earlier_process_left_is_adopted_without_a_write()
    {
        _table.Upsert(new Item(1, "red", 1));
        _target.Tamper(actual => actual[1] = new Item(1, "red", 1));
        Start();
        ReconcileStatus<int>? status = await Settled(1);
        Assert.Equal((ReconcilePhase.Done, 1L), (status!.Phase, status.Revision));
        Assert.Equal(["read"], _target.Calls);
        ReconcileReport report = Assert.Single(_reports);
        Assert.Equal((ReconcileCheckReason.Start, 1, 0), (report.Reason, report.Adopted, report.Repaired));
    }

    [Fact]
    public async Task Nothing_is_pruned_before_the_table_is_complete()
    {
        _table.RegisterInitializer("source");
        _target.Tamper(actual =>
        {
            actual[1] = new Item(1, "red", 1);
            actual[2] = new Item(2, "red", 1);
        });
        Start();
        _table.Upsert(new Item(3, "red", 1));
        await Settled(3);
        Assert.Equal([1, 2, 3], _target.Actual.Keys.Order());
        _table.Upsert(new Item(1, "red", 1));
        _table.MarkInitialized("source");
        await Until(() => !_target.Actual.ContainsKey(2));
        Assert.Equal([1, 3], _target.Actual.Keys.Order());
        Assert.Equal(1, _reports.Single(r => r.Reason == ReconcileCheckReason.Initialized).Stale);
        Assert.Equal(0, _reconciler!.Repaired);
    }

    [Fact]
    public async Task A_change_is_applied_and_a_removed_object_leaves_no_status()
    {
        Start();
        await Settled(1, _table.Upsert(new Item(1, "red", 1)));
        Assert.Equal("red", _target.Actual[1].Color);
        await Settled(1, _table.Upsert(new Item(1, "blue", 1)));
        Assert.Equal("blue", _target.Actual[1].Color);
        Assert.Null(await Settled(1, _table.Remove(1)));
        Assert.Empty(_target.Actual);
        Assert.Equal(0, _reconciler!.Status.Count);
    }

    [Fact]
    public async Task A_failed_object_is_retried_alone_and_others_go_on()
    {
        _target.Fail = key => key == 2 ? "no space" : null;
        Start();
        _table.Write(w => w.ReplaceAll([new Item(1, "red", 1), new Item(2, "red", 1)]));
        ReconcileStatus<int>? status = await Settled(2);
        Assert.Equal((ReconcilePhase.Error, "no space", 1, _time.GetUtcNow()), (status!.Phase, status.Message, status.Attempts, status.Time));
        Assert.Equal(ReconcilePhase.Done, (await Settled(1))!.Phase);

        _time.Advance(TimeSpan.FromMilliseconds(99));
        await Settled(1);
        Assert.Equal(1, _reconciler!.Status.Snapshot().Find(2)!.Attempts);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        await Until(() => _reconciler.Status.Snapshot().Find(2)!.Attempts == 2);
        _target.Fail = _ => null;
        _time.Advance(TimeSpan.FromMilliseconds(200));
        await Until(() => _reconciler.Status.Snapshot().Find(2)!.Phase == ReconcilePhase.Done);
        Assert.Equal(["read", "apply 1,2", "apply 2", "apply 2"], _target.Calls.Select(c => c.Replace("2,1", "1,2", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task What_a_full_target_refused_is_tried_again_soon_after_something_left()
    {
        _target.Fail = id => id == 2 && _target.Actual.ContainsKey(1) ? "full" : null;
        Start();
        await Settled(1, _table.Upsert(new Item(1, "red", 1)));
        await Settled(2, _table.Upsert(new Item(2, "red", 1)));
        for (int attempts = 1; attempts < 8; attempts++)
        {
            int before = attempts;
            await Until(() => _reconciler!.Status.Snapshot().Find(2)?.Attempts == before);
            _time.Advance(TimeSpan.FromSeconds(30));
        }

        _table.Remove(1);
        await Until(() => _reconciler!.Status.Snapshot().Find(1) is null);
        _time.Advance(TimeSpan.FromSeconds(1));
        await Until(() => _reconciler!.Status.Snapshot().Find(2)?.Phase == ReconcilePhase.Done);
    }

    [Fact]
    public async Task A_change_of_a_failing_object_is_tried_at_once()
    {
        _target.Fail = _ => "no space";
        Start();
        await Settled(1, _table.Upsert(new Item(1, "red", 1)));
        _target.Fail = _ => null;
        Assert.Equal(ReconcilePhase.Done, (await Settled(1, _table.Upsert(new Item(1, "blue", 1))))!.Phase);
    }

    [Fact]
    public async Task A_call_that_throws_fails_its_objects_with_its_message()
    {
        Start();
        await Until(() => !_reports.IsEmpty);
        _target.Throw = () => true;
        ReconcileStatus<int>? status = await Settled(1, _table.Upsert(new Item(1, "red", 1)));
        Assert.Equal((ReconcilePhase.Error, "the target is away"), (status!.Phase, status.Message));
    }

    [Fact]
    public async Task An_unreadable_target_is_written_all_the_same_and_pruned_when_it_can_be_read()
    {
        _target.Throw = () => _target.Calls[^1] == "read";
        _target.Tamper(actual => actual[9] = new Item(9, "red", 1));
        _table.Upsert(new Item(1, "red", 1));
        Start(new ReconcilerOptions { DriftInterval = TimeSpan.Zero });
        await Settled(1);
        Assert.Equal([1, 9], _target.Actual.Keys.Order());
        _target.Throw = () => false;
        _time.Advance(TimeSpan.FromSeconds(1));
        await Until(() => !_target.Actual.ContainsKey(9));
    }

    [Fact]
    public async Task Drift_is_repaired_and_counted()
    {
        _table.Write(w => w.ReplaceAll([.. Enumerable.Range(0, 5).Select(i => new Item(i, "red", i))]));
        Start();
        await Settled(4);
        _target.Tamper(actual =>
        {
            actual.Remove(0);
            actual[1] = new Item(1, "blue", 1);
            actual[7] = new Item(7, "blue", 1);
        });
        _time.Advance(TimeSpan.FromSeconds(30));
        await Until(() => TableTests.Same(_target.Actual, _table.Snapshot().Values.ToDictionary(i => i.Id)));
        ReconcileReport report = _reports.Last();
        Assert.Equal((ReconcileCheckReason.Drift, 1, 1, 1), (report.Reason, report.Missing, report.Different, report.Stale));
        Assert.Equal(["0", "1", "7"], report.Sample.Order());
        Assert.Equal(3, _reconciler!.Repaired);
    }

    [Fact]
    public async Task A_check_does_not_take_failing_objects_for_drift()
    {
        _target.Fail = key => key == 1 ? "no space" : null;
        Start();
        await Settled(1, _table.Upsert(new Item(1, "red", 1)));
        _reconciler!.RequestCheck();
        await Until(() => _reports.Any(r => r.Reason == ReconcileCheckReason.Drift));
        Assert.Equal(0, _reconciler.Repaired);
    }

    [Fact]
    public async Task Large_changes_are_applied_in_rounds()
    {
        _table.Write(w => w.ReplaceAll(Enumerable.Range(0, 25).Select(i => new Item(i, "red", i))));
        Start(new ReconcilerOptions { RoundSize = 10 });
        await Until(() => _target.Actual.Count == 25);
        Assert.Equal([10, 10, 5], _target.Calls.Where(c => c.StartsWith("apply", StringComparison.Ordinal)).Select(c => c.Split(',').Length));
    }

    [Fact]
    public async Task Those_who_wait_are_released_when_the_reconciler_ends()
    {
        Start();
        Task<ReconcileStatus<int>?> waiting = _reconciler!.WaitAsync(1, long.MaxValue, TestContext.Current.CancellationToken);
        await _stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => _reconciler.WaitAsync(1, 0, TestContext.Current.CancellationToken));
    }

    [Fact]
    public void Retries_double_up_to_the_maximum()
    {
        var queue = new RetryQueue<int>(_time, TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(1));
        queue.AddNow(1);
        List<double> delays = [];
        for (int i = 0; i < 12; i++)
        {
            Assert.Equal([1], queue.Take(10));
            queue.Failed(1);
            delays.Add(queue.UntilNext()!.Value.TotalSeconds);
            _time.Advance(queue.UntilNext()!.Value - TimeSpan.FromTicks(1));
            Assert.Empty(queue.Take(10));
            _time.Advance(TimeSpan.FromTicks(1));
        }

        Assert.Equal([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60, 60], delays);
        queue.Take(1);
        queue.Succeeded(1);
        Assert.Null(queue.UntilNext());
        Assert.Equal(0, queue.Count);
    }

    private static readonly Arbitrary<(Step[] Steps, int Failing, int Tampered)[]> Chaos = (
        from transactions in Step.Transactions.Generator
        from failing in Gen.Choose(0, 7)
        from tampered in Gen.Choose(0, 7)
        select (transactions.SelectMany(t => t).ToArray(), failing, tampered)).ArrayOf().ToArbitrary();

    [Fact]
    public void Whatever_fails_or_is_tampered_with_the_target_ends_like_the_table()
        => Prop.ForAll(Chaos, rounds => ChaosAsync(rounds).GetAwaiter().GetResult()).Check(Config.QuickThrowOnFailure.WithMaxTest(40));

    private static async Task ChaosAsync((Step[] Steps, int Failing, int Tampered)[] rounds)
    {
        await using var run = new ReconcilerTests();
        run._table.RegisterInitializer("source");
        run._target.Tamper(actual => actual[3] = new Item(3, "stale", 3));
        run.Start(new ReconcilerOptions { RoundSize = 3 });
        foreach ((Step[] steps, int failing, int tampered) in rounds)
        {
            run._target.Fail = key => key == failing ? "no space" : null;
            run._table.Write(writer => Array.ForEach(steps, step => step.Do(writer)));
            if (tampered % 3 == 0)
                run._target.Tamper(actual => actual.Remove(tampered));
            else
                run._target.Tamper(actual => actual[tampered] = new Item(tampered, "tampered", 0));
            run._target.Throw = () => tampered == 1;
            run._time.Advance(TimeSpan.FromSeconds(tampered));
        }

        run._target.Fail = _ => null;
        run._target.Throw = () => false;
        run._table.MarkInitialized("source");
        await run.Until(() =>
        {
            run._time.Advance(TimeSpan.FromMinutes(1));
            return TableTests.Same(run._target.Actual, run._table.Snapshot().Values.ToDictionary(i => i.Id))
                && run._reconciler!.Status.Snapshot().Values.All(s => s.Phase == ReconcilePhase.Done)
                && run._reconciler.Status.Count == run._table.Count;
        });
    }

    private void Start(ReconcilerOptions? options = null)
    {
        options = (options ?? new ReconcilerOptions()) with { OnReport = _reports.Enqueue };
        _reconciler = new Reconciler<int, Item>(_table, _target, options, _time);
        _running = Task.Run(() => _reconciler.RunAsync(Stop), CancellationToken.None);
    }

    private Task<ReconcileStatus<int>?> Settled(int key, long? revision = null)
        => _reconciler!.WaitAsync(key, revision ?? _table.Revision, Stop).WaitAsync(TimeSpan.FromSeconds(30), Stop);

    private async Task Until(Func<bool> condition)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        limit.CancelAfter(TimeSpan.FromSeconds(30));
        while (!condition())
            await Task.Delay(1, limit.Token);
    }
}
