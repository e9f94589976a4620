// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using Axoneme.Agent.Configuration;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Cluster;

/// <summary>The API objects that this node needs, each kind as a table that a reflector keeps.</summary>
internal sealed class ClusterState
{
    private readonly KubernetesClient _client;
    private readonly TableCatalog _catalog;
    private readonly ILogger<ClusterState> _log;
    private readonly List<Func<CancellationToken, Task>> _reflectors = [];
    private readonly ConcurrentDictionary<string, ReflectorStatus> _status = new();
    private readonly ConcurrentDictionary<string, string> _troubles = new();

    public ClusterState(KubernetesClient client, AgentOptions options, TableCatalog catalog, ILogger<ClusterState> log)
    {
        _client = client;
        _catalog = catalog;
        _log = log;
        var ownNode = new ResourceQuery(FieldSelector: $"metadata.name={options.NodeName}");
        var ownPods = new ResourceQuery(FieldSelector: $"spec.nodeName={options.NodeName}");
        OwnNode = Reflect(Kinds.Nodes, ownNode);
        Pods = Reflect(Kinds.Pods, ownPods);
        Namespaces = Reflect(Kinds.Namespaces);
        CiliumNodes = Reflect(Kinds.CiliumNodes);
        CiliumEndpoints = options.EnableCiliumEndpointSlice ? ReflectSlices() : Reflect(Kinds.CiliumEndpoints);
        CiliumIdentities = Reflect(Kinds.CiliumIdentities);
        Services = Reflect(Kinds.Services, trim: new ServiceTrimming().Trim);
        EndpointSlices = Reflect(Kinds.EndpointSlices, trim: new SliceTrimming().Trim);
        NetworkPolicies = Reflect(Kinds.NetworkPolicies);
        CiliumNetworkPolicies = Reflect(Kinds.CiliumNetworkPolicies);
        CiliumClusterwideNetworkPolicies = Reflect(Kinds.CiliumClusterwideNetworkPolicies);
        CiliumCidrGroups = Reflect(Kinds.CiliumCIDRGroups);
        CiliumLocalRedirectPolicies = Reflect(Kinds.CiliumLocalRedirectPolicies);
        if (options.Policies.EnableClusterNetworkPolicies)
            ClusterNetworkPolicies = Reflect(Kinds.ClusterNetworkPolicies);
        if (!options.Policies.EnableAdminNetworkPolicies)
            return;
        AdminNetworkPolicies = Reflect(Kinds.AdminNetworkPolicies);
        BaselineAdminNetworkPolicies = Reflect(Kinds.BaselineAdminNetworkPolicies);
    }

    /// <summary>This node's Node object, and no other.</summary>
    public Table<ResourceName, Node> OwnNode { get; }

    /// <summary>Pods that are scheduled to this node.</summary>
    public Table<ResourceName, Pod> Pods { get; }

    public Table<ResourceName, Namespace> Namespaces { get; }

    public Table<ResourceName, CiliumNode> CiliumNodes { get; }

    public Table<ResourceName, CiliumEndpoint> CiliumEndpoints { get; }

    public Table<ResourceName, CiliumIdentity> CiliumIdentities { get; }

    public Table<ResourceName, Service> Services { get; }

    /// <summary>Without what only other consumers of the API need (<see cref="SliceTrimming"/>).</summary>
    public Table<ResourceName, EndpointSlice> EndpointSlices { get; }

    public Table<ResourceName, NetworkPolicy> NetworkPolicies { get; }

    public Table<ResourceName, CiliumNetworkPolicy> CiliumNetworkPolicies { get; }

    public Table<ResourceName, CiliumClusterwideNetworkPolicy> CiliumClusterwideNetworkPolicies { get; }

    public Table<ResourceName, CiliumCIDRGroup> CiliumCidrGroups { get; }

    public Table<ResourceName, CiliumLocalRedirectPolicy> CiliumLocalRedirectPolicies { get; }

    /// <summary>Null where the option for the kind is off, as with the next two.</summary>
    public Table<ResourceName, ClusterNetworkPolicy>? ClusterNetworkPolicies { get; }

    public Table<ResourceName, AdminNetworkPolicy>? AdminNetworkPolicies { get; }

    public Table<ResourceName, BaselineAdminNetworkPolicy>? BaselineAdminNetworkPolicies { get; }

    /// <summary>How the watch of each kind is doing.</summary>
    public IEnumerable<ReflectorStatus> Watches => _status.Values.OrderBy(status => status.Kind.ToString(), StringComparer.Ordinal);

    /// <summary>Why the API cannot be used now, or null.</summary>
    public string? Problem => Watches.FirstOrDefault(status => status.Phase == ReflectorPhase.Failing)?.ToString();

    public Task RunAsync(CancellationToken cancellation)
        => Task.WhenAll(_reflectors.Select(run => run(cancellation)));

    private Table<ResourceName, CiliumEndpoint> ReflectSlices()
    {
        Table<ResourceName, CiliumEndpoint> table = _catalog.Add(ResourceTable.Create(Kinds.CiliumEndpoints));
        Watch(Kinds.CiliumEndpointSlices, new EndpointsOfSlices(table), null);
        return table;
    }

    private Table<ResourceName, T> Reflect<T>(ResourceKind<T> kind, ResourceQuery? query = null, Func<T, T>? trim = null)
        where T : Resource
    {
        Table<ResourceName, T> table = _catalog.Add(ResourceTable.Create(kind));
        Watch(kind, new TableSink<T>(table, trim), query);
        return table;
    }

    private void Watch<T>(ResourceKind<T> kind, IReflectorSink<T> sink, ResourceQuery? query)
        where T : Resource
    {
        var reflector = new Reflector<T>(_client.Of(kind), sink, query, new ReflectorOptions
        {
            OnStatus = Note,
            OnUndecodable = broken => _log.LogWarning("{Object} is ignored: {Reason}", broken.Name, broken.Problem),
        });
        _status[kind.ToString()] = reflector.Status;
        _reflectors.Add(reflector.RunAsync);
    }

    // A watch that fails is tried again and again; each trouble is said once, and its end.
    private void Note(ReflectorStatus status)
    {
        string kind = status.Kind.ToString();
        _status[kind] = status;
        if (status.Problem.Length > 0 && _troubles.GetValueOrDefault(kind) != status.Problem)
        {
            _troubles[kind] = status.Problem;
            _log.LogWarning("Watch of {Status}", status);
        }
        else if (status.Phase == ReflectorPhase.Watching && _troubles.TryRemove(kind, out _))
        {
            _log.LogInformation("Watch of {Kind} works", kind);
        }
    }
}
