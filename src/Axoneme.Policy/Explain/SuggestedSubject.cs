// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

/// <summary>What one application was seen to do, as the rules that allow it.</summary>
internal sealed class SuggestedSubject(string name, IReadOnlyDictionary<string, string> selector, LabelFilter filter)
{
    // Beyond these, a list of single ones says less than the whole: a scan, or a protocol that negotiates its ports.
    private const int MaximalPorts = 20;
    private const int MaximalNames = 40;

    private const ushort DnsPort = 53;

    private readonly Dictionary<(TrafficDirection, string), SuggestedPeer> _peers = [];

    public void Add(TrafficDirection direction, RecordedConnections connections, TrafficEnd peer)
    {
        (string group, string text) = Classify(direction, connections, peer);
        if (!_peers.TryGetValue((direction, group), out SuggestedPeer? held))
            _peers[(direction, group)] = held = new SuggestedPeer(peer, direction);
        held.Add(connections, text);
    }

    public JsonObject ToPolicy(SuggestionOptions options, FlowHistory history)
    {
        var rules = new JsonObject();
        foreach (TrafficDirection direction in new[] { TrafficDirection.Ingress, TrafficDirection.Egress })
        {
            JsonObject[] entries = [.. Entries(direction, options)];
            if (entries.Length > 0)
                rules[direction == TrafficDirection.Ingress ? "ingress" : "egress"] = new JsonArray(entries);
        }

        JsonObject policy = options.Kubernetes
            ? KubernetesForm.Policy(options.Namespace, ObjectNames.Of(name), selector, rules)
            : PolicyManifest.Cilium(options.Namespace, ObjectNames.Of(name), selector, rules);
        policy.Insert(0, PolicyManifest.Comment, Header(options, history));
        return policy;
    }

    private string Header(SuggestionOptions options, FlowHistory history)
    {
        string who = selector.Count > 0 ? name : $"all pods of {options.Namespace}, as these have no lasting labels";
        string span = history.First is { } first && history.Last is { } last ? $" from {Time(first)} to {Time(last)}" : "";
        string text = $"{who}: what was recorded{span}, and nothing else.";
        foreach (TrafficDirection direction in new[] { TrafficDirection.Ingress, TrafficDirection.Egress })
        {
            if (_peers.Keys.Any(k => k.Item1 == direction))
                continue;
            string field = direction.ToString().ToLowerInvariant();
            text += options.Kubernetes ? $"\nNo {field} was recorded, and it stays open: add {direction} to policyTypes to close it."
                : $"\nNo {field} was recorded, and it stays open: add \"{field}: [{{}}]\" to close it.";
        }

        return text;
    }

    private IEnumerable<JsonObject> Entries(TrafficDirection direction, SuggestionOptions options)
    {
        SuggestedPeer[] peers = [.. _peers.Where(p => p.Key.Item1 == direction).OrderBy(p => p.Key.Item2, StringComparer.Ordinal).Select(p => p.Value)];
        foreach (SuggestedPeer peer in peers)
        {
            JsonObject entry = options.Kubernetes ? KubernetesForm.Entry(peer, options.Namespace, filter) : CiliumEntry(peer, options.Namespace);
            entry.Insert(0, PolicyManifest.Comment, peer.Evidence);
            yield return entry;
        }

        string[] names = [.. peers.SelectMany(p => p.DnsNames).Distinct().Order(StringComparer.Ordinal)];
        if (!options.Kubernetes && names.Length > 0 && !peers.Any(p => p.IsResolver))
        {
            JsonObject rule = SmallestChange.DnsRule(names);
            rule.Insert(0, PolicyManifest.Comment, "No question for a name was recorded; without this rule no address belongs to one.");
            yield return rule;
        }
    }

    private JsonObject CiliumEntry(SuggestedPeer peer, string ns)
    {
        var entry = new JsonObject();
        string prefix = peer.Direction == TrafficDirection.Ingress ? "from" : "to";
        if (peer.DnsNames.Count > 0)
            entry["toFQDNs"] = new JsonArray([.. peer.DnsNames.Select(n => (JsonNode?)new JsonObject { ["matchName"] = n })]);
        else if (peer.Addresses.Count > 0 && AddressBlocks.Summarize(peer.Addresses) is { } blocks)
            entry[prefix + "CIDR"] = new JsonArray([.. blocks.Select(b => (JsonNode?)b.ToString())]);
        else if (peer.Addresses.Count > 0)
            entry[prefix + "Entities"] = new JsonArray("world");
        else
            entry.Add(PolicyManifest.Peer(peer.End, peer.End.Identity, ns, peer.Direction, filter));
        KeyValuePair<string, JsonNode?> ports = PolicyManifest.Ports(Narrow(peer.Ports));
        if (peer.IsResolver && DnsNames(peer) is { } names && ports.Value is JsonArray and [JsonObject port])
            port["rules"] = new JsonObject { ["dns"] = names };
        entry.Add(ports);
        return entry;
    }

