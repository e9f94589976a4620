// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Text;
using System.IO.Pipelines;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;
using Microsoft.AspNetCore.Http;

namespace Axoneme.EmbeddedApi.Http;

/// <summary>Get, list and watch.</summary>
internal sealed class ReadHandler(ApiMachinery machinery, CancellationToken stopping)
{
    /// <summary>Lists that clients are paging through; the oldest must start again.</summary>
    private const int MaxOpenPages = 64;

    private static readonly TimeSpan BookmarkInterval = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan DefaultWatch = TimeSpan.FromMinutes(45);
    private readonly Lock _gate = new();
    private readonly Dictionary<(string, long), ObjectSnapshot> _pages = [];
    private readonly Queue<(string, long)> _pageOrder = new();

    private sealed record Selection(string? Namespace, LabelSelector Labels, FieldSelector Fields, ResourceType Type)
    {
        public bool Matches(StoredObject stored)
            => (Namespace is null || stored.Namespace == Namespace) && Labels.Matches(stored.Labels) && Fields.Matches(stored.Value);

        public IEnumerable<StoredObject> Of(ObjectSnapshot snapshot)
        {
            if (Fields.SingleName is { } name && (Namespace is not null || !Type.Namespaced))
                return snapshot.Find(Namespace, name) is { } single && Matches(single) ? [single] : [];
            return snapshot.InNamespace(Namespace).Where(Matches);
        }
    }

    public async Task GetAsync(ApiRequest request)
    {
        StoredObject stored = machinery.Get(request.Type, request.Namespace, request.Name!);
        if (request.Subresource == "scale")
        {
            await Responses.JsonAsync(request.Context, ScaleView.Of(request.Type, stored)).ConfigureAwait(false);
            return;
        }
        if (request.Subresource is "log" or "exec" or "attach" or "portforward")
            throw ApiErrors.NotAvailable($"{request.Subresource} is not available through this API; use `lab exec` and `lab logs`");
        await AnswerObjectAsync(request, stored, 200).ConfigureAwait(false);
    }

    /// <summary>One object in the form that the client accepts.</summary>
    public static async Task AnswerObjectAsync(ApiRequest request, StoredObject stored, int code, DateTimeOffset? now = null)
    {
        AcceptedForm form = AcceptedForm.Parse(request.Context.Request.Headers.Accept.ToString());
        byte[] body = form.Rendering switch
        {
            Rendering.Table => JsonText.Write(WithVersion(Responses.Table(
                request.Type, [stored], request.Query("includeObject") ?? "Metadata", form.Version, now ?? DateTimeOffset.UtcNow), stored.Version)),
            Rendering.Metadata => JsonText.Write(Responses.Metadata(request.Type, stored)),
            _ => request.Type.PresentJson(stored),
        };
        await Responses.BytesAsync(request.Context, body, "application/json", code).ConfigureAwait(false);
    }

    public async Task ListAsync(ApiRequest request)
    {
        var selection = new Selection(request.Namespace, LabelSelector.Parse(request.Query("labelSelector") ?? ""),
            FieldSelector.Parse(request.Query("fieldSelector"), request.Type), request.Type);
        if (request.Flag("watch"))
        {
            await WatchAsync(request, selection).ConfigureAwait(false);
            return;
        }
        (ObjectSnapshot snapshot, string? start) = Choose(request);
        _ = int.TryParse(request.Query("limit"), out int limit);
        var objects = new List<StoredObject>();
        string? last = null;
        int left = 0;
        foreach (StoredObject each in selection.Of(snapshot))
        {
            if (start is not null && string.CompareOrdinal(Position(each), start) <= 0)
                continue;
            if (limit > 0 && objects.Count == limit)
            {
                left++;
                continue;
            }
            objects.Add(each);
            last = Position(each);
        }
        var metadata = new JsonObject { ["resourceVersion"] = snapshot.Version.ToString() };
        if (left > 0)
        {
            Keep(request.Type, snapshot);
            metadata["continue"] = Base64Url.EncodeToString(JsonText.Write(new JsonObject { ["v"] = "meta.k8s.io/v1", ["rv"] = snapshot.Version, ["start"] = last }));
            metadata["remainingItemCount"] = left;
        }
        await AnswerListAsync(request, objects, metadata).ConfigureAwait(false);
    }

