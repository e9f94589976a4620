// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Serialization;

namespace Axoneme.Kubernetes.Resources;

/// <summary>Sends connections to an address or a cluster address to pods of the client's own node.</summary>
public sealed record CiliumLocalRedirectPolicy : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.CiliumLocalRedirectPolicies;

    public CiliumLocalRedirectPolicySpec Spec { get => field ?? new(); init; }

    public CiliumLocalRedirectPolicyStatus? Status { get; init; }
}

/// <summary>Cannot be changed once the policy exists.</summary>
public sealed record CiliumLocalRedirectPolicySpec
{
    public RedirectFrontend RedirectFrontend { get => field ?? new(); init; }

    public RedirectBackend RedirectBackend { get => field ?? new(); init; }

    /// <summary>Connections that the chosen pods make to the frontend themselves are left alone.</summary>
    public bool? SkipRedirectFromBackend { get; init; }

    public string? Description { get; init; }
}

/// <summary>Exactly one of its members.</summary>
public sealed record RedirectFrontend
{
    public RedirectAddress? AddressMatcher { get; init; }

    public RedirectService? ServiceMatcher { get; init; }
}

public sealed record RedirectAddress
{
    public string Ip { get => field ?? ""; init; }

    public IReadOnlyList<RedirectPort>? ToPorts { get; init; }
}

public sealed record RedirectService
{
    public string ServiceName { get => field ?? ""; init; }

    /// <summary>That of the policy.</summary>
    public string Namespace { get => field ?? ""; init; }

    /// <summary>Null or empty: every port of the service.</summary>
    public IReadOnlyList<RedirectPort>? ToPorts { get; init; }
}

public sealed record RedirectBackend
{
    /// <summary>Pods of the policy's namespace.</summary>
    public LabelSelector? LocalEndpointSelector { get; init; }

    public IReadOnlyList<RedirectPort>? ToPorts { get; init; }
}

public sealed record RedirectPort
{
    /// <summary>A number from 1 to 65535.</summary>
    public string Port { get => field ?? ""; init; }

    /// <summary>TCP or UDP.</summary>
    public string Protocol { get => field ?? ""; init; }

    /// <summary>Needed where there are several; compared without regard to case.</summary>
    public string? Name { get; init; }
}

public sealed record CiliumLocalRedirectPolicyStatus
{
    public bool? Ok { get; init; }
}
