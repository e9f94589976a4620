// SPDX-License-Identifier: Apache-2.0
using Axoneme.Hubble.Api;

namespace Axoneme.Hubble.Filters;

/// <summary>
/// A request's filters, compiled: a flow passes when it matches one of the allowed filters (none = all) and none of the denied ones.
/// Inside a filter every field that is set must match; the values of one field are alternatives.
/// </summary>
public sealed class FlowFilters
{
    private readonly Predicate<Flow>[] _allow;
    private readonly Predicate<Flow>[] _deny;

    private FlowFilters(Predicate<Flow>[] allow, Predicate<Flow>[] deny)
    {
        _allow = allow;
        _deny = deny;
    }

    public static FlowFilters All { get; } = new([], []);

    /// <exception cref="FormatException">A filter is not valid; the message names the field and the value.</exception>
    public static FlowFilters Compile(IEnumerable<FlowFilter> allow, IEnumerable<FlowFilter> deny)
        => new([.. allow.Select(Compile)], [.. deny.Select(Compile)]);

    public bool Matches(Flow flow)
    {
        bool isAllowed = _allow.Length == 0;
        for (int i = 0; i < _allow.Length && !isAllowed; i++)
            isAllowed = _allow[i](flow);
        if (!isAllowed)
            return false;
        foreach (Predicate<Flow> deny in _deny)
        {
            if (deny(flow))
                return false;
        }

        return true;
    }

    private static Predicate<Flow> Compile(FlowFilter filter)
    {
        var fields = new List<Predicate<Flow>>();
        AddIdentity(fields, filter);
        AddEndpoints(fields, filter);
        AddNetwork(fields, filter);
        AddHttp(fields, filter);
        if (filter.Experimental?.CelExpression.Count > 0)
            throw new FormatException("invalid cel_expression filter: CEL expressions are not supported by this server");
        return flow => fields.TrueForAll(f => f(flow));
    }

    private static void AddIdentity(List<Predicate<Flow>> fields, FlowFilter filter)
    {
        Any(fields, filter.Uuid, static (flow, uuid) => flow.Uuid == uuid);
        Any(fields, filter.EventType, static (flow, type) => flow.EventType is { } actual
            && (type.Type == 0 || type.Type == actual.Type) && (!type.MatchSubType || type.SubType == actual.SubType));
        Any(fields, filter.Verdict, static (flow, verdict) => flow.Verdict == verdict);
        Any(fields, filter.DropReasonDesc, static (flow, reason) => flow.Verdict == Verdict.Dropped && flow.DropReasonDesc == reason);
        Any(fields, filter.TrafficDirection, static (flow, direction) => flow.TrafficDirection == direction);
        // Drops do not know whether they hit a reply; clients that leave replies out still want to see them.
        Any(fields, filter.Reply, static (flow, reply)
            => flow.IsReply is { } isReply ? isReply == reply : flow.Verdict == Verdict.Dropped && !reply);
        Any(fields, filter.TraceId, static (flow, id) => flow.TraceContext?.Parent?.TraceId == id);
        Any(fields, filter.IpTraceId, static (flow, id) => flow.IpTraceId?.TraceId == id);
        Any(fields, filter.Interface, static (flow, wanted) => flow.Interface is { } device
            && (wanted.Index == 0 || wanted.Index == device.Index) && (wanted.Name.Length == 0 || wanted.Name == device.Name));
        Any(fields, filter.NodeName.Select(Patterns.NodeName).ToList(), static (flow, pattern) => pattern.IsMatch(
            flow.NodeName.Contains('/', StringComparison.Ordinal) ? flow.NodeName : $"default/{flow.NodeName}"));
        Any(fields, filter.NodeLabels.Select(LabelSelector.Parse).ToList(), static (flow, selector) => selector.Matches(flow.NodeLabels));
    }

    private static void AddEndpoints(List<Predicate<Flow>> fields, FlowFilter filter)
    {
        Any(fields, Names(filter.SourcePod, "source_pod"), static (flow, pod) => pod.Matches(flow.Source?.Namespace, flow.Source?.PodName));
        Any(fields, Names(filter.DestinationPod, "destination_pod"),
            static (flow, pod) => pod.Matches(flow.Destination?.Namespace, flow.Destination?.PodName));
        Any(fields, Names(filter.SourceService, "source_service"),
            static (flow, service) => service.Matches(flow.SourceService?.Namespace, flow.SourceService?.Name));
        Any(fields, Names(filter.DestinationService, "destination_service"),
            static (flow, service) => service.Matches(flow.DestinationService?.Namespace, flow.DestinationService?.Name));
        Any(fields, filter.SourceWorkload, static (flow, wanted) => HasWorkload(flow.Source, wanted));
        Any(fields, filter.DestinationWorkload, static (flow, wanted) => HasWorkload(flow.Destination, wanted));
        Any(fields, filter.SourceFqdn.Select(Patterns.Fqdn).ToList(), static (flow, name) => flow.SourceNames.Any(name.IsMatch));
        Any(fields, filter.DestinationFqdn.Select(Patterns.Fqdn).ToList(), static (flow, name) => flow.DestinationNames.Any(name.IsMatch));
        Any(fields, filter.SourceLabel.Select(LabelSelector.Parse).ToList(),
            static (flow, selector) => selector.Matches(flow.Source?.Labels ?? []));
        Any(fields, filter.DestinationLabel.Select(LabelSelector.Parse).ToList(),
            static (flow, selector) => selector.Matches(flow.Destination?.Labels ?? []));
        Any(fields, filter.SourceIdentity, static (flow, identity) => flow.Source?.Identity == identity);
        Any(fields, filter.DestinationIdentity, static (flow, identity) => flow.Destination?.Identity == identity);
        Any(fields, Clusters(filter.SourceClusterName, "source_cluster_name"), static (flow, name) => flow.Source?.ClusterName == name);
        Any(fields, Clusters(filter.DestinationClusterName, "destination_cluster_name"), static (flow, name) => flow.Destination?.ClusterName == name);
    }

