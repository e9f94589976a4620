// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Text.Json.Nodes;

namespace Axoneme.Policy.Explain;

/// <summary>For whom policies are suggested, and in which form.</summary>
public sealed record SuggestionOptions
{
    public required string Namespace { get; init; }

    /// <summary>Name of a workload or application of the namespace; empty for all.</summary>
    public string Workload { get; init; } = "";

    /// <summary>NetworkPolicies, which know neither names nor nodes, instead of CiliumNetworkPolicies.</summary>
    public bool Kubernetes { get; init; }

    /// <summary>What policy denied is allowed, too.</summary>
    public bool IncludeDenied { get; init; }
}

/// <summary>Policies that allow what was recorded and nothing else.</summary>
/// <param name="Policies">Ready to be applied, with comments.</param>
/// <param name="LeftOut">Recorded connections that the form cannot express, and why.</param>
/// <param name="Refused">Recorded connections that the policies do not allow: there should be none.</param>
/// <param name="Used">Recorded connections that the policies are made of.</param>
public sealed record Suggestion(
    ImmutableArray<JsonObject> Policies, ImmutableArray<string> LeftOut, ImmutableArray<string> Refused, int Used);
