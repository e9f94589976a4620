// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Identities;
using Axoneme.Agent.Nodes;
using Axoneme.Agent.Policies;
using Axoneme.Agent.Services;
using Axoneme.Agent.Sockets;
using Axoneme.Hosting;
using Axoneme.Kubernetes;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent;

/// <summary>The half of the agent that needs no privilege: API objects to desired state.</summary>
internal sealed class ControlPlane : IDisposable
{
    public ControlPlane(AgentOptions options, KubernetesClient client, ILoggerFactory loggers)
    {
        Client = client;
        Cluster = new ClusterState(client, options, Catalog, loggers.CreateLogger<ClusterState>());
        Ipcache = new Ipcache.Ipcache();
        ImmutableArray<KeyValuePair<SecurityIdentity, LabelSet>> wellKnown = options.EnableWellKnownIdentities
            ? [.. WellKnownIdentities.Of(options.ClusterName, options.Namespace)] : [];
        Engine = new PolicyEngine(new PolicyOptions
        {
            Enforcement = (EnforcementMode)options.EnablePolicy,
            ClusterName = options.ClusterName,
            Numbering = options.Numbering,
            WellKnown = wellKnown,
            DefaultLocalCluster = options.PolicyDefaultLocalCluster,
            DualStack = options.EnableIPv4 && options.EnableIPv6,
            AllowLocalhost = options.AlwaysAllowLocalhost,
            EnableNonDefaultDeny = options.EnableNonDefaultDenyPolicies,
            EnableSctp = options.Policies.EnableSctp,
            EnableIcmpRules = options.Policies.EnableIcmpRules,
            EnableL7Proxy = options.Policies.EnableL7Proxy,
            EnableExtendedProtocols = options.Policies.EnableExtendedProtocols,
            EnableNodeSelectorLabels = options.Policies.EnableNodeSelectorLabels,
            Fqdn = new FqdnOptions
            {
                MinimalTtl = options.Dns.MinimalTtl,
                IdleGrace = options.Dns.IdleGrace,
                MaximalAddressesPerName = options.Dns.MaximalAddressesPerName,
                MaximalZombies = options.Dns.MaximalDeferred,
                Preallocate = options.Dns.Preallocate,
            },
            EnableHostFirewall = options.HostFirewall.Enabled,
        });
        Policies = new PolicyController(Engine, Ipcache, options.Policies.AuditMode);
        Events = new EventRecorder(client, "cilium-agent", options.NodeName);
        var references = new ServiceReferences(Cluster);
        ILogger<PolicyObjects> policyLog = loggers.CreateLogger<PolicyObjects>();
        Repository = new PolicyRepository(Engine, references);
        PolicyObjects = new PolicyObjects(
            Cluster, options, Repository, references, Policies, new PolicyReports(client, Events, policyLog), policyLog);
        NodeConditions = new NodeConditions(client, Cluster, options.NodeName, new Random(), loggers.CreateLogger<NodeConditions>());
        Identities = new IdentityDirectory(client, options.Numbering, wellKnown, loggers.CreateLogger<IdentityDirectory>());
        Identities.Table.RegisterInitializer(Agent.Identities.IdentityFollower.Initializer);
        IdentityFollower = new IdentityFollower(Cluster, Identities, IdentityPorts, Policies, loggers.CreateLogger<IdentityFollower>());
        ApiServers = new ApiServerAddresses(Cluster, Ipcache, loggers.CreateLogger<ApiServerAddresses>());
        var nodeIdentities = new NodeIdentities(options, Policies);
        RemoteNodes = new RemoteNodes(Cluster, options, Ipcache, nodeIdentities, loggers.CreateLogger<RemoteNodes>());
        NodeAddresses = new NodeAddresses(RemoteNodes.Table, nodeIdentities, ApiServers, Ipcache, Policies);
        Services = new ServiceController(Cluster, Listeners.Table, options, Events, loggers.CreateLogger<ServiceController>());
        foreach (ITable table in new ITable[]
        {
            Ipcache.Table, Policies.Table, PolicyObjects.Statuses, Identities.Table, IdentityFollower.InForce, RemoteNodes.Table, RemoteNodes.Routes,
            Services.Frontends, Services.Maps, Services.Exemptions.Table, Services.Problems, Listeners.Table,
        })
        {
            Catalog.Add(table);
        }
    }

    public TableCatalog Catalog { get; } = new();

    public KubernetesClient Client { get; }

    public ClusterState Cluster { get; }

    public Ipcache.Ipcache Ipcache { get; }

    public PolicyController Policies { get; }

    /// <summary>To be used inside changes of <see cref="Policies"/> only, as <see cref="Repository"/>.</summary>
    public PolicyEngine Engine { get; }

    public PolicyRepository Repository { get; }

    public PolicyObjects PolicyObjects { get; }

    /// <summary>What goes wrong with policies on this node only. Topics are registered before <see cref="Start"/>.</summary>
    public NodeConditions NodeConditions { get; }

    public IdentityDirectory Identities { get; }

    public IdentityPorts IdentityPorts { get; } = new();

    public IdentityFollower IdentityFollower { get; }

    public RemoteNodes RemoteNodes { get; }

    public NodeAddresses NodeAddresses { get; }

    public ApiServerAddresses ApiServers { get; }

    public ServiceController Services { get; }

    /// <summary>What users should see at their objects.</summary>
    public EventRecorder Events { get; }

    /// <summary>Filled by <see cref="NodeListeners.RunAsync"/>, which needs the node's network namespace.</summary>
    public NodeListeners Listeners { get; } = new();

    /// <summary>Everything but the watches of <see cref="Cluster"/>, which the node's own discovery needs before.</summary>
    public void Start(Modules modules, CancellationToken cancellation)
    {
        modules.Start("identities", IdentityFollower.RunAsync, cancellation);
        modules.Start("nodes", RemoteNodes.RunAsync, cancellation);
        modules.Start("node-addresses", NodeAddresses.RunAsync, cancellation);
        modules.Start("api-server-addresses", ApiServers.RunAsync, cancellation);
        modules.Start("object-events", Events.RunAsync, cancellation);
        modules.Start("services", Services.RunAsync, cancellation);
        modules.Start("policy-publisher", Policies.RunAsync, cancellation);
        modules.Start("policy-objects", PolicyObjects.RunAsync, cancellation);
        modules.Start(NodeConditions.ModuleName, NodeConditions.RunAsync, cancellation);
    }

    public void Dispose()
    {
        Identities.Dispose();
        NodeAddresses.Dispose();
        Client.Dispose();
    }
}
