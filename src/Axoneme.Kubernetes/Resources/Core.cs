// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Serialization;

namespace Axoneme.Kubernetes.Resources;

public sealed record Namespace : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.Namespaces;

    public NamespaceSpec? Spec { get; init; }

    public NamespaceStatus? Status { get; init; }
}

public sealed record NamespaceSpec
{
    public IReadOnlyList<string>? Finalizers { get; init; }
}

public sealed record NamespaceStatus
{
    /// <summary>Active or Terminating.</summary>
    public string? Phase { get; init; }

    public IReadOnlyList<Condition>? Conditions { get; init; }
}

public sealed record ConfigMap : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.ConfigMaps;

    public bool? Immutable { get; init; }

    public IReadOnlyDictionary<string, string>? Data { get; init; }

    public IReadOnlyDictionary<string, byte[]>? BinaryData { get; init; }
}

public sealed record Secret : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.Secrets;

    public bool? Immutable { get; init; }

    public string? Type { get; init; }

    /// <summary>Decoded from base64.</summary>
    public IReadOnlyDictionary<string, byte[]>? Data { get; init; }

    /// <summary>Write-only plain text that the server merges into the data.</summary>
    public IReadOnlyDictionary<string, string>? StringData { get; init; }
}

public sealed record ServiceAccount : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.ServiceAccounts;

    public IReadOnlyList<ObjectReference>? Secrets { get; init; }

    public IReadOnlyList<ObjectReference>? ImagePullSecrets { get; init; }

    public bool? AutomountServiceAccountToken { get; init; }
}

public sealed record Event : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.Events;

    public ObjectReference InvolvedObject { get => field ?? new(); init; }

    public string? Reason { get; init; }

    public string? Message { get; init; }

    public EventSource? Source { get; init; }

    public DateTimeOffset? FirstTimestamp { get; init; }

    public DateTimeOffset? LastTimestamp { get; init; }

    public int? Count { get; init; }

    /// <summary>Normal or Warning.</summary>
    public string? Type { get; init; }

    [JsonConverter(typeof(MicroTimeConverter))]
    public DateTimeOffset? EventTime { get; init; }

    public EventSeries? Series { get; init; }

    public string? Action { get; init; }

    public ObjectReference? Related { get; init; }

    public string? ReportingComponent { get; init; }

    public string? ReportingInstance { get; init; }
}

public sealed record EventSource
{
    public string? Component { get; init; }

    public string? Host { get; init; }
}

public sealed record EventSeries
{
    public int Count { get; init; }

    [JsonConverter(typeof(MicroTimeConverter))]
    public DateTimeOffset? LastObservedTime { get; init; }
}

public sealed record Lease : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.Leases;

    public LeaseSpec Spec { get => field ?? new(); init; }
}

public sealed record LeaseSpec
{
    /// <summary>Null or empty: released.</summary>
    public string? HolderIdentity { get; init; }

    public int? LeaseDurationSeconds { get; init; }

    [JsonConverter(typeof(MicroTimeConverter))]
    public DateTimeOffset? AcquireTime { get; init; }

    [JsonConverter(typeof(MicroTimeConverter))]
    public DateTimeOffset? RenewTime { get; init; }

    public int? LeaseTransitions { get; init; }

    public string? Strategy { get; init; }

    public string? PreferredHolder { get; init; }
}

/// <summary>How the API reports a failure (and the success of a deletion).</summary>
public sealed record Status
{
    public string? ApiVersion { get; init; }

    public string? Kind { get; init; }

    /// <summary>Success or Failure.</summary>
    [JsonPropertyName("status")]
    public string? Outcome { get; init; }

    public string? Message { get; init; }

    /// <summary>A machine-readable word such as NotFound, Conflict or Expired.</summary>
    public string? Reason { get; init; }

    public StatusDetails? Details { get; init; }

    /// <summary>The HTTP status.</summary>
    public int? Code { get; init; }
}

public sealed record StatusDetails
{
    public string? Name { get; init; }

    public string? Group { get; init; }

    public string? Kind { get; init; }

    public string? Uid { get; init; }

    public IReadOnlyList<StatusCause>? Causes { get; init; }

    public int? RetryAfterSeconds { get; init; }
}

public sealed record StatusCause
{
    public string? Reason { get; init; }

    public string? Message { get; init; }

    public string? Field { get; init; }
}
