// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

/// <summary>An address block outside the cluster that an agent has given an identity, such as one learnt from DNS.</summary>
public sealed record KnownAddress(IpPrefix Prefix, SecurityIdentity Identity, LabelSet Labels);

/// <summary>All that an explanation is computed from: API objects, settings, and what only a running agent knows.</summary>
public sealed record ClusterObjects
{
    public PolicyOptions Options { get; init; } = PolicyOptions.Default;

    public LabelFilter Filter { get; init; } = LabelFilter.Default;

    /// <summary>Which labels of nodes rules may know (<c>node-labels</c>), where they may know any.</summary>
    public LabelFilter NodeFilter { get; init; } = LabelFilter.ParseWithoutDefaults("");

    /// <summary>Blocks of addresses also select nodes (<c>policy-cidr-match-mode</c>).</summary>
    public bool CidrMatchesNodes { get; init; }

    /// <summary>What reaches nodes whatever their policies say (<c>host-firewall-management-cidrs</c> and <c>-ports</c>).</summary>
    public ManagementAllowance Management { get; init; } = ManagementAllowance.None;

    public ImmutableArray<Resource> Items { get; init; } = [];

    /// <summary>Empty unless an agent was asked.</summary>
    public ImmutableArray<KnownAddress> Addresses { get; init; } = [];

    public IEnumerable<T> Of<T>()
        where T : Resource
        => Items.OfType<T>();

    /// <summary>Adds the object; one of the same kind and name is replaced.</summary>
    public ClusterObjects With(Resource item)
    {
        ArgumentNullException.ThrowIfNull(item);
        return this with { Items = [.. Items.Where(i => !IsSame(i, item)), item] };
    }

    public ClusterObjects With(IEnumerable<Resource> items) => items.Aggregate(this, (objects, item) => objects.With(item));

    /// <summary>Null when there is no such object.</summary>
    public ClusterObjects? Without(string kind, ResourceName name)
    {
        ImmutableArray<Resource> rest =
            [.. Items.Where(i => !string.Equals(i.Definition.Kind, kind, StringComparison.OrdinalIgnoreCase) || i.ResourceName != name)];
        return rest.Length == Items.Length ? null : this with { Items = rest };
    }

    private static bool IsSame(Resource a, Resource b) => a.GetType() == b.GetType() && a.ResourceName == b.ResourceName;
}

/// <summary>A pod as policy sees it.</summary>
/// <param name="Name">Of the pod, or of the workload whose template stands for pods that are not there.</param>
/// <param name="Own">The labels of the object itself.</param>
/// <param name="Labels">Of its identity.</param>
/// <param name="Identity">Number of the identity; the host's for pods on the host network is up to who looks at them.</param>
/// <param name="Ports">Container ports with names.</param>
/// <param name="Node">Empty when it is not known.</param>
/// <param name="HostNetwork">It has no endpoint of its own: policy takes it for its node.</param>
/// <param name="Addresses">Empty when they are not known.</param>
public sealed record ClusterPod(
    ResourceName Name,
    IReadOnlyDictionary<string, string> Own,
    LabelSet Labels,
    SecurityIdentity Identity,
    NamedPorts Ports,
    string Node,
    bool HostNetwork,
    ImmutableArray<IpAddress> Addresses)
{
    /// <summary>Kind of the workload that the pod stands for; empty for a pod.</summary>
    public string Workload { get; init; } = "";
}
