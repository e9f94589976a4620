// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Axoneme.Kubernetes.Resources;

public sealed record Pod : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.Pods;

    public PodSpec Spec { get => field ?? new(); init; }

    public PodStatus Status { get => field ?? new(); init; }
}

public sealed record PodSpec
{
    public string? NodeName { get; init; }

    public bool? HostNetwork { get; init; }

    public bool? HostPID { get; init; }

    public IReadOnlyList<Container>? Containers { get; init; }

    public IReadOnlyList<Container>? InitContainers { get; init; }

    /// <summary>Always (when omitted), OnFailure or Never.</summary>
    public string? RestartPolicy { get; init; }

    public string? ServiceAccountName { get; init; }

    /// <summary>30 when omitted.</summary>
    public long? TerminationGracePeriodSeconds { get; init; }

    public long? ActiveDeadlineSeconds { get; init; }

    public IReadOnlyDictionary<string, string>? NodeSelector { get; init; }

    public IReadOnlyList<Toleration>? Tolerations { get; init; }

    public Affinity? Affinity { get; init; }

    public string? DnsPolicy { get; init; }

    public string? Hostname { get; init; }

    public string? Subdomain { get; init; }

    public string? PriorityClassName { get; init; }

    public string? SchedulerName { get; init; }

    public IReadOnlyList<Volume>? Volumes { get; init; }

    /// <summary>Kept as sent.</summary>
    public JsonElement? SecurityContext { get; init; }
}

public sealed record Container
{
    public string Name { get => field ?? ""; init; }

    public string? Image { get; init; }

    public string? ImagePullPolicy { get; init; }

    public IReadOnlyList<string>? Command { get; init; }

    public IReadOnlyList<string>? Args { get; init; }

    public string? WorkingDir { get; init; }

    public IReadOnlyList<EnvVar>? Env { get; init; }

    public IReadOnlyList<EnvFromSource>? EnvFrom { get; init; }

    public IReadOnlyList<ContainerPort>? Ports { get; init; }

    public ResourceRequirements? Resources { get; init; }

    public IReadOnlyList<VolumeMount>? VolumeMounts { get; init; }

    public Probe? LivenessProbe { get; init; }

    public Probe? ReadinessProbe { get; init; }

    public Probe? StartupProbe { get; init; }

    /// <summary>Always makes an init container a sidecar.</summary>
    public string? RestartPolicy { get; init; }

    /// <summary>Kept as sent.</summary>
    public JsonElement? SecurityContext { get; init; }
}

public sealed record EnvVar
{
    public string Name { get => field ?? ""; init; }

    public string? Value { get; init; }

    public EnvVarSource? ValueFrom { get; init; }
}

public sealed record EnvVarSource
{
    public ObjectFieldSelector? FieldRef { get; init; }

    public KeySelector? ConfigMapKeyRef { get; init; }

    public KeySelector? SecretKeyRef { get; init; }
}

public sealed record ObjectFieldSelector
{
    public string? ApiVersion { get; init; }

    public string FieldPath { get => field ?? ""; init; }
}

/// <summary>A key of a ConfigMap or Secret of the pod's namespace.</summary>
public sealed record KeySelector
{
    public string Name { get => field ?? ""; init; }

    public string Key { get => field ?? ""; init; }

    public bool? Optional { get; init; }
}

public sealed record EnvFromSource
{
    public string? Prefix { get; init; }

    public KeySource? ConfigMapRef { get; init; }

    public KeySource? SecretRef { get; init; }
}

/// <summary>All keys of a ConfigMap or Secret of the pod's namespace.</summary>
public sealed record KeySource
{
    public string Name { get => field ?? ""; init; }

    public bool? Optional { get; init; }
}

public sealed record ContainerPort
{
    public string? Name { get; init; }

    [JsonPropertyName("containerPort")]
    public int Number { get; init; }

    public int? HostPort { get; init; }

    public string? HostIP { get; init; }

    /// <summary>TCP when omitted.</summary>
    public string? Protocol { get; init; }
}

public sealed record ResourceRequirements
{
    public IReadOnlyDictionary<string, Quantity>? Limits { get; init; }

    public IReadOnlyDictionary<string, Quantity>? Requests { get; init; }
}

public sealed record Volume
{
    public string Name { get => field ?? ""; init; }

    public ConfigMapVolume? ConfigMap { get; init; }

    public SecretVolume? Secret { get; init; }

    public HostPathVolume? HostPath { get; init; }

    /// <summary>Kept as sent.</summary>
    public JsonElement? EmptyDir { get; init; }

    /// <summary>Kept as sent.</summary>
    public JsonElement? Projected { get; init; }
}

public sealed record ConfigMapVolume
{
    public string? Name { get; init; }

    public IReadOnlyList<KeyToPath>? Items { get; init; }

    public bool? Optional { get; init; }
}

