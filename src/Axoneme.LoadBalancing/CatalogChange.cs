// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

/// <summary>What makes frontends.</summary>
public enum CatalogObjectKind : byte
{
    Service,

    /// <summary>By its host ports.</summary>
    Pod,
    LocalRedirectPolicy,
}

/// <summary>An API object that a problem is about.</summary>
public readonly record struct CatalogObject(CatalogObjectKind Kind, ResourceName Name)
{
    public override string ToString() => $"{Kind} {Name}";
}

/// <summary>All that is wrong with an object now; nothing when the last problem is gone.</summary>
public sealed record CatalogProblems(CatalogObject About, ImmutableArray<string> Texts);

/// <summary>Sockets of the pod reach the frontend's own address: the pod is what its connections would be redirected to.</summary>
public readonly record struct RedirectExemption(ResourceName Pod, L4Address Frontend);

/// <summary>What the events since the last commit changed.</summary>
/// <param name="Upserts">New and changed frontends.</param>
/// <param name="Deletes">Frontends that are gone, as they were.</param>
public sealed record CatalogChange(ImmutableArray<Frontend> Upserts, ImmutableArray<Frontend> Deletes)
{
    public static CatalogChange None { get; } = new([], []);

    /// <summary>Service addresses on which now nothing is to be reached but what is served there.</summary>
    public ImmutableArray<IpAddress> GuardedAddresses { get; init; } = [];

    /// <summary>Addresses for which that is over.</summary>
    public ImmutableArray<IpAddress> ReleasedAddresses { get; init; } = [];

    public ImmutableArray<RedirectExemption> NewExemptions { get; init; } = [];

    public ImmutableArray<RedirectExemption> EndedExemptions { get; init; } = [];

    /// <summary>Objects whose problems are others than before.</summary>
    public ImmutableArray<CatalogProblems> Problems { get; init; } = [];

    public bool IsEmpty => Upserts.IsEmpty && Deletes.IsEmpty && GuardedAddresses.IsEmpty && ReleasedAddresses.IsEmpty
        && NewExemptions.IsEmpty && EndedExemptions.IsEmpty && Problems.IsEmpty;
}
