// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Nodes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Policy.Explain;

namespace Axoneme.Cli.Explanations;

/// <summary>Objects out of YAML and JSON.</summary>
internal static class Manifests
{
    public const string ConfigName = "cilium-config";

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
        objects = PolicySettings.Apply(objects, settings);
        return config is null ? objects : objects with { Items = [.. objects.Items.Where(i => IsKnown(i, settings))] };
    }

    // Kinds that an agent follows only when it is told to.
    private static bool IsKnown(Resource item, Dictionary<string, string> settings) => item switch
    {
        ClusterNetworkPolicy => settings.GetValueOrDefault("enable-k8s-cluster-network-policy") == "true",
        AdminNetworkPolicy or BaselineAdminNetworkPolicy => settings.GetValueOrDefault("enable-k8s-admin-network-policy") == "true",
        _ => true,
    };

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
