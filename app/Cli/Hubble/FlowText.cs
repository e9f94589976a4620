// SPDX-License-Identifier: Apache-2.0
using Axoneme.AgentApi;
using Axoneme.Hubble;
using Axoneme.Hubble.Api;
using Axoneme.Network;
using Google.Protobuf.Collections;

namespace Axoneme.Cli.Hubble;

using Policy = Axoneme.Hubble.Api.Policy;

/// <summary>The words of a flow: hosts, identities, type, verdict, summary.</summary>
internal static class FlowText
{
    /// <summary>Names of trace points by the number that events carry.</summary>
    public static readonly string[] ObservationPoints =
    [
        "to-endpoint", "to-proxy", "to-host", "to-stack", "to-overlay", "from-endpoint", "from-proxy", "from-host", "from-stack",
        "from-overlay", "from-network", "to-network", "from-crypto", "to-crypto",
    ];

    private static readonly string[] PolicyMatches = ["none", "L3-Only", "L3-L4", "L4-Only", "all", "L3-Proto", "Proto-Only"];

    public static (string Host, string Port) Source(Flow flow, bool translate)
        => Side(flow, flow.Source, flow.SourceService, flow.SourceNames, flow.IP?.Source, flow.Ethernet?.Source, Ports(flow)?.Source, translate);

    public static (string Host, string Port) Destination(Flow flow, bool translate)
        => Side(flow, flow.Destination, flow.DestinationService, flow.DestinationNames, flow.IP?.Destination, flow.Ethernet?.Destination,
            Ports(flow)?.Destination, translate);

    /// <summary>host:port, with brackets where the host has colons.</summary>
    public static string Join((string Host, string Port) side)
        => side.Port.Length == 0 ? side.Host
            : side.Host.Contains(':', StringComparison.Ordinal) ? $"[{side.Host}]:{side.Port}" : $"{side.Host}:{side.Port}";

    public static string Identity(Endpoint? side)
    {
        uint number = side?.Identity ?? 0;
        return SecurityIdentity.ReservedNames.TryGetValue(number, out string? name) ? $"({name})" : $"(ID:{number})";
    }

    public static string Type(Flow flow)
    {
        if (flow.L7 is { } l7)
            return L7Type(l7);
        int subType = flow.EventType?.SubType ?? 0;
        return (MonitorEvent)(flow.EventType?.Type ?? 0) switch
        {
            MonitorEvent.Trace => (uint)subType < ObservationPoints.Length ? ObservationPoints[subType] : $"{subType}",
            MonitorEvent.Drop => DropReasons.TextOf(subType),
            MonitorEvent.PolicyVerdict => $"policy-verdict:{PolicyMatch(flow.PolicyMatchType)} {ProtoName.Of(flow.TrafficDirection)}",
            MonitorEvent.Capture => ProtoName.Of(flow.DebugCapturePoint),
            MonitorEvent.TraceSock => flow.SockXlatePoint switch
            {
                SocketTranslationPoint.SockXlatePointPreDirectionFwd => "pre-xlate-fwd",
                SocketTranslationPoint.SockXlatePointPostDirectionFwd => "post-xlate-fwd",
                SocketTranslationPoint.SockXlatePointPreDirectionRev => "pre-xlate-rev",
                SocketTranslationPoint.SockXlatePointPostDirectionRev => "post-xlate-rev",
                _ => "unknown",
            },
            _ => "UNKNOWN",
        };
    }

    public static string VerdictOf(Flow flow, bool withPolicies)
    {
        if ((MonitorEvent)(flow.EventType?.Type ?? 0) != MonitorEvent.PolicyVerdict)
            return ProtoName.Of(flow.Verdict);
        (string word, IEnumerable<Policy> policies) = flow.Verdict switch
        {
            Verdict.Forwarded or Verdict.Redirected => ("ALLOWED", flow.EgressAllowedBy.Concat(flow.IngressAllowedBy)),
            Verdict.Dropped or Verdict.Error => ("DENIED", flow.EgressDeniedBy.Concat(flow.IngressDeniedBy)),
            Verdict.Audit => ("AUDITED", flow.EgressDeniedBy.Concat(flow.IngressDeniedBy).Concat(flow.EgressAllowedBy).Concat(flow.IngressAllowedBy)),
            _ => (ProtoName.Of(flow.Verdict), Enumerable.Empty<Policy>()),
        };
        string names = withPolicies ? string.Join(", ", policies.Select(p => $"{p.Name} ({p.Kind})")) : "";
        return names.Length > 0 ? $"{word} BY {names}" : word;
    }

