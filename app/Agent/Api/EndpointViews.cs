// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Endpoints;
using Axoneme.AgentApi;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Network;
using Axoneme.Tables;
using EndpointPolicy = Axoneme.Datapath.EndpointPolicy;

namespace Axoneme.Agent.Api;

/// <summary>The endpoints of this node.</summary>
internal sealed class EndpointViews(ApiSources sources)
{
    // As clients know an endpoint whose policy is not what it should be.
    private const string NotReady = "not-ready";

    public IReadOnlyList<EndpointModel> All()
    {
        if (sources.Running is not { } running)
            return [];
        var health = new EndpointHealthView(running);
        return [.. Endpoints(running).OrderBy(e => e.Id).Select(e => Model(running, e, health, isDetailed: false))];
    }

    /// <exception cref="ApiException">The id is malformed, or nobody has it.</exception>
    public EndpointModel Get(string id)
    {
        Func<Endpoint, bool> matches = EndpointIdForm.Parse(id);
        RunningNode? running = sources.Running;
        Endpoint? endpoint = running is null ? null : Endpoints(running).Where(matches).MinBy(e => e.Id);
        return endpoint is null
            ? throw ApiException.NotFound($"there is no endpoint {id}")
            : Model(running!, endpoint, new EndpointHealthView(running!), isDetailed: true);
    }

    private static IEnumerable<Endpoint> Endpoints(RunningNode running)
        => running.Endpoints.Host is { } host
            ? running.Endpoints.Endpoints.Snapshot().Values.Append(host.Describe())
            : running.Endpoints.Endpoints.Snapshot().Values;

    private EndpointModel Model(RunningNode running, Endpoint endpoint, EndpointHealthView health, bool isDetailed)
    {
        EndpointPolicy? policy = sources.Control.Policies.Table.Snapshot().Find(endpoint.Id);
        // The node has no policy unless the host firewall is on.
        if (endpoint.Identity == SecurityIdentity.Host && !sources.Options.HostFirewall.Enabled)
            policy = new EndpointPolicy(endpoint.Id, 1);
        IdentityModel identity = IdentityViews.Model(endpoint.Identity, endpoint.Labels);
        string? refused = health.PolicyFailure(endpoint.Id);
        return new EndpointModel(endpoint.Id, new EndpointStatus
        {
            ExternalIdentifiers = new EndpointIdentifiers
            {
                CniAttachmentId = endpoint.Attachment.ToString(),
                ContainerId = endpoint.Attachment.ContainerId,
                Namespace = NullIfEmpty(endpoint.Pod.Namespace),
                PodName = NullIfEmpty(endpoint.Pod.Name),
            },
            Health = health.Of(endpoint, policy),
            Identity = identity,
            Labels = new EndpointLabels { SecurityRelevant = identity.Labels },
            Log = refused is null ? null : [new EndpointLogEntry(sources.Control.Client.Options.Time.GetUtcNow(), NotReady, "Failure", refused)],
            Networking = Networking(running, endpoint),
            Policy = policy is null ? null : new AgentApi.EndpointPolicy(Realized: Policy(endpoint, policy, isDetailed)),
            State = refused is not null && endpoint.State == EndpointState.Ready ? NotReady : StateName(endpoint.State),
        });
    }

    private static EndpointNetworking Networking(RunningNode running, Endpoint endpoint)
    {
        TableSnapshot<IpAddress, EndpointMapEntry> addresses = running.Endpoints.Addresses.Snapshot();
        return new EndpointNetworking
        {
            Addressing = [new EndpointAddressPair(endpoint.IPv4?.ToString(), endpoint.IPv6?.ToString())],
            HostMac = endpoint.HostMac.ToString(),
            InterfaceIndex = endpoint.Addresses.Select(a => addresses.Find(a)?.Device ?? 0).FirstOrDefault(),
            InterfaceName = endpoint.HostInterface,
            Mac = endpoint.PodMac.ToString(),
        };
    }

    private static EndpointPolicyStatus Policy(Endpoint endpoint, EndpointPolicy policy, bool isDetailed) => new()
    {
        Id = endpoint.Identity.Value,
        Build = policy.Revision,
        PolicyRevision = policy.Revision,
        PolicyEnabled = Enforcement(policy),
        // One endpoint may allow all of the cluster's identities: too much for a list of endpoints.
        AllowedIngressIdentities = isDetailed ? Allowed(policy, TrafficDirection.Ingress) : null,
        AllowedEgressIdentities = isDetailed ? Allowed(policy, TrafficDirection.Egress) : null,
    };

    private static string Enforcement(EndpointPolicy policy)
    {
        string prefix = policy.Audit ? "audit-" : "";
        return (policy.IngressEnforced, policy.EgressEnforced) switch
        {
            (true, true) => prefix + "both",
            (true, false) => prefix + "ingress",
            (false, true) => prefix + "egress",
            _ => "none",
        };
    }

    private static IReadOnlyList<long> Allowed(EndpointPolicy policy, TrafficDirection direction) =>
    [
        .. policy.Entries.Values
            .Where(entry => entry.Key.Direction == direction && !entry.Deny)
            .Select(entry => (long)entry.Key.Identity.Value)
            .Distinct()
            .Order(),
    ];

    private static string StateName(EndpointState state) => state switch
    {
        EndpointState.WaitingForIdentity => "waiting-for-identity",
        EndpointState.Regenerating => "regenerating",
        EndpointState.Ready => "ready",
        EndpointState.Restoring => "restoring",
        EndpointState.Disconnecting => "disconnecting",
        _ => "invalid",
    };

    private static string? NullIfEmpty(string text) => text.Length == 0 ? null : text;
}

/// <summary>Health of endpoints, from what the reconcilers of their addresses and policies say.</summary>
internal sealed class EndpointHealthView
{
    private const string Ok = "OK";
    private const string Bootstrap = "Bootstrap";
    private const string Failure = "Failure";

    private readonly HashSet<string> _failingAddresses;
    private readonly Dictionary<string, string> _failingPolicies;

    public EndpointHealthView(RunningNode running)
    {
        _failingAddresses = [.. Failing(running, "local-addresses").Select(failure => failure.Key)];
        _failingPolicies = Failing(running, "policies").ToDictionary(failure => failure.Key, failure => failure.Message);
    }

    public EndpointHealth Of(Endpoint endpoint, EndpointPolicy? policy)
    {
        bool isReady = endpoint.State == EndpointState.Ready;
        string bpf = endpoint.Addresses.Any(a => _failingAddresses.Contains(a.ToString())) ? Failure : isReady ? Ok : Bootstrap;
        string rules = PolicyFailure(endpoint.Id) is not null ? Failure : policy is null ? Bootstrap : Ok;
        return new EndpointHealth
        {
            Bpf = bpf,
            Policy = rules,
            Connected = endpoint.State is not EndpointState.Disconnecting,
            OverallHealth = bpf == Failure || rules == Failure ? Failure : bpf == Ok && rules == Ok ? Ok : Bootstrap,
        };
    }

    /// <summary>Why the kernel does not have the endpoint's policy; null: it has, or will.</summary>
    public string? PolicyFailure(ushort endpoint) => _failingPolicies.GetValueOrDefault(endpoint.ToString());

    private static IEnumerable<(string Key, string Message)> Failing(RunningNode running, string table)
        => running.Reconcilers().Where(view => view.Name == table).SelectMany(view => view.Failing());
}
