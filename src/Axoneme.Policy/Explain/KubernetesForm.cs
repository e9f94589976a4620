// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

/// <summary>Suggested rules as the Kubernetes NetworkPolicy writes them.</summary>
internal static class KubernetesForm
{
    private const string NamespaceName = "kubernetes.io/metadata.name";

    public static JsonObject Policy(string ns, string name, IReadOnlyDictionary<string, string> subject, JsonObject rules)
    {
        var types = new JsonArray();
        var spec = new JsonObject { ["podSelector"] = PolicyManifest.Selector(subject), ["policyTypes"] = types };
        foreach ((string key, JsonNode? value) in rules.ToArray())
        {
            rules.Remove(key);
            types.Add(key == "ingress" ? "Ingress" : "Egress");
            spec[key] = value;
        }

        return new JsonObject
        {
            ["apiVersion"] = "networking.k8s.io/v1",
            ["kind"] = "NetworkPolicy",
            ["metadata"] = new JsonObject { ["name"] = name, ["namespace"] = ns },
            ["spec"] = spec,
        };
    }

    public static JsonObject Entry(SuggestedSubject.SuggestedPeer peer, string ns, LabelFilter filter)
    {
        var peers = new JsonArray();
        if (peer.End.Pod is { } pod)
        {
            var item = new JsonObject { ["podSelector"] = PolicyManifest.Selector(Workloads.SelectorLabels(pod.Own, filter)) };
            if (pod.Name.Namespace != ns)
                item["namespaceSelector"] = PolicyManifest.Selector(new Dictionary<string, string> { [NamespaceName] = pod.Name.Namespace });
            peers.Add(item);
        }

        // Names cannot be written: the addresses that were seen stand for them.
        foreach (IpPrefix block in AddressBlocks.Summarize(peer.Addresses) ?? [IpPrefix.Parse("0.0.0.0/0"), IpPrefix.Parse("::/0")])
            peers.Add(new JsonObject { ["ipBlock"] = new JsonObject { ["cidr"] = block.ToString() } });
        IEnumerable<JsonNode?> ports = SuggestedSubject.Narrow(peer.Ports).Order().Select(p => p.Port == 0
            ? (JsonNode?)new JsonObject { ["protocol"] = PortText.NameOf(p.Protocol) }
            : new JsonObject { ["port"] = (int)p.Port, ["protocol"] = PortText.NameOf(p.Protocol) });
        return new JsonObject { [peer.Direction == TrafficDirection.Ingress ? "from" : "to"] = peers, ["ports"] = new JsonArray([.. ports]) };
    }
}
