// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Serialization;

namespace Axoneme.Kubernetes.Resources;

public sealed record PodTemplateSpec
{
    public ObjectMeta Metadata { get => field ?? new(); init; }

    public PodSpec Spec { get => field ?? new(); init; }
}

public sealed record Deployment : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.Deployments;

    public DeploymentSpec Spec { get => field ?? new(); init; }

    public DeploymentStatus? Status { get; init; }
}

public sealed record DeploymentSpec
{
    /// <summary>1 when omitted.</summary>
    public int? Replicas { get; init; }

    public LabelSelector? Selector { get; init; }

    public PodTemplateSpec Template { get => field ?? new(); init; }

    public DeploymentStrategy? Strategy { get; init; }

    public int? MinReadySeconds { get; init; }

    public int? RevisionHistoryLimit { get; init; }

    public bool? Paused { get; init; }

    public int? ProgressDeadlineSeconds { get; init; }
}

public sealed record DeploymentStrategy
{
    /// <summary>RollingUpdate (when omitted) or Recreate.</summary>
    public string? Type { get; init; }

    public RollingUpdate? RollingUpdate { get; init; }
}

public sealed record RollingUpdate
{
    public IntOrString? MaxSurge { get; init; }

    public IntOrString? MaxUnavailable { get; init; }

    public IntOrString? Partition { get; init; }
}

public sealed record DeploymentStatus
{
    public long? ObservedGeneration { get; init; }

    public int? Replicas { get; init; }

    public int? UpdatedReplicas { get; init; }

    public int? ReadyReplicas { get; init; }

    public int? AvailableReplicas { get; init; }

    public int? UnavailableReplicas { get; init; }

    public IReadOnlyList<Condition>? Conditions { get; init; }
}

public sealed record ReplicaSet : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.ReplicaSets;

    public ReplicaSetSpec Spec { get => field ?? new(); init; }

    public ReplicaSetStatus? Status { get; init; }
}

public sealed record ReplicaSetSpec
{
    /// <summary>1 when omitted.</summary>
    public int? Replicas { get; init; }

    public int? MinReadySeconds { get; init; }

    public LabelSelector? Selector { get; init; }

    public PodTemplateSpec Template { get => field ?? new(); init; }
}

public sealed record ReplicaSetStatus
{
    public long? ObservedGeneration { get; init; }

    public int Replicas { get; init; }

    public int? FullyLabeledReplicas { get; init; }

    public int? ReadyReplicas { get; init; }

    public int? AvailableReplicas { get; init; }

    public IReadOnlyList<Condition>? Conditions { get; init; }
}

public sealed record DaemonSet : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.DaemonSets;

    public DaemonSetSpec Spec { get => field ?? new(); init; }

    public DaemonSetStatus? Status { get; init; }
}

public sealed record DaemonSetSpec
{
    public LabelSelector? Selector { get; init; }

    public PodTemplateSpec Template { get => field ?? new(); init; }

    public DeploymentStrategy? UpdateStrategy { get; init; }

    public int? MinReadySeconds { get; init; }
}

public sealed record DaemonSetStatus
{
    public long? ObservedGeneration { get; init; }

    public int CurrentNumberScheduled { get; init; }

    public int NumberMisscheduled { get; init; }

    public int DesiredNumberScheduled { get; init; }

    public int NumberReady { get; init; }

    public int? UpdatedNumberScheduled { get; init; }

    public int? NumberAvailable { get; init; }

    public int? NumberUnavailable { get; init; }

    public IReadOnlyList<Condition>? Conditions { get; init; }
}
