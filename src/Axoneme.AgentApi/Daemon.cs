// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Serialization;

namespace Axoneme.AgentApi;

/// <summary>GET /config.</summary>
public sealed record DaemonConfig(DaemonConfigSpec Spec, DaemonConfigStatus Status);

public sealed record DaemonConfigSpec(IReadOnlyDictionary<string, string>? Options = null, string? PolicyEnforcement = null);

public sealed record DaemonConfigStatus
{
    public NodeAddressing? Addressing { get; init; }
    public string? IpamMode { get; init; }

    [JsonPropertyName("datapathMode")]
    public string? DatapathMode { get; init; }

    [JsonPropertyName("configuredDatapathMode")]
    public string? ConfiguredDatapathMode { get; init; }

    [JsonPropertyName("deviceMTU")]
    public long? DeviceMtu { get; init; }

    [JsonPropertyName("routeMTU")]
    public long? RouteMtu { get; init; }

    [JsonPropertyName("k8s-endpoint")]
    public string? KubernetesEndpoint { get; init; }

    [JsonPropertyName("k8s-configuration")]
    public string? KubernetesConfiguration { get; init; }

    public bool Masquerade { get; init; }

    [JsonPropertyName("masqueradeProtocols")]
    public EnabledProtocols? MasqueradeProtocols { get; init; }

    public DaemonConfigSpec? Realized { get; init; }
    public IReadOnlyDictionary<string, string>? Immutable { get; init; }

    [JsonPropertyName("nodeMonitor")]
    public NodeMonitorStatus? NodeMonitor { get; init; }

    /// <summary>Every effective setting by its key in the configuration.</summary>
    [JsonPropertyName("daemonConfigurationMap")]
    public IReadOnlyDictionary<string, string>? DaemonConfigurationMap { get; init; }
}

public sealed record NodeAddressing(NodeAddressingElement? Ipv4 = null, NodeAddressingElement? Ipv6 = null);

public sealed record NodeAddressingElement
{
    public bool Enabled { get; init; }
    public string? Ip { get; init; }
    public string? AllocRange { get; init; }
    public string? AddressType { get; init; }
}

/// <summary>GET /cluster/nodes.</summary>
public sealed record ClusterNodes(string? Self, IReadOnlyList<NodeElement> Nodes);

public sealed record NodeElement
{
    /// <summary>cluster/node.</summary>
    public required string Name { get; init; }

    /// <summary>local, custom-resource, kubernetes, kvstore ...</summary>
    public string? Source { get; init; }

    public NodeAddressing? PrimaryAddress { get; init; }
    public IReadOnlyList<NodeAddressingElement>? SecondaryAddresses { get; init; }
    public NodeAddressing? HealthEndpointAddress { get; init; }
}

/// <summary>GET /node/ids: which addresses one number stands for in marks of packets.</summary>
public sealed record NodeIdModel(long Id, IReadOnlyList<string> Ips);

/// <summary>GET /map.</summary>
public sealed record BpfMapList(IReadOnlyList<BpfMapModel> Maps);

/// <summary>GET /map/{name} has the cache; the list has only its size.</summary>
public sealed record BpfMapModel
{
    public required string Path { get; init; }
    public IReadOnlyList<BpfMapEntry>? Cache { get; init; }

    /// <summary>Number of entries, our own addition (upstream clients count the cache).</summary>
    public long? Entries { get; init; }

    public long? Errors { get; init; }

    [JsonIgnore]
    public string Name => System.IO.Path.GetFileName(Path);
}

/// <summary>DesiredAction: sync, insert, delete; LastError names why it is not.</summary>
public sealed record BpfMapEntry(string Key, string? Value, string? DesiredAction = null, string? LastError = null);

/// <summary>GET /policy: the rules as JSON text.</summary>
public sealed record PolicyModel(string Policy, long Revision);

/// <summary>GET /policy/selectors.</summary>
public sealed record SelectorModel(
    string Selector, IReadOnlyList<string>? Labels = null, long Users = 0, IReadOnlyList<long>? Identities = null);

/// <summary>GET /tables, our own: which tables the agent keeps and how far they are.</summary>
public sealed record TableSummary
{
    public required string Name { get; init; }
    public long Objects { get; init; }
    public long Revision { get; init; }
    public bool Initialized { get; init; }

    /// <summary>Sources that have not delivered yet.</summary>
    public IReadOnlyList<string>? Pending { get; init; }
}

/// <summary>GET /tables/{name}: a snapshot, ready to print.</summary>
public sealed record TableContents(string Name, long Revision, IReadOnlyList<string> Columns, IReadOnlyList<IReadOnlyList<string>> Rows);

/// <summary>What the agent says besides a status code that is not 2xx.</summary>
public sealed record ApiError(string Message);
