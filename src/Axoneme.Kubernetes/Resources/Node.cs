// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Serialization;

namespace Axoneme.Kubernetes.Resources;

public sealed record Node : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.Nodes;

    public NodeSpec Spec { get => field ?? new(); init; }

    public NodeStatus Status { get => field ?? new(); init; }
}

public sealed record NodeSpec
{
    public string? PodCIDR { get; init; }

    public IReadOnlyList<string>? PodCIDRs { get; init; }

    public string? ProviderID { get; init; }

    public bool? Unschedulable { get; init; }

    public IReadOnlyList<Taint>? Taints { get; init; }
}

public sealed record Taint
{
    public string Key { get => field ?? ""; init; }

    public string? Value { get; init; }

    /// <summary>NoSchedule, PreferNoSchedule or NoExecute.</summary>
    public string Effect { get => field ?? ""; init; }

    public DateTimeOffset? TimeAdded { get; init; }
}

public sealed record NodeStatus
{
    public IReadOnlyDictionary<string, Quantity>? Capacity { get; init; }

    public IReadOnlyDictionary<string, Quantity>? Allocatable { get; init; }

    public string? Phase { get; init; }

    public IReadOnlyList<Condition>? Conditions { get; init; }

    public IReadOnlyList<NodeAddress>? Addresses { get; init; }

    public NodeSystemInfo? NodeInfo { get; init; }
}

public sealed record NodeAddress
{
    /// <summary>Hostname, InternalIP, ExternalIP, InternalDNS or ExternalDNS.</summary>
    public string Type { get => field ?? ""; init; }

    public string Address { get => field ?? ""; init; }
}

public sealed record NodeSystemInfo
{
    public string? MachineID { get; init; }

    public string? SystemUUID { get; init; }

    public string? BootID { get; init; }

    public string? KernelVersion { get; init; }

    public string? OsImage { get; init; }

    public string? ContainerRuntimeVersion { get; init; }

    public string? KubeletVersion { get; init; }

    public string? KubeProxyVersion { get; init; }

    public string? OperatingSystem { get; init; }

    public string? Architecture { get; init; }
}
