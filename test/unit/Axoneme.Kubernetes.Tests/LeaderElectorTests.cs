// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using System.Text.Json;
using Axoneme.Kubernetes.Resources;
using Microsoft.AspNetCore.Http;

namespace Axoneme.Kubernetes.Tests;

public sealed class LeaderElectorTests : IAsyncLifetime
{
    private readonly Lock _gate = new();
    private ScriptedApi _api = null!;
    private KubernetesClient _client = null!;
    private Lease? _lease;
    private int _version;
    private volatile bool _down;

    private static readonly ResourceName LeaseName = new("kube-system", "operator");

    public async ValueTask InitializeAsync()
    {
        _api = await ScriptedApi.StartAsync();
        _api.Otherwise = ServeAsync;
        _client = Samples.Client(new KubernetesClientOptions { Qps = 0, Attempts = 1 }, _api);
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _api.DisposeAsync();
    }

    [Fact]
    public async Task Only_one_candidate_leads_and_the_next_takes_over_when_it_leaves()
    {
        int leaders = 0, most = 0;
        using var stopFirst = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        using var stopSecond = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        LeaderElector first = New("first"), second = New("second");
        Task running = first.RunAsync(LeadAsync, stopFirst.Token);
        await Until(() => first.IsLeader);
        Task other = second.RunAsync(LeadAsync, stopSecond.Token);
        await Until(() => second.Leader == "first");
        Assert.False(second.IsLeader);
        await stopFirst.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        await Until(() => second.IsLeader);
        Assert.Equal(1, most);
        Assert.Equal(("second", 1), (_lease!.Spec.HolderIdentity, _lease.Spec.LeaseTransitions));
        await stopSecond.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => other);
        Assert.Equal("", _lease.Spec.HolderIdentity);