    // Null where nobody has to look into the questions: no rule needs names, and they did not pass the proxy when they were recorded.
    private JsonArray? DnsNames(SuggestedPeer resolver)
    {
        string[] learnt = [.. _peers.Values.Where(p => p.Direction == TrafficDirection.Egress).SelectMany(p => p.DnsNames)];
        if (resolver.Questions.Count == 0 && learnt.Length == 0)
            return null;
        string[] names = [.. resolver.Questions.Concat(learnt).Distinct(StringComparer.OrdinalIgnoreCase).Order(StringComparer.Ordinal)];
        // Without recorded questions nobody knows which other names were asked for.
        return resolver.Questions.Count == 0 || names.Length > MaximalNames
            ? new JsonArray(new JsonObject { ["matchPattern"] = "*" })
            : new JsonArray([.. names.Select(n => (JsonNode?)new JsonObject { ["matchName"] = n })]);
    }

    internal static IEnumerable<(L4Protocol Protocol, ushort Port)> Narrow(IEnumerable<(L4Protocol Protocol, ushort Port)> ports)
        => ports.GroupBy(p => p.Protocol).SelectMany(same => IsScattered(same) ? [(same.Key, (ushort)0)] : same.AsEnumerable());

    private static bool IsScattered(IGrouping<L4Protocol, (L4Protocol, ushort)> ports)
        => ports.Key is L4Protocol.Tcp or L4Protocol.Udp or L4Protocol.Sctp && ports.Count() > MaximalPorts;

    // Peers of one group become one rule. ICMP and ports exclude each other within one.
    private (string Group, string Text) Classify(TrafficDirection direction, RecordedConnections connections, TrafficEnd peer)
    {
        string transport = connections.Protocol is L4Protocol.Icmp or L4Protocol.IcmpV6 ? "icmp" : "port";
        if (peer.Pod is { } pod)
        {
            string labels = string.Join(',', Workloads.SelectorLabels(pod.Own, filter).OrderBy(l => l.Key, StringComparer.Ordinal).Select(l => $"{l.Key}={l.Value}"));
            string dns = connections.Port == DnsPort && direction == TrafficDirection.Egress && transport == "port" ? "dns" : transport;
            return ($"1 {pod.Name.Namespace} {labels} {dns}", "");
        }

        if (peer.Kind != TrafficEndKind.Address)
            return ($"2 {peer.Identity} {transport}", "");
        RecordedEnd recorded = direction == TrafficDirection.Egress ? connections.Destination : connections.Source;
        string ports = PortText.Of(connections.Protocol, connections.Port);
        return recorded.Names.IsEmpty || direction == TrafficDirection.Ingress ? ($"4 {ports}", "") : ($"3 {recorded.Names[0]} {transport}", recorded.Names[0]);
    }

    private static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd HH:mm'Z'");

    /// <summary>One rule's peer with what was seen of it.</summary>
    internal sealed class SuggestedPeer(TrafficEnd end, TrafficDirection direction)
    {
        private int _connections;
        private DateTimeOffset? _last;

        public TrafficEnd End { get; } = end;

        public TrafficDirection Direction { get; } = direction;

        public SortedSet<(L4Protocol Protocol, ushort Port)> Ports { get; } = [];

        /// <summary>Outside, and of no known name.</summary>
        public SortedSet<IpAddress> Addresses { get; } = [];

        public SortedSet<string> DnsNames { get; } = new(StringComparer.Ordinal);

        public SortedSet<string> Questions { get; } = new(StringComparer.OrdinalIgnoreCase);

        public bool IsResolver => Direction == TrafficDirection.Egress && End.Pod is not null && Ports.All(p => p.Port == DnsPort);

        public string Evidence => $"{_connections} connection{(_connections == 1 ? "" : "s")}{(_last is { } last ? $", last {Time(last)}" : "")}"
            + (Addresses.Count > 1 ? $", {Addresses.Count} addresses" : "");

        public void Add(RecordedConnections connections, string dnsName)
        {
            _connections += connections.Count;
            _last = _last is null || connections.Last > _last ? connections.Last ?? _last : _last;
            Ports.Add((connections.Protocol, connections.Port));
            Questions.UnionWith(connections.Questions);
            RecordedEnd peer = Direction == TrafficDirection.Egress ? connections.Destination : connections.Source;
            if (dnsName.Length > 0)
                DnsNames.Add(dnsName);
            if (End.Kind == TrafficEndKind.Address && peer.Address is { } address)
                Addresses.Add(address);
        }
    }
}