public sealed record SecretVolume
{
    public string? SecretName { get; init; }

    public IReadOnlyList<KeyToPath>? Items { get; init; }

    public bool? Optional { get; init; }
}

public sealed record KeyToPath
{
    public string Key { get => field ?? ""; init; }

    public string Path { get => field ?? ""; init; }
}

public sealed record HostPathVolume
{
    public string Path { get => field ?? ""; init; }

    public string? Type { get; init; }
}

public sealed record VolumeMount
{
    public string Name { get => field ?? ""; init; }

    public string MountPath { get => field ?? ""; init; }

    public string? SubPath { get; init; }

    public bool? ReadOnly { get; init; }
}

public sealed record Probe
{
    public ExecAction? Exec { get; init; }

    public HttpGetAction? HttpGet { get; init; }

    public TcpSocketAction? TcpSocket { get; init; }

    public GrpcAction? Grpc { get; init; }

    public int? InitialDelaySeconds { get; init; }

    /// <summary>10 when omitted.</summary>
    public int? PeriodSeconds { get; init; }

    /// <summary>1 when omitted.</summary>
    public int? TimeoutSeconds { get; init; }

    /// <summary>1 when omitted.</summary>
    public int? SuccessThreshold { get; init; }

    /// <summary>3 when omitted.</summary>
    public int? FailureThreshold { get; init; }

    public long? TerminationGracePeriodSeconds { get; init; }
}

public sealed record ExecAction
{
    public IReadOnlyList<string>? Command { get; init; }
}

public sealed record HttpGetAction
{
    public string? Host { get; init; }

    public IntOrString Port { get; init; }

    public string? Path { get; init; }

    public string? Scheme { get; init; }

    public IReadOnlyList<HttpHeader>? HttpHeaders { get; init; }
}

public sealed record HttpHeader
{
    public string Name { get => field ?? ""; init; }

    public string Value { get => field ?? ""; init; }
}

public sealed record TcpSocketAction
{
    public string? Host { get; init; }

    public IntOrString Port { get; init; }
}

public sealed record GrpcAction
{
    public int Port { get; init; }

    public string? Service { get; init; }
}

public sealed record Toleration
{
    /// <summary>Null tolerates every key, with operator Exists.</summary>
    public string? Key { get; init; }

    public string? Operator { get; init; }

    public string? Value { get; init; }

    public string? Effect { get; init; }

    public long? TolerationSeconds { get; init; }
}

/// <summary>Kept as sent but for what a small scheduler looks at.</summary>
public sealed record Affinity
{
    public JsonElement? NodeAffinity { get; init; }

    public JsonElement? PodAffinity { get; init; }

    public JsonElement? PodAntiAffinity { get; init; }
}

public sealed record PodStatus
{
    /// <summary>Pending, Running, Succeeded, Failed or Unknown.</summary>
    public string? Phase { get; init; }

    public IReadOnlyList<Condition>? Conditions { get; init; }

    public string? Reason { get; init; }

    public string? Message { get; init; }

    public string? HostIP { get; init; }

    public IReadOnlyList<HostAddress>? HostIPs { get; init; }

    public string? PodIP { get; init; }

    public IReadOnlyList<PodAddress>? PodIPs { get; init; }

    public DateTimeOffset? StartTime { get; init; }

    public IReadOnlyList<ContainerStatus>? InitContainerStatuses { get; init; }

    public IReadOnlyList<ContainerStatus>? ContainerStatuses { get; init; }

    public string? QosClass { get; init; }
}

public sealed record PodAddress
{
    public string Ip { get => field ?? ""; init; }
}

public sealed record HostAddress
{
    public string Ip { get => field ?? ""; init; }
}

public sealed record ContainerStatus
{
    public string Name { get => field ?? ""; init; }

    public ContainerState? State { get; init; }

    public ContainerState? LastState { get; init; }

    public bool Ready { get; init; }

    public int RestartCount { get; init; }

    public string? Image { get; init; }

    public string? ImageID { get; init; }

    public string? ContainerID { get; init; }

    public bool? Started { get; init; }
}

public sealed record ContainerState
{
    public ContainerWaiting? Waiting { get; init; }

    public ContainerRunning? Running { get; init; }

    public ContainerTerminated? Terminated { get; init; }
}

public sealed record ContainerWaiting
{
    public string? Reason { get; init; }

    public string? Message { get; init; }
}

public sealed record ContainerRunning
{
    public DateTimeOffset? StartedAt { get; init; }
}

public sealed record ContainerTerminated
{
    public int ExitCode { get; init; }

    public int? Signal { get; init; }

    public string? Reason { get; init; }

    public string? Message { get; init; }

    public DateTimeOffset? StartedAt { get; init; }

    public DateTimeOffset? FinishedAt { get; init; }

    public string? ContainerID { get; init; }
}
