// SPDX-License-Identifier: Apache-2.0
using Axoneme.AgentApi;
using Axoneme.Tables;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Api;

/// <summary>Finds the answer for a path under /v1. Most paths are only for reading; a few settings can be changed, and the cache of names be cleaned.</summary>
internal sealed class ApiRoutes(ApiSources sources, ILogger log)
{
    private readonly EndpointViews _endpoints = new(sources);
    private readonly IdentityViews _identities = new(sources);
    private readonly NodeViews _nodes = new(sources);
    private readonly ServiceViews _services = new(sources);
    private readonly RedirectViews _redirects = new(sources);
    private readonly MapViews _maps = new(sources);
    private readonly PolicyViews _policies = new(sources);
    private readonly NameViews _names = new(sources);
    private readonly ConfigChanges _changes = new(sources);

    public StatusReport Status { get; } = new(sources);

    public async Task HandleAsync(HttpContext context)
    {
        ApiReply reply;
        try
        {
            reply = await AnswerAsync(context);
        }
        catch (ApiException e)
        {
            reply = ApiReply.Error(e.Status, e.Message);
        }
        catch (BadHttpRequestException e)
        {
            reply = ApiReply.Error(e.StatusCode, e.Message);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            return;
        }
        catch (Exception e)
        {
            log.LogError(e, "{Method} {Path} failed", context.Request.Method, context.Request.Path);
            reply = ApiReply.Error(StatusCodes.Status500InternalServerError, e.Message);
        }

        await reply.WriteAsync(context.Response);
    }

    private Task<ApiReply> AnswerAsync(HttpContext context)
    {
        HttpRequest request = context.Request;
        // No answer depends on a body. A short one is skipped, a long one is not even waited for.
        if (request.ContentLength > ApiServer.MaximalBodyBytes)
            throw new ApiException(StatusCodes.Status413PayloadTooLarge, $"{request.Method} {request.Path}: the body is too large");
        string[] path = SegmentsOf(context);
        Func<HttpRequest, Task<ApiReply>>? change = FindChange(path);
        if (change is not null && HttpMethods.IsPatch(request.Method))
            return change(request);
        if (Find(path) is not { } answer)
            throw ApiException.NotFound($"{request.Path}: there is no such path");
        if (HttpMethods.IsGet(request.Method))
            return answer(request);
        if (HttpMethods.IsDelete(request.Method) && path is ["v1", "fqdn", "cache"])
            return CleanNamesAsync(request);
        string possible = change is null ? HttpMethods.Get : $"{HttpMethods.Get}, {HttpMethods.Patch}";
        context.Response.Headers.Allow = possible;
        throw new ApiException(StatusCodes.Status405MethodNotAllowed, $"{request.Method} {request.Path}: only {possible} is possible");
    }

    private Func<HttpRequest, Task<ApiReply>>? FindChange(string[] path) => path switch
    {
        ["v1", "config"] => _changes.NodeAsync,
        ["v1", "endpoint", .. var id, "config"] when id.Length > 0 => request => _changes.EndpointAsync(Join(id), request),
        _ => null,
    };

