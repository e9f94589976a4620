// SPDX-License-Identifier: Apache-2.0
using Axoneme.Hubble;
using Axoneme.Hubble.Api;
using Axoneme.Network;
using Google.Protobuf;

namespace Axoneme.Cli.Hubble;

/// <summary>The filter flags of <c>hubble observe</c>, gathered into the filters of a request.</summary>
internal sealed class FilterFlags
{
    private readonly FilterPair _allow = new();
    private readonly FilterPair _deny = new();
    private readonly List<FlowFilter> _moreAllowed = [];
    private readonly List<FlowFilter> _moreDenied = [];
    private bool _isNot;

    public void AddTo(FlagSet flags)
    {
        flags.Switch("not", _ => _isNot = _isNot
            ? throw new UserErrorException("invalid --not combination") : true, "turn the next filter round");
        AddEndpoints(flags);
        AddNetwork(flags);
        AddKinds(flags);
        flags.Value("allowlist", text => _moreAllowed.AddRange(ParseJson("allowlist", text)), "FILTERS", "flow filters as JSON, to allow")
            .Value("denylist", text => _moreDenied.AddRange(ParseJson("denylist", text)), "FILTERS", "flow filters as JSON, to deny");
    }

    /// <exception cref="UserErrorException">A trailing --not, or filters that contradict each other.</exception>
    public (List<FlowFilter> Allow, List<FlowFilter> Deny) Build()
    {
        if (_isNot)
            throw new UserErrorException("trailing --not found in the arguments");
        return ([.. _allow.Build(), .. _moreAllowed], [.. _deny.Build(), .. _moreDenied]);
    }

    private void AddEndpoints(FlagSet flags)
    {
        Sides(flags, "pod", "[NAMESPACE/]NAME", "pods whose name begins so", (f, v) => f.SourcePod.Add(v), (f, v) => f.DestinationPod.Add(v));
        Sides(flags, "service", "[NAMESPACE/]NAME", "services whose name begins so", (f, v) => f.SourceService.Add(v), (f, v) => f.DestinationService.Add(v));
        Sides(flags, "fqdn", "NAME", "DNS names; * stands for any part", (f, v) => f.SourceFqdn.Add(v), (f, v) => f.DestinationFqdn.Add(v));
        Sides(flags, "ip", "ADDRESS|CIDR", "addresses", (f, v) => f.SourceIp.Add(v), (f, v) => f.DestinationIp.Add(v));
        Sides(flags, "port", "PORT", "ports", (f, v) => f.SourcePort.Add(v), (f, v) => f.DestinationPort.Add(v));
        Sides(flags, "label", "SELECTOR", "labels, as a Kubernetes selector", (f, v) => f.SourceLabel.Add(v), (f, v) => f.DestinationLabel.Add(v), 'l');
        Sides(flags, "identity", "IDENTITY", "identities by number or reserved name",
            (f, v) => f.SourceIdentity.Add(ParseIdentity(v)), (f, v) => f.DestinationIdentity.Add(ParseIdentity(v)));
        Sides(flags, "workload", "[KIND/]NAME", "workloads",
            (f, v) => f.SourceWorkload.Add(ParseWorkload(v)), (f, v) => f.DestinationWorkload.Add(ParseWorkload(v)));
        Sides(flags, "cluster", "NAME", "clusters", (f, v) => f.SourceClusterName.Add(v), (f, v) => f.DestinationClusterName.Add(v));
        Namespaces(flags, "", n => (n.AnySide, "any"), 'n', 'A');
        Namespaces(flags, "from-", n => (n.SourceSide, "from"), null, null);
        Namespaces(flags, "to-", n => (n.DestinationSide, "to"), null, null);
    }

