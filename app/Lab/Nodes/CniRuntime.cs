// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Axoneme.Lab.Nodes;

/// <summary>
/// Calls CNI plugins as a container runtime does: the first configuration of the node's folder by name, environment, standard input,
/// the result of one plugin handed to the next and kept for CHECK and DEL.
/// </summary>
internal sealed class CniRuntime(NodeSandbox node)
{
    // Longer than the plugin's own patience with a restarting agent.
    private static readonly TimeSpan CallTimeout = TimeSpan.FromSeconds(90);

    private readonly string _configFolder = Path.Combine(node.Folder, "cni/net.d");

    /// <summary>Whether the node's network is configured, which a kubelet reports as the node's readiness.</summary>
    public bool IsReady => FindConfig() is not null;

    /// <summary>Attaches the pod; returns its addresses without prefix length, the primary one first.</summary>
    /// <exception cref="CniFailure">A plugin refused, or there is no configuration.</exception>
    public async Task<IReadOnlyList<string>> AddAsync(CniAttachment attachment, CancellationToken cancellation)
    {
        JsonObject list = LoadConfig();
        JsonObject? result = null;
        foreach (JsonObject plugin in Plugins(list))
            result = await CallAsync("ADD", list, plugin, attachment, result, cancellation);
        await File.WriteAllTextAsync(ResultFile(attachment), result?.ToJsonString() ?? "{}", cancellation);
        return [.. (result?["ips"] as JsonArray ?? []).Select(ip => ip!["address"]!.GetValue<string>().Split('/')[0])];
    }

    public async Task CheckAsync(CniAttachment attachment, CancellationToken cancellation)
    {
        JsonObject list = LoadConfig();
        JsonObject? result = LoadResult(attachment);
        foreach (JsonObject plugin in Plugins(list))
            await CallAsync("CHECK", list, plugin, attachment, result, cancellation);
    }

    public async Task DeleteAsync(CniAttachment attachment, CancellationToken cancellation)
    {
        if (FindConfig() is null)
            return;
        JsonObject list = LoadConfig();
        JsonObject? result = LoadResult(attachment);
        foreach (JsonObject plugin in Plugins(list).Reverse())
            await CallAsync("DEL", list, plugin, attachment, result, cancellation);
        File.Delete(ResultFile(attachment));
    }

    private static IEnumerable<JsonObject> Plugins(JsonObject list)
        => list["plugins"] is JsonArray plugins ? plugins.OfType<JsonObject>() : [list];

    private string? FindConfig()
        => Directory.EnumerateFiles(_configFolder).Where(f => f.EndsWith(".conflist", StringComparison.Ordinal)
                || f.EndsWith(".conf", StringComparison.Ordinal)).Order(StringComparer.Ordinal).FirstOrDefault();

    private JsonObject LoadConfig()
    {
        string file = FindConfig() ?? throw new CniFailure("no CNI configuration yet: the agent is not ready");
        try
        {
            return JsonNode.Parse(File.ReadAllText(file)) as JsonObject ?? throw new CniFailure($"{file}: not a JSON object");
        }
        catch (JsonException e)
        {
            throw new CniFailure($"{file}: {e.Message}");
        }
    }

    private string ResultFile(CniAttachment attachment) => Path.Combine(node.Folder, "cni", $"{attachment.ContainerId}.json");

    private JsonObject? LoadResult(CniAttachment attachment)
        => File.Exists(ResultFile(attachment)) ? JsonNode.Parse(File.ReadAllText(ResultFile(attachment))) as JsonObject : null;

    private async Task<JsonObject?> CallAsync(
        string command, JsonObject list, JsonObject plugin, CniAttachment attachment, JsonObject? previous, CancellationToken cancellation)
    {
        var config = (JsonObject)plugin.DeepClone();
        config["cniVersion"] ??= list["cniVersion"]?.DeepClone();
        config["name"] ??= list["name"]?.DeepClone();
        if (previous is { Count: > 0 })
            config["prevResult"] = previous.DeepClone();
        string type = config["type"]?.GetValue<string>() ?? throw new CniFailure("the CNI configuration names no plugin type");
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(CallTimeout);
        ProcessPlace place = node.Place("runtime") with { Environment = Environment(command, attachment) };
        ProcessResult outcome = await Launch.RunAsync(
            place, [Path.Combine(Artifacts.CniFolder, type)], config.ToJsonString(), limit.Token);
        if (outcome.ExitCode != 0)
            throw new CniFailure($"{type} {command}: {Explain(outcome)}");
        return outcome.Output.Length == 0 ? null : JsonNode.Parse(outcome.Output) as JsonObject;
    }

    private static Dictionary<string, string> Environment(string command, CniAttachment attachment) => new(Artifacts.BaseEnvironment)
    {
        ["CNI_COMMAND"] = command,
        ["CNI_CONTAINERID"] = attachment.ContainerId,
        ["CNI_NETNS"] = $"/run/netns/{attachment.NetworkNamespace}",
        ["CNI_IFNAME"] = "eth0",
        ["CNI_PATH"] = Artifacts.CniFolder,
        ["CNI_ARGS"] = $"IgnoreUnknown=1;K8S_POD_NAMESPACE={attachment.PodNamespace};K8S_POD_NAME={attachment.PodName};"
            + $"K8S_POD_INFRA_CONTAINER_ID={attachment.ContainerId};K8S_POD_UID={attachment.PodUid}",
    };

    private static string Explain(ProcessResult outcome)
    {
        try
        {
            if (JsonNode.Parse(outcome.Output) is JsonObject error && error["msg"] is { } message)
                return error["details"] is { } details && details.ToString().Length > 0 ? $"{message}: {details}" : $"{message}";
        }
        catch (JsonException)
        {
            // Not the error document that the specification asks for: show what there is.
        }

        return $"exit status {outcome.ExitCode}: {outcome.Error.Trim()} {outcome.Output.Trim()}";
    }
}

/// <summary>What a runtime identifies a pod's interface by.</summary>
internal sealed record CniAttachment(string ContainerId, string NetworkNamespace, string PodNamespace, string PodName, string PodUid);

internal sealed class CniFailure(string message) : Exception(message);
