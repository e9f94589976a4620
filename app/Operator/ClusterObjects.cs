// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Operator;

/// <summary>The API objects that the operator looks at, each kind as a table that a reflector keeps.</summary>
internal sealed class ClusterObjects
{
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(100);

    private readonly List<Func<CancellationToken, Task>> _reflectors = [];
    private readonly List<ITable> _tables = [];
    private readonly KubernetesClient _client;
    private readonly ILogger<ClusterObjects> _log;

    public ClusterObjects(KubernetesClient client, ILogger<ClusterObjects> log)
    {
        _client = client;
        _log = log;
        Identities = Reflect(Kinds.CiliumIdentities);
        Endpoints = Reflect(Kinds.CiliumEndpoints);
        Pods = Reflect(Kinds.Pods, Trim);
        Slices = Reflect(Kinds.CiliumEndpointSlices);
        Namespaces = Reflect(Kinds.Namespaces);
    }

    public Table<ResourceName, CiliumIdentity> Identities { get; }

    public Table<ResourceName, CiliumEndpoint> Endpoints { get; }

    /// <summary>Empty where the cluster does not have the kind.</summary>
    public Table<ResourceName, CiliumEndpointSlice> Slices { get; }

    public Table<ResourceName, Namespace> Namespaces { get; }

    /// <summary>Names and uids only.</summary>
    public Table<ResourceName, Pod> Pods { get; }

    public Task RunAsync(CancellationToken cancellation) => Task.WhenAll(_reflectors.Select(run => run(cancellation)));

    /// <summary>Waits until every kind has been listed. Nothing may be taken for garbage before.</summary>
    public async Task WhenCompleteAsync(CancellationToken cancellation)
    {
        while (!_tables.TrueForAll(table => table.IsInitialized))
            await Task.Delay(LookAgain, cancellation);
    }

    /// <summary>Names of the identities that endpoints have. Slices may be behind, and what agents believe counts.</summary>
    public IReadOnlySet<string> UsedIdentities()
        => Endpoints.Snapshot().Values.Where(e => e.Status?.Identity is not null).Select(e => e.Status!.Identity!.Id)
            .Concat(Slices.Snapshot().Values.SelectMany(s => s.Endpoints ?? []).Select(e => e.Id))
            .Select(id => $"{id}").ToHashSet();

    /// <summary>Nodes that have endpoints.</summary>
    public int CountNodes() => Endpoints.Snapshot().Values.Select(e => e.Status?.Networking?.Node).Distinct().Count();

    /// <summary>Null when there is no such pod.</summary>
    public string? PodUid(ResourceName name) => Pods.Snapshot().Find(name) is { } pod ? pod.Metadata.Uid ?? "" : null;

    // A large cluster has a hundred thousand of them.
    private static Pod Trim(Pod pod) => new()
    {
        Metadata = new ObjectMeta
        {
            Namespace = pod.Metadata.Namespace,
            Name = pod.Metadata.Name,
            Uid = pod.Metadata.Uid,
            ResourceVersion = pod.Metadata.ResourceVersion,
        },
    };

    private Table<ResourceName, T> Reflect<T>(ResourceKind<T> kind, Func<T, T>? trim = null)
        where T : Resource
    {
        Table<ResourceName, T> table = ResourceTable.Create(kind);
        var reflector = new Reflector<T>(_client.Of(kind), new TableSink<T>(table, trim), null, new ReflectorOptions
        {
            OnStatus = status =>
            {
                if (status.Problem.Length > 0)
                    _log.LogWarning("Watch of {Status}", status);
            },
            OnUndecodable = broken => _log.LogWarning("{Object} is ignored: {Reason}", broken.Name, broken.Problem),
        });
        _reflectors.Add(reflector.RunAsync);
        _tables.Add(table);
        return table;
    }
}