    private void AddNetwork(FlagSet flags)
    {
        Both(flags, "snat-ip", "ADDRESS|CIDR", "source address after translation", (f, v) => f.SourceIpXlated.Add(v));
        Both(flags, "protocol", "NAME", "icmp, icmpv4, icmpv6, tcp, udp, sctp, vrrp, igmp, dns, http, kafka", (f, v) => f.Protocol.Add(v));
        Both(flags, "tcp-flags", "FLAGS", "TCP flags that are all set, with commas", (f, v) => f.TcpFlags.Add(ParseTcpFlags(v)));
        Both(flags, "ip-version", "4|6", "IP version", (f, v) => f.IpVersion.Add(ParseIpVersion(v)));
        BothSwitch(flags, "ipv4", "only IPv4", f => f.IpVersion.Add(IPVersion.Ipv4), '4');
        BothSwitch(flags, "ipv6", "only IPv6", f => f.IpVersion.Add(IPVersion.Ipv6), '6');
        BothSwitch(flags, "encrypted", "only encrypted traffic", f => f.Encrypted.Add(true));
        BothSwitch(flags, "unencrypted", "only traffic that is not encrypted", f => f.Encrypted.Add(false));
        Both(flags, "interface", "NAME", "network device", (f, v) => f.Interface.Add(new NetworkInterface { Name = v }));
        Both(flags, "traffic-direction", "ingress|egress", "direction of the connection", (f, v) => f.TrafficDirection.Add(v.ToLowerInvariant() switch
        {
            "ingress" => TrafficDirection.Ingress,
            "egress" => TrafficDirection.Egress,
            _ => throw new UserErrorException($"{v}: invalid traffic direction, expected ingress or egress"),
        }));
    }

    private void AddKinds(FlagSet flags)
    {
        Both(flags, "uuid", "UUID", "one flow", (f, v) => f.Uuid.Add(v));
        Both(flags, "verdict", "VERDICT", "FORWARDED, DROPPED, AUDIT, REDIRECTED, ERROR, TRACED, TRANSLATED",
            (f, v) => f.Verdict.Add(ProtoName.TryParse(v, out Verdict verdict) ? verdict : throw new UserErrorException($"invalid --verdict value: {v}")));
        Both(flags, "drop-reason-desc", "REASON", "reason of a drop, such as POLICY_DENIED", (f, v) => f.DropReasonDesc.Add(
            ProtoName.TryParse(v, out DropReason reason) ? reason : throw new UserErrorException($"invalid --drop-reason-desc value: {v}")));
        Both(flags, "type", "TYPE[:SUBTYPE]", "capture, drop, l7, policy-verdict, trace, trace-sock", (f, v) => f.EventType.Add(EventTypes.Parse(v)), 't');
        Both(flags, "node-name", "[CLUSTER/]NODE", "nodes; * stands for any part", (f, v) => f.NodeName.Add(v));
        Both(flags, "node-label", "SELECTOR", "labels of nodes", (f, v) => f.NodeLabels.Add(v));
        Both(flags, "http-status", "CODE", "such as 404, 40+, 4+", (f, v) => f.HttpStatusCode.Add(v));
        Both(flags, "http-method", "METHOD", "HTTP method", (f, v) => f.HttpMethod.Add(v));
        Both(flags, "http-path", "REGEX", "HTTP path", (f, v) => f.HttpPath.Add(v));
        Both(flags, "http-url", "REGEX", "HTTP URL", (f, v) => f.HttpUrl.Add(v));
        Both(flags, "http-header", "KEY:VALUE", "HTTP header", (f, v) => f.HttpHeader.Add(ParseHeader(v)));
        Both(flags, "trace-id", "ID", "trace id of an HTTP request", (f, v) => f.TraceId.Add(v));
        Both(flags, "ip-trace-id", "NUMBER", "trace id in the IP options", (f, v) => f.IpTraceId.Add(
            ulong.TryParse(v, out ulong id) && id > 0 ? id : throw new UserErrorException($"invalid --ip-trace-id value: {v}")));
        Both(flags, "cel-expression", "EXPRESSION", "CEL expression over _flow", (f, v) =>
            (f.Experimental ??= new FlowFilter.Types.Experimental()).CelExpression.Add(v));
    }

