// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Api;
using Axoneme.DnsProxy;
using Axoneme.Metrics;
using Axoneme.Policy;

namespace Axoneme.Agent.Metrics;

/// <summary>Names, their addresses, and what the DNS proxy did.</summary>
internal sealed class NameMetrics
{
    private readonly Histogram _upstream;

    public NameMetrics(MetricRegistry registry, ApiSources sources)
    {
        _upstream = registry.AddHistogram(
            "proxy_upstream_reply_seconds", "Time that servers took to answer the proxy", Counters.LatencyBounds, "error", "protocol_l7", "scope");
        AddNames(registry, sources);
        AddProxy(registry, sources);
    }

    /// <summary>Notes a question that was answered.</summary>
    public void Note(QueryRecord record)
    {
        if (record.Outcome is QueryOutcome.Answered or QueryOutcome.TimedOut)
            _upstream.With(record.Outcome == QueryOutcome.TimedOut ? "timeout" : "", "dns", "upstreamTime").Observe(record.Latency / 1e6);
    }

    private static void AddNames(MetricRegistry registry, ApiSources sources)
    {
        T Read<T>(Func<PolicyEngine, T> read) => sources.Control.Policies.Read(read);
        registry.AddCallback("fqdn_selectors", "Patterns of names that policies mention", MetricKind.Gauge, [],
            sink => sink(Read(e => e.Names.Patterns.Count)));
        registry.AddCallback("fqdn_gc_deletions_total", "Addresses of names that ended", MetricKind.Counter, [],
            sink => sink(Read(e => e.Names.Expired)));
        registry.AddCallback("fqdn_evictions_total", "Addresses of names that a bound removed before their end", MetricKind.Counter, [],
            sink => sink(Read(e => e.Names.Evicted)));
        PerEndpoint("fqdn_active_names", "Names that the endpoint asked for", entries => entries.Select(e => e.Name).Distinct().Count());
        PerEndpoint("fqdn_active_ips", "Addresses of names that the endpoint asked for", entries => entries.Select(e => e.Address).Distinct().Count());
        PerEndpoint("fqdn_alive_zombie_connections", "Expired addresses kept for connections", entries => entries.Count(e => e.Lease.IsZombie));

        void PerEndpoint(string name, string help, Func<IEnumerable<NameEntry>, int> count) => registry.AddCallback(
            name, help, MetricKind.Gauge, ["endpoint"],
            sink =>
            {
                NameEntry[] entries = Read(engine => engine.Names.Entries.ToArray());
                foreach (IGrouping<ushort, NameEntry> endpoint in entries.SelectMany(e => e.Lease.Endpoints, (e, id) => (Entry: e, Id: id)).GroupBy(p => p.Id, p => p.Entry))
                    sink(count(endpoint), endpoint.Key.ToString());
            },
            isShown: false);
    }

    private static void AddProxy(MetricRegistry registry, ApiSources sources)
    {
        registry.AddCallback("policy_l7_total", "Questions by what became of them", MetricKind.Counter, ["rule", "proxy_type"], sink =>
        {
            if (Totals(sources) is not { } totals)
                return;
            sink(totals.Received, "received", "fqdn");
            sink(totals.Forwarded, "forwarded", "fqdn");
            sink(totals.Denied, "denied", "fqdn");
            sink(totals.ParseErrors, "parse_errors", "fqdn");
        });
        registry.AddCallback("proxy_redirects", "Endpoints whose traffic goes through a proxy", MetricKind.Gauge, ["protocol_l7"],
            sink => sink(sources.Running?.Names?.Link.EndpointCount ?? 0, "dns"));
        Add("proxy_datapath_update_timeout_total", "Answers released before their addresses were in the maps", t => t.UpdateTimeouts, isShown: false);
        Add("fqdn_semaphore_rejected_total", "Questions refused because too many were under way", t => t.Overloaded, isShown: false);
        Add("fqdn_proxy_written_addresses_total", "Addresses that the proxy put into the ipcache while the agent was away", t => t.WrittenAddresses);
        Add("fqdn_proxy_unexpected_answers_total", "Answers that fitted no question", t => t.UnexpectedAnswers);
        Add("fqdn_proxy_evicted_names_total", "Names that the proxy forgot because of a bound", t => t.EvictedNames);
        Add("fqdn_proxy_evicted_addresses_total", "Addresses that the proxy forgot because their name had too many", t => t.EvictedAddresses);
        Add("fqdn_proxy_names", "Names that the proxy remembers, of each endpoint", t => t.Names, MetricKind.Gauge);
        Add("fqdn_proxy_name_bytes", "Memory that these names take, as estimated", t => t.NameBytes, MetricKind.Gauge);

        void Add(string name, string help, Func<Counters, long> read, MetricKind kind = MetricKind.Counter, bool isShown = true) => registry.AddCallback(
            name, help, kind, [],
            sink =>
            {
                if (Totals(sources) is { } totals)
                    sink(read(totals));
            },
            isShown);
    }

    private static Counters? Totals(ApiSources sources) => sources.Running?.Names?.Link.Counters;
}
