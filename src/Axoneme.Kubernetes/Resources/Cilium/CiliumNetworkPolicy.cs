// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Axoneme.Kubernetes.Resources;

public sealed record CiliumNetworkPolicy : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.CiliumNetworkPolicies;

    public PolicyRule? Spec { get; init; }

    /// <summary>In force together with the spec.</summary>
    public IReadOnlyList<PolicyRule>? Specs { get; init; }

    public CiliumPolicyStatus? Status { get; init; }
}

public sealed record CiliumClusterwideNetworkPolicy : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.CiliumClusterwideNetworkPolicies;

    public PolicyRule? Spec { get; init; }

    /// <summary>In force together with the spec.</summary>
    public IReadOnlyList<PolicyRule>? Specs { get; init; }

    public CiliumPolicyStatus? Status { get; init; }
}

public sealed record CiliumPolicyStatus
{
    public IReadOnlyList<Condition>? Conditions { get; init; }

    /// <summary>Legacy, kept as sent.</summary>
    public JsonElement? DerivativePolicies { get; init; }
}

/// <summary>An object inside a rule. What it has besides the known fields is kept, so that it can be reported and not be taken for nothing.</summary>
public abstract record PolicyElement
{
    [JsonExtensionData]
    public IDictionary<string, JsonElement>? UnknownFields { get; set; }
}

/// <summary>One rule: whom it applies to (one of the selectors) and what it allows and denies.</summary>
public sealed record PolicyRule : PolicyElement
{
    public LabelSelector? EndpointSelector { get; init; }

    public LabelSelector? NodeSelector { get; init; }

    public IReadOnlyList<IngressRule>? Ingress { get; init; }

    public IReadOnlyList<IngressRule>? IngressDeny { get; init; }

    public IReadOnlyList<EgressRule>? Egress { get; init; }

    public IReadOnlyList<EgressRule>? EgressDeny { get; init; }

    public DefaultDenyConfig? EnableDefaultDeny { get; init; }

    public IReadOnlyList<PolicyLabel>? Labels { get; init; }

    public string? Description { get; init; }

    public PolicyLog? Log { get; init; }
}

/// <summary>Null: on where the direction has an entry.</summary>
public sealed record DefaultDenyConfig
{
    public bool? Ingress { get; init; }

    public bool? Egress { get; init; }
}

public sealed record PolicyLabel
{
    public string Key { get => field ?? ""; init; }

    public string? Value { get; init; }

    public string? Source { get; init; }
}

public sealed record PolicyLog
{
    public string? Value { get; init; }
}

/// <summary>A peer list that is null does not restrict; one that is empty matches no peer.</summary>
public sealed record IngressRule : PolicyElement
{
    public IReadOnlyList<LabelSelector>? FromEndpoints { get; init; }

    /// <summary>Removed feature; only an empty list is valid.</summary>
    public IReadOnlyList<string>? FromRequires { get; init; }

    public IReadOnlyList<string>? FromCIDR { get; init; }

    public IReadOnlyList<CIDRRule>? FromCIDRSet { get; init; }

    public IReadOnlyList<string>? FromEntities { get; init; }

    public IReadOnlyList<PeerGroup>? FromGroups { get; init; }

    public IReadOnlyList<LabelSelector>? FromNodes { get; init; }

    public IReadOnlyList<PortRule>? ToPorts { get; init; }

    public IReadOnlyList<IcmpRule>? Icmps { get; init; }

    public PolicyAuthentication? Authentication { get; init; }
}

/// <summary>A peer list that is null does not restrict; one that is empty matches no peer.</summary>
public sealed record EgressRule : PolicyElement
{
    public IReadOnlyList<LabelSelector>? ToEndpoints { get; init; }

    /// <summary>Removed feature; only an empty list is valid.</summary>
    public IReadOnlyList<string>? ToRequires { get; init; }

    public IReadOnlyList<string>? ToCIDR { get; init; }

    public IReadOnlyList<CIDRRule>? ToCIDRSet { get; init; }

    public IReadOnlyList<string>? ToEntities { get; init; }

    public IReadOnlyList<PeerGroup>? ToGroups { get; init; }

    public IReadOnlyList<LabelSelector>? ToNodes { get; init; }

    public IReadOnlyList<PeerService>? ToServices { get; init; }

    public IReadOnlyList<FqdnSelector>? ToFQDNs { get; init; }

