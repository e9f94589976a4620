// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Serialization;
using Axoneme.Hosting;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Agent.Configuration;

/// <summary>
/// The settings that CiliumNodeConfig objects of the agent's namespace have for this node. Read once, at the start, and kept on disk for starts
/// without an API server.
/// </summary>
internal static class NodeConfigOverrides
{
    // Nodes forward with what they know when the API is away, so its absence must not hold up a restart.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>In the order of the objects' names: of two for one key the later one counts.</summary>
    /// <param name="client">Of the API.</param>
    /// <param name="nodeName">Of this node.</param>
    /// <param name="ns">Of the agent.</param>
    /// <param name="stateDirectory">Where the last answer is kept.</param>
    /// <param name="warn">Called when the API does not answer.</param>
    /// <param name="cancellation">Ends the agent.</param>
    public static async Task<IReadOnlyList<ConfigOverride>> ReadAsync(
        KubernetesClient client, string nodeName, string ns, string stateDirectory, Action<string> warn, CancellationToken cancellation)
    {
        string path = Path.Combine(stateDirectory, "state", "node-config.json");
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(Patience);
        try
        {
            Node node = await client.Of(Kinds.Nodes).GetAsync(new ResourceName(nodeName), patience.Token);
            IReadOnlyList<ConfigOverride> overrides = Select(await ListAsync(client, ns, patience.Token), node.Metadata.Labels);
            Save(path, overrides);
            return overrides;
        }
        catch (Exception e) when (e is KubernetesException or HttpRequestException or TimeoutException or IOException
            || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            IReadOnlyList<ConfigOverride> saved = Load(path);
            warn($"CiliumNodeConfig objects cannot be read ({e.Message}); the {saved.Count} settings that they gave last are used");
            return saved;
        }
    }

    /// <summary>Those of the objects whose selector matches; one without a selector is for no node.</summary>
    public static IReadOnlyList<ConfigOverride> Select(IEnumerable<CiliumNodeConfig> objects, IReadOnlyDictionary<string, string>? nodeLabels)
    {
        var chosen = new SortedDictionary<string, ConfigOverride>(StringComparer.Ordinal);
        foreach (CiliumNodeConfig config in objects.Where(c => c.Spec.NodeSelector?.Matches(nodeLabels) == true).OrderBy(c => c.Metadata.Name, StringComparer.Ordinal))
        {
            foreach ((string key, string value) in config.Spec.Defaults ?? new Dictionary<string, string>())
                chosen[key] = new ConfigOverride(key, value, $"{key} in spec.defaults of CiliumNodeConfig {config.ResourceName}");
        }

        return [.. chosen.Values];
    }

    private static async Task<IReadOnlyList<CiliumNodeConfig>> ListAsync(KubernetesClient client, string ns, CancellationToken cancellation)
    {
        // Older clusters have the kind in its first version only, and some have none.
        foreach (string version in new[] { "v2", "v2alpha1" })
        {
            try
            {
                return (await client.Of(Kinds.CiliumNodeConfigs with { Version = version }).ListAsync(new ResourceQuery(Namespace: ns), cancellation)).Items;
            }
            catch (KubernetesException e) when (e.IsNotFound)
            {
                // The next one.
            }
        }

        return [];
    }

    private static void Save(string path, IReadOnlyList<ConfigOverride> overrides)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path + ".new", JsonSerializer.Serialize(overrides, OverridesJson.Default.IReadOnlyListConfigOverride));
        File.Move(path + ".new", path, overwrite: true);
    }

    private static IReadOnlyList<ConfigOverride> Load(string path)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllText(path), OverridesJson.Default.IReadOnlyListConfigOverride) ?? [];
        }
        catch (Exception e) when (e is IOException or JsonException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(IReadOnlyList<ConfigOverride>))]
internal sealed partial class OverridesJson : JsonSerializerContext;