    private static void AddNetwork(List<Predicate<Flow>> fields, FlowFilter filter)
    {
        Any(fields, filter.SourceIp.Select(AddressMatch.Parse).ToList(), static (flow, address) => address.Matches(flow.IP?.Source));
        Any(fields, filter.DestinationIp.Select(AddressMatch.Parse).ToList(), static (flow, address) => address.Matches(flow.IP?.Destination));
        Any(fields, filter.SourceIpXlated.Select(AddressMatch.Parse).ToList(), static (flow, address) => address.Matches(flow.IP?.SourceXlated));
        Any(fields, filter.SourcePort.Select(Patterns.Port).ToList(), static (flow, port) => Transport.Ports(flow.L4)?.Source == port);
        Any(fields, filter.DestinationPort.Select(Patterns.Port).ToList(), static (flow, port) => Transport.Ports(flow.L4)?.Destination == port);
        Any(fields, filter.IpVersion, static (flow, version) => (flow.IP?.IpVersion ?? IPVersion.IpNotUsed) == version);
        Any(fields, filter.Encrypted, static (flow, encrypted) => (flow.IP?.Encrypted ?? false) == encrypted);
        Any(fields, filter.Protocol.Select(Transport.ProtocolMatch).ToList(), static (flow, protocol) => protocol(flow));
        Any(fields, filter.TcpFlags, static (flow, flags) => flow.L4?.TCP?.Flags is { } actual && Transport.HasAll(actual, flags));
    }

    private static void AddHttp(List<Predicate<Flow>> fields, FlowFilter filter)
    {
        bool isHttp = filter.HttpStatusCode.Count + filter.HttpMethod.Count + filter.HttpPath.Count + filter.HttpUrl.Count + filter.HttpHeader.Count > 0;
        if (isHttp && filter.EventType.Count > 0 && filter.EventType.All(t => t.Type != (int)MonitorEvent.AccessLog))
            throw new FormatException("http filters need the event type l7 (129), or none");
        Any(fields, filter.HttpStatusCode.Select(Patterns.HttpStatus).ToList(),
            static (flow, code) => flow.L7?.Http is { Code: > 0 } http && code(http.Code));
        Any(fields, filter.HttpMethod, static (flow, method)
            => flow.L7?.Http is { } http && string.Equals(http.Method, method, StringComparison.OrdinalIgnoreCase));
        Any(fields, filter.HttpPath.Select(p => Patterns.Expression(p, "http_path")).ToList(),
            static (flow, path) => flow.L7?.Http is { } http && path.IsMatch(Patterns.PathOf(http.Url)));
        Any(fields, filter.HttpUrl.Select(p => Patterns.Expression(p, "http_url")).ToList(),
            static (flow, url) => flow.L7?.Http is { } http && url.IsMatch(http.Url));
        Any(fields, filter.HttpHeader, static (flow, header)
            => flow.L7?.Http is { } http && http.Headers.Any(h => h.Key == header.Key && h.Value == header.Value));
        Any(fields, filter.DnsQuery.Select(p => Patterns.Expression(p, "dns_query")).ToList(),
            static (flow, query) => flow.L7?.Dns is { } dns && query.IsMatch(dns.Query));
    }

    private static void Any<T>(List<Predicate<Flow>> fields, IReadOnlyList<T> values, Func<Flow, T, bool> matches)
    {
        if (values.Count == 0)
            return;
        fields.Add(flow =>
        {
            for (int i = 0; i < values.Count; i++)
            {
                if (matches(flow, values[i]))
                    return true;
            }

            return false;
        });
    }

    private static bool HasWorkload(Endpoint? side, Workload wanted)
        => side is not null && side.Workloads.Any(w
            => (wanted.Name.Length == 0 || wanted.Name == w.Name) && (wanted.Kind.Length == 0 || wanted.Kind == w.Kind));

    private static List<NameMatch> Names(IEnumerable<string> values, string field) => [.. values.Select(v => NameMatch.Parse(v, field))];

    private static List<string> Clusters(IEnumerable<string> values, string field)
        => [.. values.Select(v => v.Length > 0 ? v : throw new FormatException($"invalid {field} filter: the name is empty"))];
}