    private async Task AnswerListAsync(ApiRequest request, List<StoredObject> objects, JsonObject metadata)
    {
        AcceptedForm form = AcceptedForm.Parse(request.Context.Request.Headers.Accept.ToString());
        if (form.Rendering != Rendering.Table)
        {
            await Responses.BytesAsync(request.Context, Responses.List(request.Type, objects, metadata, form.Rendering), "application/json").ConfigureAwait(false);
            return;
        }
        JsonObject table = Responses.Table(
            request.Type, objects, request.Query("includeObject") ?? "Metadata", form.Version, machinery.Clock.GetUtcNow());
        table["metadata"] = metadata;
        await Responses.JsonAsync(request.Context, table).ConfigureAwait(false);
    }

    private static JsonObject WithVersion(JsonObject table, long version)
    {
        table["metadata"] = new JsonObject { ["resourceVersion"] = version.ToString() };
        return table;
    }

    private static string Position(StoredObject stored) => stored.Namespace + "\0" + stored.Name;

    private (ObjectSnapshot, string? Start) Choose(ApiRequest request)
    {
        ObjectSnapshot now = machinery.Store.Snapshot(request.Type);
        if (request.Query("continue") is { Length: > 0 } token)
        {
            try
            {
                JsonNode? node = JsonText.Parse(Base64Url.DecodeFromChars(token));
                long rv = node.Whole("rv") ?? throw new FormatException();
                string start = node.Text("start") ?? throw new FormatException();
                return (Kept(request.Type, rv) ?? throw ApiErrors.Expired("The provided continue parameter is too old to display a consistent list result."), start);
            }
            catch (Exception e) when (e is FormatException or JsonException)
            {
                throw ApiErrors.BadRequest($"continue key is not valid: {e.Message}");
            }
        }
        if (request.Query("resourceVersion") is not { Length: > 0 } text || text == "0")
            return (now, null);
        if (!long.TryParse(text, out long version) || version < 0)
            throw ApiErrors.BadRequest($"invalid resource version \"{text}\"");
        if (version > now.Version)
            throw ApiErrors.TooLargeVersion(version, now.Version);
        if (request.Query("resourceVersionMatch") != "Exact" || version == now.Version)
            return (now, null);
        return (Kept(request.Type, version) ?? throw ApiErrors.Expired("The resourceVersion for the provided list is too old."), null);
    }

    private void Keep(ResourceType type, ObjectSnapshot snapshot)
    {
        lock (_gate)
        {
            if (!_pages.TryAdd((type.StorageKey, snapshot.Version), snapshot))
                return;
            _pageOrder.Enqueue((type.StorageKey, snapshot.Version));
            if (_pageOrder.Count > MaxOpenPages)
                _pages.Remove(_pageOrder.Dequeue());
        }
    }

    private ObjectSnapshot? Kept(ResourceType type, long version)
    {
        lock (_gate)
            return _pages.GetValueOrDefault((type.StorageKey, version));
    }

    private async Task WatchAsync(ApiRequest request, Selection selection)
    {
        AcceptedForm form = AcceptedForm.Parse(request.Context.Request.Headers.Accept.ToString());
        string version = request.Query("resourceVersion") ?? "";
        bool initial = version is "" or "0" || request.Flag("sendInitialEvents");
        if (!initial && !long.TryParse(version, out _))
            throw ApiErrors.BadRequest($"invalid resource version \"{version}\"");
        ObjectSnapshot? present = null;
        ObjectWatch watch;
        if (initial)
            (present, watch) = machinery.Store.ListAndWatch(request.Type);
        else
            watch = machinery.Store.Watch(request.Type, long.Parse(version));
        using (watch)
        {
            request.Context.Response.ContentType = "application/json";
            var writer = new WatchWriter(request, form, machinery.Clock);
            if (present is not null)
            {
                foreach (StoredObject each in selection.Of(present))
                    writer.Write("ADDED", each);
                if (request.Flag("sendInitialEvents"))
                    writer.Bookmark(present.Version, initialEnd: true);
            }
            await writer.FlushAsync().ConfigureAwait(false);
            await FollowAsync(request, selection, watch, writer).ConfigureAwait(false);
        }
    }