    // --x, --from-x and --to-x.
    private void Sides(FlagSet flags, string name, string value, string help, Action<FlowFilter, string> source,
        Action<FlowFilter, string> destination, char? shortName = null)
    {
        flags.Value(name, text => Apply(p => p.Add(name, "any", name, text, source, destination)), value, help, shortName);
        flags.Value($"from-{name}", text => Apply(p => p.Add($"from-{name}", "from", name, text, source, source)), value, $"{help}; of the source");
        flags.Value($"to-{name}", text => Apply(p => p.Add($"to-{name}", "to", name, text, destination, destination)), value, $"{help}; of the destination");
    }

    private void Both(FlagSet flags, string name, string value, string help, Action<FlowFilter, string> apply, char? shortName = null)
        => flags.Value(name, text => Apply(p => p.Add(name, "", name, text, apply, apply)), value, help, shortName);

    private void BothSwitch(FlagSet flags, string name, string help, Action<FlowFilter> apply, char? shortName = null)
        => flags.Switch(name, isOn =>
        {
            if (isOn)
                Apply(p => p.Add(name, "", name, "", (f, _) => apply(f), (f, _) => apply(f)));
        }, help, shortName);

    private void Namespaces(
        FlagSet flags, string prefix, Func<FilterPair, (List<string> List, string Side)> select, char? shortName, char? shortAll)
    {
        flags.Value($"{prefix}namespace", text => Apply(p => p.AddNamespace($"{prefix}namespace", select(p), text)),
            "NAME", $"pods and services of a namespace", shortName);
        flags.Switch($"{prefix}all-namespaces", isOn =>
        {
            if (isOn)
                Apply(p => p.AddNamespace($"{prefix}all-namespaces", select(p), ""));
        }, "pods and services of all namespaces", shortAll);
    }

    private void Apply(Action<FilterPair> change)
    {
        change(_isNot ? _deny : _allow);
        _isNot = false;
    }

    private static uint ParseIdentity(string text)
    {
        foreach ((uint number, string name) in SecurityIdentity.ReservedNames)
        {
            if (name == text && number > 0)
                return number;
        }

        return uint.TryParse(text, out uint value) ? value : throw new UserErrorException($"{text}: unknown or invalid identity");
    }

    private static Workload ParseWorkload(string text)
    {
        int slash = text.IndexOf('/', StringComparison.Ordinal);
        return slash < 0 ? new Workload { Name = text } : new Workload { Kind = text[..slash], Name = text[(slash + 1)..] };
    }

    private static HTTPHeader ParseHeader(string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        return colon >= 0
            ? new HTTPHeader { Key = text[..colon], Value = text[(colon + 1)..] }
            : throw new UserErrorException($"invalid http-header value {text}, expected key:value");
    }

    private static IPVersion ParseIpVersion(string text) => text.ToLowerInvariant() switch
    {
        "4" or "v4" or "ip4" or "ipv4" => IPVersion.Ipv4,
        "6" or "v6" or "ip6" or "ipv6" => IPVersion.Ipv6,
        _ => IPVersion.IpNotUsed,
    };

    private static TCPFlags ParseTcpFlags(string text)
    {
        var flags = new TCPFlags();
        foreach (string name in text.Split(','))
        {
            var field = TCPFlags.Descriptor.FindFieldByName(name.ToUpperInvariant())
                ?? throw new UserErrorException($"unknown tcp flag: {name}");
            field.Accessor.SetValue(flags, true);
        }

        return flags;
    }

    private static List<FlowFilter> ParseJson(string flag, string text)
    {
        var filters = new List<FlowFilter>();
        try
        {
            foreach (string json in JsonObjects.Split(text))
                filters.Add(JsonParser.Default.Parse<FlowFilter>(json));
            return filters;
        }
        catch (Exception e) when (e is InvalidJsonException or InvalidProtocolBufferException or FormatException)
        {
            throw new UserErrorException($"invalid --{flag} value: {e.Message}");
        }
    }
}