    public IReadOnlyList<PortRule>? ToPorts { get; init; }

    public IReadOnlyList<IcmpRule>? Icmps { get; init; }

    public PolicyAuthentication? Authentication { get; init; }
}

/// <summary>Exactly one of <see cref="Cidr"/>, <see cref="CidrGroupRef"/> and <see cref="CidrGroupSelector"/>.</summary>
public sealed record CIDRRule : PolicyElement
{
    public string? Cidr { get; init; }

    public string? CidrGroupRef { get; init; }

    public LabelSelector? CidrGroupSelector { get; init; }

    public IReadOnlyList<string>? Except { get; init; }
}

public sealed record PeerGroup : PolicyElement
{
    public AwsGroup? Aws { get; init; }
}

public sealed record AwsGroup
{
    public IReadOnlyDictionary<string, string>? Labels { get; init; }

    public IReadOnlyList<string>? SecurityGroupsIds { get; init; }

    public IReadOnlyList<string>? SecurityGroupsNames { get; init; }

    public string? Region { get; init; }
}

public sealed record PeerService : PolicyElement
{
    public PeerServiceByName? K8sService { get; init; }

    public PeerServiceBySelector? K8sServiceSelector { get; init; }
}

public sealed record PeerServiceByName : PolicyElement
{
    public string? ServiceName { get; init; }

    public string? Namespace { get; init; }
}

public sealed record PeerServiceBySelector : PolicyElement
{
    public LabelSelector Selector { get => field ?? new(); init; }

    public string? Namespace { get; init; }
}

/// <summary>Exactly one of the two.</summary>
public sealed record FqdnSelector : PolicyElement
{
    public string? MatchName { get; init; }

    public string? MatchPattern { get; init; }
}

public sealed record PortRule : PolicyElement
{
    public IReadOnlyList<PortProtocol>? Ports { get; init; }

    public TlsContext? TerminatingTLS { get; init; }

    public TlsContext? OriginatingTLS { get; init; }

    public IReadOnlyList<string>? ServerNames { get; init; }

    public EnvoyListener? Listener { get; init; }

    public L7Rules? Rules { get; init; }
}

public sealed record PortProtocol : PolicyElement
{
    /// <summary>A decimal number or a port name; "0" stands for all.</summary>
    public string Port { get => field ?? ""; init; }

    /// <summary>Inclusive.</summary>
    public int? EndPort { get; init; }

    /// <summary>ANY when omitted.</summary>
    public string? Protocol { get; init; }
}

public sealed record TlsContext
{
    public SecretReference Secret { get => field ?? new(); init; }

    public string? TrustedCA { get; init; }

    public string? Certificate { get; init; }

    public string? PrivateKey { get; init; }
}

public sealed record SecretReference
{
    public string? Namespace { get; init; }

    public string Name { get => field ?? ""; init; }
}

public sealed record EnvoyListener : PolicyElement
{
    public EnvoyConfigReference EnvoyConfig { get => field ?? new(); init; }

    public string Name { get => field ?? ""; init; }

    public int? Priority { get; init; }
}

public sealed record EnvoyConfigReference
{
    public string? Kind { get; init; }

    public string Name { get => field ?? ""; init; }
}

/// <summary>Rules of application protocols, kept as sent: the proxy's compiler reads them.</summary>
public sealed record L7Rules : PolicyElement
{
    public JsonElement? Http { get; init; }

    public IReadOnlyList<FqdnSelector>? Dns { get; init; }

    public JsonElement? Kafka { get; init; }

    public string? L7proto { get; init; }

    public JsonElement? L7 { get; init; }
}

public sealed record IcmpRule : PolicyElement
{
    public IReadOnlyList<IcmpField>? Fields { get; init; }
}

public sealed record IcmpField : PolicyElement
{
    /// <summary>IPv4 (when omitted) or IPv6.</summary>
    public string? Family { get; init; }

    public IntOrString? Type { get; init; }
}

public sealed record PolicyAuthentication
{
    /// <summary>disabled, required or test-always-fail.</summary>
    public string Mode { get => field ?? ""; init; }
}

public sealed record CiliumCIDRGroup : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.CiliumCIDRGroups;

    public CiliumCIDRGroupSpec Spec { get => field ?? new(); init; }
}

public sealed record CiliumCIDRGroupSpec
{
    public IReadOnlyList<string>? ExternalCIDRs { get; init; }
}
