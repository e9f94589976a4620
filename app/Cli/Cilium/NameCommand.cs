// SPDX-License-Identifier: Apache-2.0
using Axoneme.AgentApi;

namespace Axoneme.Cli.Cilium;

/// <summary><c>cilium fqdn</c>: names that pods asked for, and the patterns of policies that select their addresses.</summary>
internal sealed class NameCommand(TextWriter output)
{
    private const string Usage = "cilium fqdn cache list|clean [-p PATTERN] [-c CIDR] [-e ENDPOINT] [-s SOURCE], or cilium fqdn names";

    private string? _pattern;
    private string? _cidr;
    private string? _endpoint;
    private string? _source;

    public async Task<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        var flags = new AgentFlags(Usage);
        flags.Set.Value("matchpattern", v => _pattern = v, "PATTERN", "names that match, such as *.example.com", 'p')
            .Value("cidr", v => _cidr = v, "CIDR", "addresses within the block", 'c')
            .Value("endpoint", v => _endpoint = v, "ID", "what this endpoint asked for", 'e')
            .Value("source", v => _source = v, "SOURCE", "lookup, or connection (expired and kept for connections)", 's')
            .Switch("force", _ => { }, "kept for scripts: clean never asks", 'f');
        if (flags.Parse(arguments, output) is not { } rest)
            return 0;
        using AgentClient agent = flags.Connect();
        switch (rest)
        {
            case ["cache", "list"]:
                PrintCache(Select(await agent.GetNameCacheAsync(_pattern, _cidr, cancellation).ConfigureAwait(false)), flags);
                return 0;
            case ["cache", "clean"]:
                await agent.CleanNameCacheAsync(_pattern, cancellation).ConfigureAwait(false);
                await output.WriteLineAsync("FQDN proxy cache cleared").ConfigureAwait(false);
                return 0;
            case ["names"]:
                flags.WriteStructured(output, await agent.GetNamePoliciesAsync(cancellation).ConfigureAwait(false), AgentJson.Default.NamePolicies);
                return 0;
            default:
                throw new UserErrorException($"usage: {Usage}");
        }
    }

    internal void PrintCache(IReadOnlyList<NameLookup> lookups, AgentFlags flags)
    {
        if (flags.IsStructured)
        {
            flags.WriteStructured(output, lookups, AgentJson.Default.IReadOnlyListNameLookup);
            return;
        }

        TabWriter table = new TabWriter(output).Row("Endpoint", "Source", "FQDN", "TTL", "ExpirationTime", "IPs");
        foreach (NameLookup lookup in lookups)
        {
            table.Row(
                $"{lookup.EndpointId}", lookup.Source, lookup.Fqdn, $"{lookup.Ttl}",
                lookup.ExpirationTime.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss'Z'"), string.Join(',', lookup.Ips));
        }

        table.Flush();
    }

    private NameLookup[] Select(IReadOnlyList<NameLookup> lookups)
        => [.. lookups.Where(l => (_endpoint is null || l.EndpointId.ToString() == _endpoint) && (_source is null || l.Source == _source))];
}
