// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.EmbeddedApi.Objects;

internal enum UnknownFields
{
    Ignore,
    Warn,
    Refuse,
}

/// <summary>Who writes, and how.</summary>
internal sealed record WriteContext
{
    /// <summary>Writes of this process: trusted with a status at creation, and not tracked in managedFields.</summary>
    public static readonly WriteContext Internal = new();

    /// <summary>Field manager; null does not track.</summary>
    public string? Manager { get; init; }

    public string? Subresource { get; init; }

    public bool DryRun { get; init; }

    public UnknownFields UnknownFields { get; init; } = UnknownFields.Ignore;

    /// <summary>Receives warnings for the client; null drops them.</summary>
    public List<string>? Warnings { get; init; }

    /// <summary>The change computes managedFields itself (server-side apply).</summary>
    public bool OwnsManagedFields { get; init; }

    public bool IsInternal => ReferenceEquals(this, Internal) || Manager is null;
}

internal enum Propagation
{
    Background,
    Foreground,
    Orphan,
}

internal sealed record DeleteRequest
{
    public int? GraceSeconds { get; init; }

    public Propagation Propagation { get; init; } = Propagation.Background;

    /// <summary>The client named the propagation; otherwise finalizers stay as they are.</summary>
    public bool HasPropagation { get; init; }

    public string? Uid { get; init; }

    public string? ResourceVersion { get; init; }

    public bool DryRun { get; init; }
}

/// <summary>Taken resources (addresses, ports) that go back unless the write succeeds.</summary>
internal sealed class Reservations
{
    private readonly List<Action> _undo = [];
    private readonly List<Action> _done = [];

    public void OnFailure(Action undo) => _undo.Add(undo);

    public void OnSuccess(Action done) => _done.Add(done);

    public void Complete(bool success)
    {
        foreach (Action action in success ? _done : _undo)
            action();
    }
}