    private async Task FollowAsync(ApiRequest request, Selection selection, ObjectWatch watch, WatchWriter writer)
    {
        TimeSpan length = int.TryParse(request.Query("timeoutSeconds"), out int seconds) && seconds > 0 ? TimeSpan.FromSeconds(seconds) : DefaultWatch;
        bool bookmarks = request.Flag("allowWatchBookmarks");
        using var end = CancellationTokenSource.CreateLinkedTokenSource(request.Context.RequestAborted, stopping);
        end.CancelAfter(length);
        using var bookmark = new PeriodicTimer(BookmarkInterval);
        try
        {
            Task<bool> ready = watch.Changes.WaitToReadAsync(end.Token).AsTask();
            Task<bool> tick = bookmark.WaitForNextTickAsync(end.Token).AsTask();
            while (true)
            {
                if (await Task.WhenAny(ready, tick).ConfigureAwait(false) == tick && !ready.IsCompleted)
                {
                    await tick.ConfigureAwait(false);
                    // Nothing is pending, so every change up to now has been delivered.
                    long now = machinery.Store.Version;
                    if (bookmarks && watch.Changes.Count == 0)
                        writer.Bookmark(now, initialEnd: false);
                    tick = bookmark.WaitForNextTickAsync(end.Token).AsTask();
                }
                else
                {
                    if (!await ready.ConfigureAwait(false))
                        return;
                    while (watch.Changes.TryRead(out ObjectChange? change) && await Deliver(change, selection, writer).ConfigureAwait(false))
                    {
                    }
                    ready = watch.Changes.WaitToReadAsync(end.Token).AsTask();
                }
                await writer.FlushAsync().ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            // Timed out, stopped, or the client left: a watch just ends.
        }
        catch (ApiException e)
        {
            writer.Error(e);
            await writer.FlushAsync().ConfigureAwait(false);
        }
    }

    private static async ValueTask<bool> Deliver(ObjectChange change, Selection selection, WatchWriter writer)
    {
        bool now = change.Kind != ChangeKind.Deleted && selection.Matches(change.Object);
        bool before = change.Previous is { } previous && selection.Matches(previous);
        if (now)
            writer.Write(before ? "MODIFIED" : "ADDED", change.Object);
        else if (before)
            writer.Write("DELETED", change.Kind == ChangeKind.Deleted ? change.Object : new StoredObject(change.Previous!.Copy(), change.Object.Version));
        if (writer.NeedsFlush)
            await writer.FlushAsync().ConfigureAwait(false);
        return true;
    }

    private sealed class WatchWriter(ApiRequest request, AcceptedForm form, TimeProvider clock)
    {
        private const int FlushAt = 64 * 1024;
        private readonly PipeWriter _pipe = request.Context.Response.BodyWriter;
        private bool _columnsSent;

        public bool NeedsFlush => _pipe.UnflushedBytes > FlushAt;

        public void Write(string type, StoredObject stored)
        {
            Responses.Append(_pipe, $"{{\"type\":\"{type}\",\"object\":");
            switch (form.Rendering)
            {
                case Rendering.Table:
                    JsonText.Write(WithVersion(Responses.Table(request.Type, [stored], request.Query("includeObject") ?? "Metadata",
                        form.Version, clock.GetUtcNow(), columns: !_columnsSent), stored.Version), _pipe);
                    _columnsSent = true;
                    break;
                case Rendering.Metadata:
                    JsonText.Write(Responses.Metadata(request.Type, stored), _pipe);
                    break;
                default:
                    System.Buffers.BuffersExtensions.Write(_pipe, request.Type.PresentJson(stored));
                    break;
            }
            Responses.Append(_pipe, "}\n");
        }

        public void Bookmark(long version, bool initialEnd)
        {
            var metadata = new JsonObject { ["resourceVersion"] = version.ToString() };
            if (initialEnd)
                metadata["annotations"] = new JsonObject { ["k8s.io/initial-events-end"] = "true" };
            var value = new JsonObject { ["kind"] = request.Type.Kind, ["apiVersion"] = request.Type.ApiVersion, ["metadata"] = metadata };
            if (form.Rendering == Rendering.Table)
                value = WithVersion(Responses.Table(request.Type, [], "None", form.Version, clock.GetUtcNow(), columns: false), version);
            Raw("BOOKMARK", value);
        }

        public void Error(ApiException error) => Raw("ERROR", error.ToStatus());

        public async Task FlushAsync()
        {
            await _pipe.FlushAsync(request.Context.RequestAborted).ConfigureAwait(false);
        }

        private void Raw(string type, JsonObject value)
        {
            JsonText.Write(new JsonObject { ["type"] = type, ["object"] = value }, _pipe);
            Responses.Append(_pipe, "\n");
        }
    }
}
