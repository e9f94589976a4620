// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Agent.Api;
using Axoneme.Agent.Endpoints;
using Axoneme.Metrics;
using Axoneme.Network;
using Axoneme.Policy;

namespace Axoneme.Agent.Metrics;

/// <summary>How many of everything the agent knows.</summary>
internal static class StateMetrics
{
    public static void Register(MetricRegistry registry, ApiSources sources)
    {
        string revision = StatusReport.ProductVersion.Split('-') is [_, { } commit] ? commit.TrimEnd(')') : "";
        string architecture = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? "amd64" : "arm64";
        registry.AddCallback(
            "version", "The agent's version", MetricKind.Gauge, ["version", "revision", "arch"],
            sink => sink(1, AgentVersion.Text, revision, architecture));
        AddEndpoints(registry, sources);
        AddIdentities(registry, sources);
        registry.AddCallback("policy", "Policies that are in force", MetricKind.Gauge, [],
            sink => sink(sources.Control.Policies.Read(engine => engine.Policies.Count)));
        registry.AddCallback("policy_max_revision", "Revision of the policies", MetricKind.Gauge, [],
            sink => sink(sources.Control.Policies.Read(engine => engine.Revision)));
        registry.AddCallback("nodes_all_num", "Nodes of the cluster, this one too", MetricKind.Gauge, [],
            sink => sink(sources.Control.RemoteNodes.Table.Count + 1));
        var controllers = new ControllerViews(sources);
        registry.AddCallback("controllers_failing", "Controllers whose last run failed", MetricKind.Gauge, [],
            sink => sink(controllers.All().Count(c => c.Status.ConsecutiveFailureCount > 0)));
    }

    private static void AddEndpoints(MetricRegistry registry, ApiSources sources)
    {
        registry.AddCallback("endpoint", "Endpoints of this node", MetricKind.Gauge, [],
            sink => sink(sources.Running?.Endpoints.Endpoints.Count ?? 0));
        registry.AddCallback("endpoint_state", "Endpoints by state", MetricKind.Gauge, ["endpoint_state"], sink =>
        {
            foreach (IGrouping<EndpointState, Endpoint> group in (sources.Running?.Endpoints.Endpoints.Snapshot().Values ?? []).GroupBy(e => e.State))
                sink(group.Count(), StateName(group.Key));
        });
        registry.AddCallback("ip_addresses", "Addresses given to pods and to the node's own devices", MetricKind.Gauge, ["family"], sink =>
        {
            if (sources.Running?.Ipam is not { } ipam)
                return;
            foreach (IGrouping<bool, KeyValuePair<IpAddress, string>> family in ipam.Owners().GroupBy(owner => owner.Key.IsV6))
                sink(family.Count(), family.Key ? "ipv6" : "ipv4");
        });
    }

    private static void AddIdentities(MetricRegistry registry, ApiSources sources)
        => registry.AddCallback("identity", "Security identities by type", MetricKind.Gauge, ["type"], sink =>
        {
            PolicyIdentity[] identities = sources.Control.Policies.Read(engine => engine.Identities.ToArray());
            foreach (IGrouping<string, PolicyIdentity> type in identities.GroupBy(i => TypeOf(i.Id)))
                sink(type.Count(), type.Key);
        });

    private static string TypeOf(SecurityIdentity identity)
        => identity.IsReserved ? "reserved" : identity.IsNodeLocal ? "node_local" : "cluster_local";

    // As the API and upstream's metric write it.
    private static string StateName(EndpointState state) => state switch
    {
        EndpointState.WaitingForIdentity => "waiting-for-identity",
        EndpointState.Regenerating => "regenerating",
        EndpointState.Ready => "ready",
        EndpointState.Restoring => "restoring",
        _ => "disconnecting",
    };
}
