// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;

namespace Axoneme.Hubble;

/// <summary>What was behind a verdict of policy.</summary>
public enum AttributionKind : byte
{
    /// <summary>The named rules said so.</summary>
    Rules,

    /// <summary>No rule matched; the named policies select the endpoint, and so close the direction for what they do not allow.</summary>
    DefaultDeny,
}

/// <summary>Who decided about a packet. Shared by all flows that were decided alike.</summary>
/// <param name="Kind">How the policies are involved.</param>
/// <param name="Policies">May be empty for a default deny that no policy asked for, such as of the mode that always enforces.</param>
public sealed record FlowAttribution(AttributionKind Kind, ImmutableArray<FlowPolicy> Policies)
{
    /// <summary>Texts that the rules want in the log of their verdicts.</summary>
    public ImmutableArray<string> Logs { get; init; } = [];
}

/// <summary>A policy that decided; <see cref="Kind"/> as in its manifest.</summary>
public sealed record FlowPolicy(string Kind, string Namespace, string Name, ulong Revision)
{
    public ImmutableArray<string> Labels { get; init; } = [];

    /// <summary>Fields of the object that hold the rules, such as <c>spec.ingress[0]</c>.</summary>
    public ImmutableArray<string> Rules { get; init; } = [];

    public override string ToString() => Namespace.Length > 0 ? $"{Kind} {Namespace}/{Name}" : $"{Kind} {Name}";
}
