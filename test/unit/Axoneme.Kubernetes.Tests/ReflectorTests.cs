// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using Axoneme.Kubernetes.Resources;
using Axoneme.Tables;
using Microsoft.AspNetCore.Http;
using static Axoneme.Kubernetes.Tests.Samples;

namespace Axoneme.Kubernetes.Tests;

public sealed class ReflectorTests : IAsyncLifetime
{
    private readonly Table<ResourceName, Service> _table = ResourceTable.Create(Kinds.Services);
    private readonly ConcurrentQueue<ReflectorStatus> _statuses = new();
    private readonly ConcurrentQueue<UndecodableObject> _bad = new();
    private readonly CancellationTokenSource _stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
    private ScriptedApi _api = null!;
    private KubernetesClient? _client;
    private Reflector<Service>? _reflector;
    private Task _running = Task.CompletedTask;

    public async ValueTask InitializeAsync() => _api = await ScriptedApi.StartAsync();

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        try
        {
            await _running;
        }
        catch (OperationCanceledException)
        {
        }

        _client?.Dispose();
        await _api.DisposeAsync();
        _stop.Dispose();
    }

    [Fact]
    public async Task Lists_then_watches_from_that_version_with_bookmarks()
    {
        _api.Then(200, List(10, Service("a", 1), Service("b", 2))).ThenWatch(
            Event("MODIFIED", Service("a", 11, 81)), Event("DELETED", Service("b", 12)), Event("ADDED", Service("c", 13)));
        Start();
        await Until(() => Ports() == "a:81 c:80");
        Assert.True(_table.IsInitialized);
        ScriptedApi.RecordedRequest watch = _api.Requests.Last();
        Assert.Equal(("true", "true", "10"), (watch.Query["watch"], watch.Query["allowWatchBookmarks"], watch.Query["resourceVersion"]));
        Assert.Equal(ReflectorPhase.Watching, _reflector!.Status.Phase);
    }

    [Fact]
    public async Task A_watch_that_ends_or_breaks_goes_on_after_the_last_event_or_bookmark()
    {
        _api.Then(200, List(10, Service("a", 1)))
            .ThenShortWatch(Event("MODIFIED", Service("a", 11, 81)))
            .Then(async context =>
            {
                await ScriptedApi.SendLinesAsync(context, [Bookmark(20)]);
                await Task.Delay(50);
                context.Abort();
            })
            .ThenWatch(Event("MODIFIED", Service("a", 21, 82)));
        Start();
        await Until(() => Ports() == "a:82");
        Assert.Equal(["", "10", "11", "20"], _api.Requests.Select(r => r.Query.GetValueOrDefault("resourceVersion", "")));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_forgotten_version_leads_to_a_new_list_which_removes_what_is_gone(bool inStream)
    {
        _api.Then(200, List(10, Service("a", 1), Service("b", 2)));
        if (inStream)
            _api.ThenShortWatch(Event("ERROR", Status(410, "Expired", "too old")));
        else
            _api.Then(410, Status(410, "Expired", "too old"));
        _api.Then(200, List(30, Service("b", 2), Service("c", 25))).ThenWatch();
        Start();
        await Until(() => Ports() == "b:80 c:80");
        await Until(() => _api.Requests.Count == 4);
        Assert.Equal("30", _api.Requests.Last().Query["resourceVersion"]);
        Assert.Equal(1, _table.Snapshot().RevisionOf(Name("b")));
    }

    [Fact]
    public async Task An_undecodable_object_keeps_its_last_good_version_and_others_go_on()
    {
        _api.Then(200, List(10, Service("a", 1), BadService("x", 2)))
            .ThenShortWatch(Event("MODIFIED", BadService("a", 11)), Event("ADDED", Service("b", 12)))
            .Then(410, Status(410, "Expired", "too old"))
            .Then(200, List(20, BadService("a", 11), Service("b", 12)))
            .ThenWatch(Event("MODIFIED", Service("b", 21, 81)));
        Start();
        await Until(() => Ports() == "a:80 b:81");
        Assert.Equal([Name("x"), Name("a"), Name("a")], _bad.Select(b => b.Name));
        Assert.Equal(Name("a"), Assert.Single(_reflector!.Undecodable).Name);
    }

    [Fact]
    public async Task A_repaired_object_is_no_longer_reported()
    {
        _api.Then(200, List(10, BadService("a", 1))).ThenWatch(Event("MODIFIED", Service("a", 11, 81)));
        Start();
        await Until(() => Ports() == "a:81");
        Assert.Empty(_reflector!.Undecodable);
    }

    [Fact]
    public async Task A_missing_kind_is_awaited_and_counts_as_empty()
    {
        _api.Then(404, Status(404, "NotFound", "no such path")).Then(404, Status(404, "NotFound", "no such path"))
            .Then(200, List(10, Service("a", 1))).ThenWatch();
        Start(new ReflectorOptions { MissingInterval = TimeSpan.FromMilliseconds(10) });
        await Until(() => Ports() == "a:80");
        Assert.Equal(2, _statuses.Count(s => s.Phase == ReflectorPhase.KindMissing));
        Assert.True(_table.IsInitialized);
    }

    [Theory]
    [InlineData("this is not JSON")]
    [InlineData("{\"type\":\"STRANGE\",\"object\":{}}")]
    [InlineData("[1]")]
    public async Task Garbage_on_a_watch_is_reported_and_the_watch_opened_anew(string garbage)
    {
        _api.Then(200, List(10, Service("a", 1))).ThenShortWatch(garbage).ThenWatch(Event("MODIFIED", Service("a", 11, 81)));
        Start();
        await Until(() => Ports() == "a:81");
        Assert.Contains(_statuses, s => s.Phase == ReflectorPhase.Failing && s.Problem.Contains("watch delivered", StringComparison.Ordinal));
        Assert.Equal(ReflectorPhase.Watching, _reflector!.Status.Phase);
    }

    [Fact]
    public async Task Watches_that_keep_failing_lead_to_a_new_list()
    {
        _api.Then(200, List(10, Service("a", 1))).ThenShortWatch("x").ThenShortWatch("x").Then(200, List(20, Service("a", 19, 81))).ThenWatch();
        Start(new ReflectorOptions { WatchFailuresBeforeList = 2 });
        await Until(() => Ports() == "a:81");
    }

    [Fact]
    public async Task A_silent_watch_is_opened_anew_without_a_new_list()
    {
        _api.Then(200, List(10, Service("a", 1))).ThenWatch().ThenWatch(Event("MODIFIED", Service("a", 11, 81)));
        Start(watchIdle: TimeSpan.FromMilliseconds(200));
        await Until(() => Ports() == "a:81");
        Assert.Equal("10", _api.Requests.ElementAt(2).Query["resourceVersion"]);
        Assert.DoesNotContain(_statuses, s => s.Phase == ReflectorPhase.Failing);
    }

    [Fact]
    public async Task Events_cut_anywhere_by_the_network_are_put_together()
    {
        string lines = string.Join('\n', Enumerable.Range(0, 40).Select(i => Event("ADDED", Service("s" + i, 11 + i)))) + "\r\n\n";
        _api.Then(200, List(10)).Then(async context =>
        {
            await context.Response.StartAsync();
            for (int i = 0; i < lines.Length; i += 97)
            {
                await context.Response.WriteAsync(lines[i..Math.Min(i + 97, lines.Length)]);
                await context.Response.Body.FlushAsync();
            }

            await ScriptedApi.HangAsync(context);
        });
        Start();
        await Until(() => _table.Count == 40);
    }

    [Fact]
    public async Task A_repeated_list_changes_nothing()
    {
        _api.Then(200, List(10, Service("a", 1))).ThenShortWatch(Event("ERROR", Status(410, "Expired", "too old")))
            .Then(200, List(10, Service("a", 1))).ThenWatch();
        Start();
        await Until(() => _api.Requests.Count == 4);
        Assert.Equal(1, _table.Revision);
    }

    private void Start(ReflectorOptions? options = null, TimeSpan? watchIdle = null)
    {
        _client = Client(new KubernetesClientOptions { Qps = 0, WatchIdleTimeout = watchIdle ?? TimeSpan.FromMinutes(3) }, _api);
        options = (options ?? new ReflectorOptions()) with
        {
            RetryMinimum = TimeSpan.FromMilliseconds(5),
            OnStatus = _statuses.Enqueue,
            OnUndecodable = _bad.Enqueue,
        };
        _reflector = new Reflector<Service>(_client.Of(Kinds.Services), new TableSink<Service>(_table), null, options);
        _running = Task.Run(() => _reflector.RunAsync(_stop.Token), CancellationToken.None);
    }

    private string Ports() => string.Join(
        ' ', _table.Snapshot().Values.OrderBy(s => s.ResourceName).Select(s => $"{s.Metadata.Name}:{s.Spec.Ports![0].Port}"));

    private async Task Until(Func<bool> condition)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        limit.CancelAfter(TimeSpan.FromSeconds(20));
        while (!condition())
        {
            if (_running.IsFaulted)
                await _running;
            await Task.Delay(2, limit.Token);
        }
    }
}