        async Task LeadAsync(CancellationToken term)
        {
            most = Math.Max(most, Interlocked.Increment(ref leaders));
            try
            {
                await Task.Delay(Timeout.Infinite, term);
            }
            finally
            {
                Interlocked.Decrement(ref leaders);
            }
        }
    }

    [Fact]
    public async Task A_leader_that_cannot_renew_steps_down_and_leads_again_later()
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        int terms = 0;
        LeaderElector elector = New("first");
        Task running = elector.RunAsync(
            async term =>
            {
                terms++;
                await Task.Delay(Timeout.Infinite, term);
            },
            stop.Token);
        await Until(() => terms == 1);
        _down = true;
        await Until(() => !elector.IsLeader);
        _down = false;
        await Until(() => terms == 2);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
    }

    [Fact]
    public async Task The_lease_of_a_holder_that_died_is_taken_when_it_was_seen_unchanged_for_its_duration()
    {
        _lease = new Lease
        {
            Metadata = new() { Namespace = LeaseName.Namespace, Name = LeaseName.Name, ResourceVersion = "0" },
            // The dead holder's clock was far ahead, which must not matter.
            Spec = new() { HolderIdentity = "dead", LeaseDurationSeconds = 1, RenewTime = DateTimeOffset.UtcNow.AddYears(1) },
        };
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        LeaderElector elector = New("first");
        Task running = elector.RunAsync(term => Task.Delay(Timeout.Infinite, term), stop.Token);
        await Until(() => elector.IsLeader);
        Assert.Equal(1, _lease.Spec.LeaseTransitions);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
    }

    [Fact]
    public async Task Repeated_events_are_counted_up_in_place()
    {
        var counted = new TaskCompletionSource();
        _api.Otherwise = async context =>
        {
            if (context.Request.Method == "PATCH")
                counted.TrySetResult();
            await ScriptedApi.ReplyAsync(context, 200, """{"metadata":{"name":"e","namespace":"default","resourceVersion":"1"},"count":1}""");
        };
        var recorder = new EventRecorder(_client, "agent", "node1");
        var service = new Service { Metadata = new() { Namespace = "default", Name = "a", Uid = "u-a" } };
        recorder.Warning(service, "Bad", "it is bad");
        recorder.Warning(service, "Bad", "it is bad");
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        Task running = recorder.RunAsync(stop.Token);
        await counted.Task.WaitAsync(TimeSpan.FromSeconds(20), stop.Token);
        ScriptedApi.RecordedRequest[] requests = [.. _api.Requests];
        Assert.Equal(["POST", "PATCH"], requests.Select(r => r.Method));
        Event created = JsonSerializer.Deserialize(requests[0].Body, Kinds.Events.TypeInfo)!;
        Assert.Equal(("Service", "u-a", "Warning", "Bad", "node1"),
            (created.InvolvedObject.Kind, created.InvolvedObject.Uid, created.Type, created.Reason, created.Source!.Host));
        Assert.Contains("\"count\":2", requests[1].Body, StringComparison.Ordinal);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
    }

    [Fact]
    public async Task What_every_node_has_to_say_becomes_one_event()
    {
        var names = new ConcurrentDictionary<string, bool>();
        int asked = 0;
        var all = new TaskCompletionSource();
        _api.Otherwise = async context =>
        {
            Event sent = JsonSerializer.Deserialize(_api.Requests.Last().Body, Kinds.Events.TypeInfo)!;
            bool isFirst = names.TryAdd(sent.Metadata.Name, true);
            await ScriptedApi.ReplyAsync(context, isFirst ? 201 : 409, """{"metadata":{"name":"e","namespace":"default","resourceVersion":"1"},"reason":"AlreadyExists"}""");
            if (Interlocked.Increment(ref asked) == 3)
                all.TrySetResult();
        };
        var service = new Service { Metadata = new() { Namespace = "default", Name = "a", Uid = "u-a" } };
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var one = new EventRecorder(_client, "agent", "node1");
        var two = new EventRecorder(_client, "agent", "node2");
        foreach (EventRecorder recorder in (EventRecorder[])[one, one, two])
            recorder.WarningOnce(service, "Bad", "it is bad");
        one.WarningOnce(service, "Bad", "it is worse");
        Task[] running = [one.RunAsync(stop.Token), two.RunAsync(stop.Token)];
        await all.Task.WaitAsync(TimeSpan.FromSeconds(20), stop.Token);
        Assert.Equal(2, names.Count);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Task.WhenAll(running));
    }

    private LeaderElector New(string identity) => new(_client.Of(Kinds.Leases), new LeaderElectionOptions(LeaseName, identity)
    {
        LeaseDuration = TimeSpan.FromSeconds(1),
        RenewDeadline = TimeSpan.FromMilliseconds(500),
        RetryPeriod = TimeSpan.FromMilliseconds(20),
    });

    /// <summary>Holds one lease, with optimistic locking.</summary>
    private async Task ServeAsync(HttpContext context)
    {
        string body = (string)context.Items[ScriptedApi.BodyItem]!;
        string reply;
        int code = 200;
        lock (_gate)
        {
            Lease? sent = body.Length == 0 ? null : JsonSerializer.Deserialize(body, Kinds.Leases.TypeInfo);
            if (_down)
                (code, reply) = (500, Samples.Status(500, "InternalError", "down"));
            else if (context.Request.Method == "GET")
                (code, reply) = _lease is null ? (404, Samples.Status(404, "NotFound", "none")) : (200, JsonSerializer.Serialize(_lease, Kinds.Leases.TypeInfo!));
            else if (context.Request.Method == "POST" ? _lease is not null : sent!.Metadata.ResourceVersion != _lease!.Metadata.ResourceVersion)
                (code, reply) = (409, Samples.Status(409, "Conflict", "changed"));
            else
                reply = JsonSerializer.Serialize(_lease = sent! with { Metadata = sent.Metadata with { ResourceVersion = (++_version).ToString() } }, Kinds.Leases.TypeInfo!);
        }

        await ScriptedApi.ReplyAsync(context, code, reply);
    }

    private static async Task Until(Func<bool> condition)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(TimeSpan.FromSeconds(20));
        while (!condition())
            await Task.Delay(2, limit.Token);
    }
}
