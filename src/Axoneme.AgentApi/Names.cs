// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.AgentApi;

/// <summary>GET /fqdn/cache: addresses of a name as an endpoint learned them.</summary>
public sealed record NameLookup
{
    public required long EndpointId { get; init; }

    /// <summary>With the final dot.</summary>
    public required string Fqdn { get; init; }

    public required IReadOnlyList<string> Ips { get; init; }

    /// <summary>Seconds.</summary>
    public required long Ttl { get; init; }

    public required DateTimeOffset LookupTime { get; init; }

    public required DateTimeOffset ExpirationTime { get; init; }

    /// <summary><c>lookup</c>, or <c>connection</c> for what has expired and is kept for its connections.</summary>
    public required string Source { get; init; }
}

/// <summary>GET /fqdn/names: the patterns that policies mention, with the addresses that they select.</summary>
public sealed record NamePolicies
{
    [System.Text.Json.Serialization.JsonPropertyName("DNSPollNames")]
    public IReadOnlyList<string> PollNames { get; init; } = [];

    [System.Text.Json.Serialization.JsonPropertyName("FQDNPolicySelectors")]
    public required IReadOnlyList<NameSelector> Selectors { get; init; }
}

/// <param name="SelectorString">The pattern.</param>
/// <param name="Ips">Its addresses.</param>
/// <param name="Identities">What stands for them on this node.</param>
public sealed record NameSelector(
    [property: System.Text.Json.Serialization.JsonPropertyName("selectorString")] string SelectorString,
    IReadOnlyList<string> Ips,
    IReadOnlyList<uint> Identities);
