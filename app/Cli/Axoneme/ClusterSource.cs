// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Nodes;
using Axoneme.AgentApi;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Policy.Explain;

namespace Axoneme.Cli.Explanations;

/// <summary>Where the objects come from: manifests in files, or the agent of this node.</summary>
internal sealed class ClusterSource
{
    private readonly List<string> _manifests = [];
    private string? _host;

    public void AddTo(FlagSet flags) => flags
        .Value("manifests", _manifests.Add, "PATH", "YAML or JSON files with the cluster's objects, or a directory of them; may be repeated", 'm')
        .Value("host", v => _host = v, "ADDRESS", "without --manifests: the agent's API, unix:///path or tcp://host:port", 'H');

    public bool IsLive => _manifests.Count == 0;

    /// <param name="clusterName">For manifests without the agent's configuration; empty: the default.</param>
    /// <param name="cancellation">Ends the request to the agent.</param>
    /// <exception cref="UserErrorException">A file cannot be read, or the agent not be reached.</exception>
    public async Task<ClusterObjects> ReadAsync(string clusterName, CancellationToken cancellation)
    {
        if (!IsLive)
            return Manifests.ToCluster(_manifests.SelectMany(Manifests.Read), clusterName);
        try
        {
            using var client = new AgentClient(_host);
            return FromAgent(await client.GetPolicyInputsAsync(cancellation).ConfigureAwait(false));
        }
        catch (Exception e) when (e is AgentException or FormatException)
        {
            throw new UserErrorException($"{e.Message}; or give the objects with --manifests");
        }
    }

    private static ClusterObjects FromAgent(PolicyInputs inputs)
    {
        IEnumerable<Resource> items = inputs.Items.Select(i => Manifests.Decode((JsonObject)JsonNode.Parse(i.GetRawText())!, "the agent")).OfType<Resource>();
        ClusterObjects objects = PolicySettings.Apply(new ClusterObjects { Items = [.. items] }, inputs.Options);
        return objects with
        {
            Addresses =
            [
                .. inputs.Addresses.Select(a => new KnownAddress(IpPrefix.Parse(a.Prefix), new SecurityIdentity(a.Identity), LabelSet.Parse(a.Labels))),
            ],
        };
    }
}

/// <summary>Objects out of YAML and JSON.</summary>
internal static class Manifests
{
    private const string ConfigName = "cilium-config";

    private static readonly EnumerationOptions Everything = new() { RecurseSubdirectories = true };

    /// <summary>The objects of the file, or of the files below the directory. Kinds that have nothing to do with policy are left out.</summary>
    public static IEnumerable<Resource> Read(string path)
    {
        if (path == "-")
            return ReadText(Console.In.ReadToEnd(), "standard input");
        if (File.Exists(path))
            return ReadText(ReadFile(path), path);
        if (!Directory.Exists(path))
            throw new UserErrorException($"{path}: there is no such file or directory");
        string[] files =
            [.. Directory.EnumerateFiles(path, "*", Everything).Where(f => Path.GetExtension(f) is ".yaml" or ".yml" or ".json").Order(StringComparer.Ordinal)];
        if (files.Length == 0)
            throw new UserErrorException($"{path}: there is no .yaml, .yml or .json file in this directory");
        return files.SelectMany(f => ReadText(ReadFile(f), f));
    }

    public static IEnumerable<Resource> ReadText(string text, string origin)
    {
        ManifestDocument[] documents;
        try
        {
            documents = [.. ManifestYaml.Read(text)];
        }
        catch (FormatException e)
        {
            throw new UserErrorException($"{origin}: {e.Message}");
        }

        return documents.SelectMany(d => ItemsOf(d.Content).Select(item => Decode(item, $"{origin}:{d.Line}"))).OfType<Resource>();
    }

    /// <summary>Null for a kind that is not used here.</summary>
    /// <exception cref="UserErrorException">The object is not what its kind demands.</exception>
    public static Resource? Decode(JsonObject item, string origin)
    {
        string kind = TextOf(item, "kind");
        string name = item["metadata"] is JsonObject metadata ? TextOf(metadata, "name") : "";
        if (kind.Length == 0)
            throw new UserErrorException($"{origin}: the object has no kind");
        if (DecoderOf(kind) is not { } decode)
            return null;
        if (name.Length == 0)
            throw new UserErrorException($"{origin}: {kind} without metadata.name");
        try
        {
            Resource resource = decode(item);
            return resource.Definition.Namespaced && resource.Metadata.Namespace.Length == 0
                ? resource with { Metadata = resource.Metadata with { Namespace = "default" } } : resource;
        }
        catch (JsonException e)
        {
            string reason = e.Message.Split(" Path:")[0].Split(" LineNumber:")[0];
            throw new UserErrorException($"{origin}: {kind} {name}: {(e.Path is { Length: > 2 } path ? path[2..] : "the object")}: {reason}");
        }
    }

    /// <summary>Settings are those of the agent's ConfigMap, if it is among the objects. Of two objects with one name the later counts.</summary>
    public static ClusterObjects ToCluster(IEnumerable<Resource> items, string clusterName)
    {
        var byName = new Dictionary<(Type, ResourceName), Resource>();
        foreach (Resource item in items)
            byName[(item.GetType(), item.ResourceName)] = item;
        var objects = new ClusterObjects { Items = [.. byName.Values] };
        ConfigMap? config = objects.Of<ConfigMap>().FirstOrDefault(c => c.Metadata.Name == ConfigName);
        var settings = new Dictionary<string, string>(config?.Data ?? new Dictionary<string, string>());
        if (clusterName.Length > 0)
            settings.TryAdd("cluster-name", clusterName);
        return PolicySettings.Apply(objects, settings);
    }

