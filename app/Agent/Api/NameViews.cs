// SPDX-License-Identifier: Apache-2.0
using Axoneme.AgentApi;
using Axoneme.Dns;
using Axoneme.DnsProxy;
using Axoneme.Network;
using Axoneme.Policy;

namespace Axoneme.Agent.Api;

/// <summary>Names that the DNS proxy learned, and the patterns of policies that select them.</summary>
internal sealed class NameViews(ApiSources sources)
{
    /// <param name="endpoint">Who asked; null: anybody.</param>
    /// <param name="matchPattern">Names; null or empty: all.</param>
    /// <param name="cidr">Block of addresses; null or empty: all.</param>
    /// <param name="source">lookup or connection; null or empty: both.</param>
    public IReadOnlyList<NameLookup> Cache(string? endpoint, string? matchPattern, string? cidr, string? source)
    {
        DnsPattern? pattern = PatternOf(matchPattern);
        IpPrefix? prefix = null;
        if (!string.IsNullOrEmpty(cidr))
        {
            prefix = IpPrefix.TryParse(cidr, out IpPrefix parsed, allowBareAddress: true)
                ? parsed : throw ApiException.BadRequest($"cidr: '{cidr}' is not an address block");
        }

        if (source is not (null or "" or "lookup" or "connection"))
            throw ApiException.BadRequest($"source: '{source}' is not one of lookup, connection");
        ushort id = 0;
        if (endpoint is not null && (!ushort.TryParse(endpoint, out id) || sources.Running?.Endpoints.Endpoints.Snapshot().Find(id) is null))
            throw ApiException.NotFound($"there is no endpoint {endpoint}");
        NameEntry[] entries = sources.Control.Policies.Read(engine => engine.Names.Entries.ToArray());
        return
        [
            .. entries.Where(e => (pattern?.Matches(e.Name) ?? true) && (prefix?.Contains(e.Address) ?? true)
                    && (string.IsNullOrEmpty(source) || source == SourceOf(e)))
                .SelectMany(e => e.Lease.Endpoints.DefaultIfEmpty(), (e, who) => (Entry: e, Who: who))
                .Where(p => endpoint is null || p.Who == id)
                .GroupBy(p => (p.Who, p.Entry.Name, p.Entry.Lease.LookedUp, p.Entry.Lease.Expires, Source: SourceOf(p.Entry)))
                .OrderBy(g => g.Key.Who).ThenBy(g => g.Key.Name, StringComparer.Ordinal).ThenBy(g => g.Key.Expires)
                .Select(g => Model(g.Key.Who, [.. g.Select(p => p.Entry)])),
        ];
    }

    public NamePolicies Selectors() => sources.Control.Policies.Read(engine => new NamePolicies
    {
        Selectors =
        [
            .. engine.Names.Patterns.Order().Select(p => new NameSelector(
                p.Text,
                [.. engine.Names.AddressesOf(p).Select(a => a.ToString())],
                [.. engine.NameIdentities.Where(i => i.Value.Contains(FqdnSelector.LabelSource, p.Text)).Select(i => i.Key.Value).Order()])),
        ],
    });

    /// <summary>Forgets names here and at the proxy.</summary>
    public async Task CleanAsync(string? matchPattern, CancellationToken cancellation)
    {
        DnsPattern? pattern = PatternOf(matchPattern);
        if (sources.Running?.Names is { } names)
            await names.Link.ForgetAsync(new Forget(pattern ?? DnsPattern.Everything), cancellation);
        await sources.Control.Policies.ChangeAsync(engine => engine.Names.Forget(pattern)).WaitAsync(cancellation);
    }

    private static DnsPattern? PatternOf(string? text)
    {
        if (string.IsNullOrEmpty(text))
            return null;
        return DnsPattern.TryParsePattern(text, out DnsPattern pattern, out string problem)
            ? pattern : throw ApiException.BadRequest($"matchpattern: '{text}' {problem}");
    }

    private static string SourceOf(NameEntry entry) => entry.Lease.IsZombie ? "connection" : "lookup";

    private static NameLookup Model(ushort endpoint, NameEntry[] entries) => new()
    {
        EndpointId = endpoint,
        Fqdn = entries[0].Name + ".",
        Ips = [.. entries.Select(e => e.Address).Order().Select(a => a.ToString())],
        Ttl = (long)entries[0].Lease.Ttl.TotalSeconds,
        LookupTime = entries[0].Lease.LookedUp,
        ExpirationTime = entries[0].Lease.Expires,
        Source = SourceOf(entries[0]),
    };
}
