// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Policy;

/// <summary>Bounds and lifetimes of learned names.</summary>
public sealed record FqdnOptions
{
    /// <summary>An address is kept for at least that long after an answer (<c>tofqdns-min-ttl</c>).</summary>
    public TimeSpan MinimalTtl { get; init; } = TimeSpan.Zero;

    /// <summary>An address without connections is kept that long after its end (<c>tofqdns-idle-connection-grace-period</c>).</summary>
    public TimeSpan IdleGrace { get; init; } = TimeSpan.Zero;

    /// <summary>Addresses of one name; those that end first give way (<c>tofqdns-endpoint-max-ip-per-hostname</c>).</summary>
    public int MaximalAddressesPerName { get; init; } = 1000;

    /// <summary>Expired addresses kept for their connections (<c>tofqdns-max-deferred-connection-deletes</c>).</summary>
    public int MaximalZombies { get; init; } = 10_000;

    /// <summary>All pairs of name and address; about 400 bytes each. Names that no rule mentions give way first.</summary>
    public int MaximalLeases { get; init; } = 100_000;

    /// <summary>Identities are ready before the first answer (<c>tofqdns-preallocate-identities</c>).</summary>
    public bool Preallocate { get; init; } = true;
}
