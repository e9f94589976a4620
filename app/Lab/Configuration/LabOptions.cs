// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Serialization;

namespace Axoneme.Lab.Configuration;

/// <summary>What the user asked <c>lab up</c> for, checked.</summary>
internal sealed record LabOptions
{
    // The router has .1, the API .2, and nodes start at .11 of a /24.
    public const int MaxNodes = 16;

    public int Nodes { get; init; } = 3;

    public string Routing { get; init; } = "native";

    public bool Demo { get; init; } = true;

    /// <summary>Configuration keys that win over those of the lab.</summary>
    public IReadOnlyDictionary<string, string> Keys { get; init; } = new Dictionary<string, string>();

    /// <summary>Whether programs of the nodes see packets in the driver.</summary>
    [JsonIgnore]
    public bool UsesXdp => Keys.GetValueOrDefault("bpf-lb-acceleration", "disabled") != "disabled";

    /// <summary>The agent's configuration, a value for each key.</summary>
    public Dictionary<string, string> AgentKeys(string cgroup)
    {
        bool native = Routing == "native";
        var keys = new Dictionary<string, string>
        {
            ["cluster-name"] = "lab",
            ["ipam"] = "kubernetes",
            ["identity-allocation-mode"] = "crd",
            ["routing-mode"] = native ? "native" : "tunnel",
            ["tunnel-protocol"] = "vxlan",
            ["auto-direct-node-routes"] = native ? "true" : "false",
            ["enable-ipv4"] = "true",
            ["enable-ipv6"] = "true",
            ["devices"] = "eth0",
            ["kube-proxy-replacement"] = "true",
            ["bpf-lb-sock"] = "true",
            ["enable-hubble"] = "true",
            ["hubble-listen-address"] = ":4244",
            ["hubble-disable-tls"] = "true",
            ["operator-api-serve-addr"] = "127.0.0.1:9234",
            ["operator-prometheus-serve-addr"] = ":9963",
            ["cgroup-root"] = cgroup,
            ["write-cni-conf-when-ready"] = $"{Axoneme.Lab.Nodes.NodeSandbox.FolderInside}/cni/net.d/05-cilium.conflist",
        };
        if (native)
        {
            keys["ipv4-native-routing-cidr"] = "10.244.0.0/16";
            keys["ipv6-native-routing-cidr"] = "fd00:244::/48";
        }

        foreach ((string key, string value) in Keys)
            keys[key] = value;
        return keys;
    }
}

[JsonSerializable(typeof(LabOptions))]
internal sealed partial class LabOptionsJson : JsonSerializerContext;