    public static string Summary(Flow flow)
    {
        string text = flow.Summary;
        if (flow.IpTraceId is { TraceId: > 0 } trace)
            text = $"IP Trace ID: {trace.TraceId}; {text}";
        return flow.AuthType == AuthType.Disabled ? text : $"{text}; Auth: {ProtoName.Of(flow.AuthType)}";
    }

    private static (uint Source, uint Destination)? Ports(Flow flow) => flow.L4?.ProtocolCase switch
    {
        Layer4.ProtocolOneofCase.TCP => (flow.L4.TCP.SourcePort, flow.L4.TCP.DestinationPort),
        Layer4.ProtocolOneofCase.UDP => (flow.L4.UDP.SourcePort, flow.L4.UDP.DestinationPort),
        Layer4.ProtocolOneofCase.SCTP => (flow.L4.SCTP.SourcePort, flow.L4.SCTP.DestinationPort),
        _ => null,
    };

    private static (string Host, string Port) Side(
        Flow flow, Endpoint? side, Service? service, RepeatedField<string> names, string? address, string? mac, uint? port, bool translate)
    {
        if (flow.IP is null)
            return (mac ?? "", "");
        string portText = port is > 0 ? $"{port}" : "";
        if (!translate)
            return (address ?? "", portText);
        string ns = service is { Namespace.Length: > 0 } ? service.Namespace : side?.Namespace ?? "";
        string name = side is { PodName.Length: > 0 } ? side.PodName : service?.Name ?? "";
        if (name.Length > 0)
            return (ns.Length > 0 ? $"{ns}/{name}" : name, portText);
        return (names.Count > 0 ? string.Join(',', names) : address ?? "", portText);
    }

    private static string L7Type(Layer7 l7)
    {
        string protocol = l7.RecordCase switch
        {
            Layer7.RecordOneofCase.Dns => "dns",
            Layer7.RecordOneofCase.Http => "http",
            Layer7.RecordOneofCase.Kafka => "kafka",
            _ => "l7",
        };
        string type = $"{protocol}-{ProtoName.Of(l7.Type).ToLowerInvariant()}";
        return l7.Dns is { ObservationSource.Length: > 0 } dns ? $"{type} {dns.ObservationSource}" : type;
    }

    private static string PolicyMatch(uint match) => match < PolicyMatches.Length ? PolicyMatches[match] : "unknown";
}

/// <summary>Enum values as the .proto files spell them.</summary>
internal static class ProtoName
{
    public static string Of<T>(T value)
        where T : struct, Enum
        => Names<T>.ByValue.TryGetValue(value, out string? name) ? name : Convert.ToInt64(value).ToString();

    public static bool TryParse<T>(string name, out T value)
        where T : struct, Enum
        => Names<T>.ByName.TryGetValue(name, out value);

    private static class Names<T>
        where T : struct, Enum
    {
        public static readonly Dictionary<T, string> ByValue = [];
        public static readonly Dictionary<string, T> ByName = [];

        static Names()
        {
            var file = FlowReflection.Descriptor;
            var descriptor = file.EnumTypes.Concat(file.MessageTypes.SelectMany(m => m.EnumTypes))
                .Concat(RelayReflection.Descriptor.EnumTypes).Single(e => e.ClrType == typeof(T));
            foreach (var value in descriptor.Values)
            {
                var number = (T)Enum.ToObject(typeof(T), value.Number);
                ByValue.TryAdd(number, value.Name);
                ByName.Add(value.Name, number);
            }
        }
    }
}
