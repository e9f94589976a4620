// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Axoneme.Kubernetes.Resources;

public sealed record CiliumNode : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.CiliumNodes;

    public CiliumNodeSpec Spec { get => field ?? new(); init; }

    public CiliumNodeStatus? Status { get; init; }
}

public sealed record CiliumNodeSpec
{
    [JsonPropertyName("instance-id")]
    public string? InstanceId { get; init; }

    public string? Bootid { get; init; }

    public IReadOnlyList<CiliumNodeAddress>? Addresses { get; init; }

    public AddressPair? Health { get; init; }

    public AddressPair? Ingress { get; init; }

    public EncryptionSpec? Encryption { get; init; }

    public CiliumNodeIpam? Ipam { get; init; }

    public JsonElement? Eni { get; init; }

    public JsonElement? Azure { get; init; }

    [JsonPropertyName("alibaba-cloud")]
    public JsonElement? AlibabaCloud { get; init; }
}

public sealed record CiliumNodeAddress
{
    /// <summary>InternalIP, ExternalIP, CiliumInternalIP, Hostname ...</summary>
    public string Type { get => field ?? ""; init; }

    public string Ip { get => field ?? ""; init; }
}

public sealed record CiliumNodeIpam
{
    public IReadOnlyList<string>? PodCIDRs { get; init; }

    public IReadOnlyDictionary<string, IpamAllocation>? Pool { get; init; }

    [JsonPropertyName("ipv6-pool")]
    public IReadOnlyDictionary<string, IpamAllocation>? Ipv6Pool { get; init; }

    public IpamPools? Pools { get; init; }

    [JsonPropertyName("min-allocate")]
    public int? MinAllocate { get; init; }

    [JsonPropertyName("max-allocate")]
    public int? MaxAllocate { get; init; }

    [JsonPropertyName("pre-allocate")]
    public int? PreAllocate { get; init; }

    [JsonPropertyName("max-above-watermark")]
    public int? MaxAboveWatermark { get; init; }

    [JsonPropertyName("static-ip-tags")]
    public IReadOnlyDictionary<string, string>? StaticIpTags { get; init; }
}

public sealed record IpamAllocation
{
    public string? Owner { get; init; }

    public string? Resource { get; init; }
}

public sealed record IpamPools
{
    public IReadOnlyList<IpamPoolRequest>? Requested { get; init; }

    public IReadOnlyList<IpamPoolGrant>? Allocated { get; init; }
}

public sealed record IpamPoolRequest
{
    public string Pool { get => field ?? ""; init; }

    public IpamPoolDemand? Needed { get; init; }
}

public sealed record IpamPoolDemand
{
    [JsonPropertyName("ipv4-addrs")]
    public int? Ipv4Addrs { get; init; }

    [JsonPropertyName("ipv6-addrs")]
    public int? Ipv6Addrs { get; init; }
}

public sealed record IpamPoolGrant
{
    public string Pool { get => field ?? ""; init; }

    public IReadOnlyList<string>? Cidrs { get; init; }

    public bool? AllowFirstIP { get; init; }

    public bool? AllowLastIP { get; init; }
}

public sealed record CiliumNodeStatus
{
    public CiliumNodeIpamStatus? Ipam { get; init; }

    public JsonElement? Eni { get; init; }

    public JsonElement? Azure { get; init; }

    [JsonPropertyName("alibaba-cloud")]
    public JsonElement? AlibabaCloud { get; init; }
}

public sealed record CiliumNodeIpamStatus
{
    public IReadOnlyDictionary<string, IpamAllocation>? Used { get; init; }

    [JsonPropertyName("ipv6-used")]
    public IReadOnlyDictionary<string, IpamAllocation>? Ipv6Used { get; init; }

    [JsonPropertyName("pod-cidrs")]
    public IReadOnlyDictionary<string, PodCidrStatus>? PodCidrs { get; init; }

    [JsonPropertyName("operator-status")]
    public IpamOperatorStatus? OperatorStatus { get; init; }

    [JsonPropertyName("release-ips")]
    public IReadOnlyDictionary<string, string>? ReleaseIps { get; init; }

    [JsonPropertyName("release-ipv6s")]
    public IReadOnlyDictionary<string, string>? ReleaseIpv6s { get; init; }

    [JsonPropertyName("assigned-static-ip")]
    public string? AssignedStaticIp { get; init; }
}

public sealed record PodCidrStatus
{
    /// <summary>released, depleted or in-use.</summary>
    public string? Status { get; init; }
}

public sealed record IpamOperatorStatus
{
    public string? Error { get; init; }
}

/// <summary>Overrides of the agent's configuration on the nodes that it selects; read when the agent starts.</summary>
public sealed record CiliumNodeConfig : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.CiliumNodeConfigs;

    public CiliumNodeConfigSpec Spec { get => field ?? new(); init; }
}

public sealed record CiliumNodeConfigSpec
{
    public IReadOnlyDictionary<string, string>? Defaults { get; init; }

    /// <summary>Empty selects every node, null none.</summary>
    public LabelSelector? NodeSelector { get; init; }
}
