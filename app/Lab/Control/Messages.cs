// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Serialization;

namespace Axoneme.Lab.Control;

/// <summary>What a <c>lab</c> command asks the supervisor: one line of JSON, then lines of <see cref="ControlReply"/> until one is last.</summary>
internal sealed record ControlRequest(string Verb, params string[] Arguments);

internal sealed record ControlReply
{
    /// <summary>A step of the start: one line for the user.</summary>
    public string? Progress { get; init; }

    public string? Error { get; init; }

    public LabStatus? Status { get; init; }

    public PodLocation? Location { get; init; }

    public bool IsLast { get; init; }
}

internal sealed record PodLocation(int Process, string Cgroup);

internal sealed record LabStatus
{
    public bool Ready { get; init; }

    public string Kubeconfig { get; init; } = "";

    public string Server { get; init; } = "";

    public IReadOnlyList<NodeRow> Nodes { get; init; } = [];

    public IReadOnlyList<PodRow> Pods { get; init; } = [];

    public IReadOnlyList<ServiceRow> Services { get; init; } = [];
}

internal sealed record NodeRow(string Name, string Status, string Addresses, string PodCidrs, string Agent);

internal sealed record PodRow(string Namespace, string Name, string Ready, string Status, int Restarts, string Addresses, string Node);

internal sealed record ServiceRow(string Namespace, string Name, string Type, string Addresses, string Ports, int Backends);

[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ControlRequest))]
[JsonSerializable(typeof(ControlReply))]
internal sealed partial class ControlJson : JsonSerializerContext;