    private Func<HttpRequest, Task<ApiReply>>? Find(string[] path) => path switch
    {
        ["v1", "healthz"] => StatusAsync,
        ["v1", "config"] => Reply(() => ApiReply.Of(ConfigView.Of(sources), AgentJson.Default.DaemonConfig)),
        ["v1", "endpoint"] => Reply(() => ApiReply.Of(_endpoints.All(), AgentJson.Default.IReadOnlyListEndpointModel)),
        // Ids such as pod-name:NAMESPACE/NAME should come escaped, but people do not do that with curl.
        ["v1", "endpoint", .. var id, "config"] when id.Length > 0 => Reply(() => _changes.Endpoint(Join(id))),
        ["v1", "endpoint", .. var id, "healthz"] when id.Length > 0
            => Reply(() => ApiReply.Of(_endpoints.Get(Join(id)).Status!.Health!, AgentJson.Default.EndpointHealth)),
        ["v1", "endpoint", .. var id, "labels"] when id.Length > 0
            => Reply(() => ApiReply.Of(new LabelConfiguration(_endpoints.Get(Join(id)).Status!.Labels!), AgentJson.Default.LabelConfiguration)),
        ["v1", "endpoint", .. var id] => Reply(() => ApiReply.Of(_endpoints.Get(Join(id)), AgentJson.Default.EndpointModel)),
        ["v1", "identity"] => Reply(() => ApiReply.Of(_identities.All(), AgentJson.Default.IReadOnlyListIdentityModel)),
        ["v1", "identity", "endpoints"] => Reply(() => ApiReply.Of(_identities.InUse(), AgentJson.Default.IReadOnlyListIdentityInUse)),
        ["v1", "identity", var id] => Reply(() => ApiReply.Of(_identities.Get(id), AgentJson.Default.IdentityModel)),
        ["v1", "ip"] => request => Task.FromResult(ApiReply.Of(_nodes.Addresses(request.Query["cidr"]), AgentJson.Default.IReadOnlyListIpEntry)),
        ["v1", "service"] => Reply(() => ApiReply.Of(_services.All(), AgentJson.Default.IReadOnlyListServiceModel)),
        ["v1", "lrp"] => Reply(() => ApiReply.Of(_redirects.All(), AgentJson.Default.IReadOnlyListRedirectPolicyModel)),
        ["v1", "metrics"] => Reply(() => ApiReply.Of(MetricViews.All(sources.Metrics.Registry), AgentJson.Default.IReadOnlyListMetricSeries)),
        ["v1", "map"] => Reply(() => ApiReply.Of(new BpfMapList(_maps.All()), AgentJson.Default.BpfMapList)),
        ["v1", "map", var name] => Reply(() => ApiReply.Of(_maps.Get(name), AgentJson.Default.BpfMapModel)),
        ["v1", "node", "ids"] => Reply(() => ApiReply.Of(_nodes.Ids(), AgentJson.Default.IReadOnlyListNodeIdModel)),
        ["v1", "cluster", "nodes"] => Reply(() => ApiReply.Of(_nodes.Cluster(), AgentJson.Default.ClusterNodes)),
        ["v1", "policy"] => Reply(() => ApiReply.Of(_policies.InForce(), AgentJson.Default.PolicyModel)),
        ["v1", "policy", "selectors"] => Reply(() => ApiReply.Of(_policies.PeerSelectors(), AgentJson.Default.IReadOnlyListSelectorModel)),
        ["v1", "policy", "subject-selectors"]
            => Reply(() => ApiReply.Of(_policies.SubjectSelectors(), AgentJson.Default.IReadOnlyListSelectorModel)),
        ["v1", "axoneme", "objects"] => Reply(() => ApiReply.Of(PolicyInputsView.Of(sources), AgentJson.Default.PolicyInputs)),
        ["v1", "fqdn", "cache"] => request => Task.FromResult(Names(request, null)),
        ["v1", "fqdn", "cache", var id] => request => Task.FromResult(Names(request, id)),
        ["v1", "fqdn", "names"] => Reply(() => ApiReply.Of(_names.Selectors(), AgentJson.Default.NamePolicies)),
        ["v1", "tables"] => Reply(() => ApiReply.Of(Tables(), AgentJson.Default.IReadOnlyListTableSummary)),
        ["v1", "tables", var name] => Reply(() => ApiReply.Of(Table(name), AgentJson.Default.TableContents)),
        _ => null,
    };

    private ApiReply Names(HttpRequest request, string? endpoint) => ApiReply.Of(
        _names.Cache(endpoint, request.Query["matchpattern"], request.Query["cidr"], request.Query["source"]),
        AgentJson.Default.IReadOnlyListNameLookup);

    private async Task<ApiReply> CleanNamesAsync(HttpRequest request)
    {
        await _names.CleanAsync(request.Query["matchpattern"], request.HttpContext.RequestAborted);
        return new ApiReply(StatusCodes.Status200OK, []);
    }

    private async Task<ApiReply> StatusAsync(HttpRequest request)
    {
        bool isBrief = string.Equals(request.Headers["brief"], "true", StringComparison.OrdinalIgnoreCase);
        StatusResponse status = isBrief ? Status.Brief() : await Status.FullAsync(request.HttpContext.RequestAborted);
        return ApiReply.Of(status, AgentJson.Default.StatusResponse);
    }

    private IReadOnlyList<TableSummary> Tables() =>
    [
        .. sources.Control.Catalog.All.Select(table => new TableSummary
        {
            Name = table.Name,
            Objects = table.Count,
            Revision = table.Revision,
            Initialized = table.IsInitialized,
            Pending = table.PendingInitializers is { Count: > 0 } pending ? pending : null,
        }),
    ];

    private TableContents Table(string name)
    {
        ITable table = sources.Control.Catalog.Find(name) ?? throw ApiException.NotFound($"there is no table '{name}'");
        // The revision is read first: rows may be newer than it says, never older.
        return new TableContents(name, table.Revision, table.Columns, [.. table.Rows()]);
    }

    // From what was sent and not from the decoded path, in which an escaped slash inside of an id cannot be told from a separator.
    private static string[] SegmentsOf(HttpContext context)
    {
        string target = context.Features.Get<IHttpRequestFeature>()?.RawTarget ?? "";
        int query = target.IndexOf('?');
        string path = query < 0 ? target : target[..query];
        if (!path.StartsWith('/'))
            return [];
        return [.. path[1..].Split('/').Select(Uri.UnescapeDataString)];
    }

    private static Func<HttpRequest, Task<ApiReply>> Reply(Func<ApiReply> answer) => _ => Task.FromResult(answer());

    private static string Join(string[] id) => string.Join('/', id);
}