    private static IEnumerable<JsonObject> ItemsOf(JsonObject document)
        => TextOf(document, "kind").EndsWith("List", StringComparison.Ordinal) && document["items"] is JsonArray items ? items.OfType<JsonObject>() : [document];

    private static string TextOf(JsonObject item, string member)
        => item[member] is JsonValue value && value.TryGetValue(out string? text) ? text : "";

    private static Func<JsonObject, Resource>? DecoderOf(string kind)
    {
        KubernetesJson json = KubernetesJson.Lean;
        return kind switch
        {
            "Pod" => Of(json.Pod),
            "Namespace" => Of(json.Namespace),
            "Node" => Of(json.Node),
            "Service" => Of(json.Service),
            "EndpointSlice" => Of(json.EndpointSlice),
            "ConfigMap" => Of(json.ConfigMap),
            "NetworkPolicy" => Of(json.NetworkPolicy),
            "CiliumNetworkPolicy" => Of(json.CiliumNetworkPolicy),
            "CiliumClusterwideNetworkPolicy" => Of(json.CiliumClusterwideNetworkPolicy),
            "ClusterNetworkPolicy" => Of(json.ClusterNetworkPolicy),
            "AdminNetworkPolicy" => Of(json.AdminNetworkPolicy),
            "BaselineAdminNetworkPolicy" => Of(json.BaselineAdminNetworkPolicy),
            "CiliumCIDRGroup" => Of(json.CiliumCIDRGroup),
            "CiliumEndpoint" => Of(json.CiliumEndpoint),
            "CiliumEndpointSlice" => Of(json.CiliumEndpointSlice),
            "CiliumIdentity" => Of(json.CiliumIdentity),
            "CiliumNode" => Of(json.CiliumNode),
            // These have a pod template in the same place.
            "Deployment" or "StatefulSet" or "Job" => Of(json.Deployment),
            "DaemonSet" => Of(json.DaemonSet),
            "ReplicaSet" => Of(json.ReplicaSet),
            _ => null,
        };

        static Func<JsonObject, Resource> Of<T>(System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type)
            where T : Resource
            => item => item.Deserialize(type) ?? throw new JsonException("is null");
    }

    private static string ReadFile(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"{path}: {e.Message}");
        }
    }
}

/// <summary>The agent's settings that decide about policy, by their keys.</summary>
internal static class PolicySettings
{
    public static ClusterObjects Apply(ClusterObjects objects, IReadOnlyDictionary<string, string> settings)
    {
        var options = new PolicyOptions
        {
            Enforcement = Text("enable-policy", "default") switch
            {
                "default" => EnforcementMode.Default,
                "always" => EnforcementMode.Always,
                "never" => EnforcementMode.Never,
                var other => throw new UserErrorException($"enable-policy: '{other}' is not one of default, always, never"),
            },
            ClusterName = Text("cluster-name", "default"),
            DualStack = IsOn("enable-ipv4", true) && IsOn("enable-ipv6", true),
            AllowLocalhost = Text("allow-localhost", "auto") != "policy",
            DefaultLocalCluster = IsOn("policy-default-local-cluster", true),
            EnableNonDefaultDeny = IsOn("enable-non-default-deny-policies", true),
            ClusterId = uint.TryParse(Text("cluster-id", "0"), out uint clusterId) ? clusterId : throw new UserErrorException($"cluster-id: '{Text("cluster-id", "")}' is not a number"),
            EnableSctp = IsOn("enable-sctp", false),
            EnableIcmpRules = IsOn("enable-icmp-rules", true),
            EnableL7Proxy = IsOn("enable-l7-proxy", true),
            EnableExtendedProtocols = IsOn("enable-extended-ip-protocols", false),
            EnableNodeSelectorLabels = IsOn("enable-node-selector-labels", false),
            EnableHostFirewall = IsOn("enable-host-firewall", false),
        };
        try
        {
            objects = objects with { Options = options, Filter = LabelFilter.Parse(Text("labels", "")) };
        }
        catch (FormatException e)
        {
            throw new UserErrorException($"labels: {e.Message}");
        }

        objects = ForNodes(objects, Text);

        return IsOn("enable-k8s-networkpolicy", true) ? objects : objects with { Items = [.. objects.Items.Where(i => i is not NetworkPolicy)] };

        string Text(string key, string whenMissing) => settings.TryGetValue(key, out string? value) ? value : whenMissing;

        bool IsOn(string key, bool whenMissing) => Text(key, whenMissing ? "true" : "false") == "true";
    }

    private static ClusterObjects ForNodes(ClusterObjects objects, Func<string, string, string> text)
    {
        try
        {
            objects = objects with
            {
                NodeFilter = LabelFilter.ParseWithoutDefaults(string.Join(' ', List("node-labels"))),
                CidrMatchesNodes = List("policy-cidr-match-mode").Contains("nodes"),
            };
        }
        catch (FormatException e)
        {
            throw new UserErrorException($"node-labels: {e.Message}");
        }

        return objects with
        {
            Management = new ManagementAllowance(
                [.. List("host-firewall-management-cidrs").Select(b => IpPrefix.TryParse(b, out IpPrefix block)
                    ? block : throw new UserErrorException($"host-firewall-management-cidrs: '{b}' is not an address block"))],
                [.. List("host-firewall-management-ports", "22").Select(p => ushort.TryParse(p, out ushort port)
                    ? port : throw new UserErrorException($"host-firewall-management-ports: '{p}' is not a port"))]),
        };

        string[] List(string key, string whenMissing = "") => text(key, whenMissing).Split([' ', ','], StringSplitOptions.RemoveEmptyEntries);
    }
}
