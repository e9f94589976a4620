// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Text.Json;
using Axoneme.Cni;

namespace Axoneme.Agent.Cni;

/// <summary>One interface of one container, which CNI identifies by both names together.</summary>
internal readonly record struct CniAttachmentId(string ContainerId, string InterfaceName)
{
    public override string ToString() => $"{ContainerId}:{InterfaceName}";
}

/// <summary>A checked request: what the plugin forwarded, with configuration and arguments parsed.</summary>
internal sealed record CniCall
{
    private static readonly ImmutableArray<string> SupportedVersions = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

    public required string Command { get; init; }

    public required string Version { get; init; }

    public required CniAttachmentId Attachment { get; init; }

    /// <summary>The runtime's path of the namespace, for messages and for the result.</summary>
    public required string NetworkNamespace { get; init; }

    public string PodNamespace { get; init; } = "";

    public string PodName { get; init; } = "";

    public string PodUid { get; init; } = "";

    /// <summary>GC only: the attachments that still exist. Null when the runtime sent none.</summary>
    public ImmutableArray<CniAttachmentId>? ValidAttachments { get; init; }

    /// <exception cref="CniException">Something is missing or malformed; the message names it.</exception>
    public static CniCall Parse(CniRequest request)
    {
        using JsonDocument config = ParseConfig(request.Config);
        string version = ReadVersion(config.RootElement);
        Dictionary<string, string> arguments = ParseArguments(request.Args);
        bool isAttachment = request.Command is "ADD" or "DEL" or "CHECK";
        if (isAttachment)
            RequireAttachment(request);
        if (request.Command is "ADD" or "CHECK" && request.NetworkNamespace.Length == 0)
            throw new CniException(CniErrorCode.InvalidEnvironment, "CNI_NETNS is empty");
        return new CniCall
        {
            Command = request.Command,
            Version = version,
            Attachment = new CniAttachmentId(request.ContainerId, request.InterfaceName),
            NetworkNamespace = request.NetworkNamespace,
            PodNamespace = arguments.GetValueOrDefault("K8S_POD_NAMESPACE", ""),
            PodName = arguments.GetValueOrDefault("K8S_POD_NAME", ""),
            PodUid = arguments.GetValueOrDefault("K8S_POD_UID", ""),
            ValidAttachments = request.Command == "GC" ? ReadValidAttachments(config.RootElement) : null,
        };
    }

    private static JsonDocument ParseConfig(string text)
    {
        try
        {
            JsonDocument config = JsonDocument.Parse(text);
            if (config.RootElement.ValueKind == JsonValueKind.Object)
                return config;
            config.Dispose();
            throw new CniException(CniErrorCode.DecodingFailure, "the network configuration is not a JSON object");
        }
        catch (JsonException e)
        {
            throw new CniException(CniErrorCode.DecodingFailure, $"the network configuration is not JSON: {e.Message}", e);
        }
    }

    private static string ReadVersion(JsonElement config)
    {
        if (!config.TryGetProperty("cniVersion", out JsonElement element))
            return "0.3.1";
        string version = element.ValueKind == JsonValueKind.String
            ? element.GetString()!
            : throw new CniException(CniErrorCode.InvalidNetworkConfig, "cniVersion is not a string");
        if (SupportedVersions.Contains(version))
            return version;
        throw new CniException(CniErrorCode.IncompatibleVersion, $"cniVersion {version} is not one of {string.Join(", ", SupportedVersions)}");
    }

    private static void RequireAttachment(CniRequest request)
    {
        if (request.ContainerId.Length == 0)
            throw new CniException(CniErrorCode.InvalidEnvironment, "CNI_CONTAINERID is empty");
        if (!IsContainerId(request.ContainerId))
            throw new CniException(CniErrorCode.InvalidEnvironment, $"CNI_CONTAINERID '{request.ContainerId}' has characters other than letters, digits, '.', '_' and '-'");
        // IFNAMSIZ is 16 with the terminating zero.
        if (request.InterfaceName.Length is 0 or > 15 || request.InterfaceName is "." or ".." || request.InterfaceName.Any(c => c is '/' or ':' || char.IsWhiteSpace(c)))
            throw new CniException(CniErrorCode.InvalidEnvironment, $"CNI_IFNAME '{request.InterfaceName}' is not a name for a network interface");
    }

    private static bool IsContainerId(string id)
        => char.IsAsciiLetterOrDigit(id[0]) && id.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-');

    private static Dictionary<string, string> ParseArguments(string text)
    {
        var arguments = new Dictionary<string, string>();
        foreach (string pair in text.Split(';', StringSplitOptions.RemoveEmptyEntries))
        {
            int equals = pair.IndexOf('=', StringComparison.Ordinal);
            if (equals < 0)
                throw new CniException(CniErrorCode.InvalidEnvironment, $"CNI_ARGS has '{pair}', which is not KEY=VALUE");
            arguments[pair[..equals]] = pair[(equals + 1)..];
        }

        return arguments;
    }

    private static ImmutableArray<CniAttachmentId>? ReadValidAttachments(JsonElement config)
    {
        if (!config.TryGetProperty("cni.dev/valid-attachments", out JsonElement list) || list.ValueKind != JsonValueKind.Array)
            return null;
        var valid = ImmutableArray.CreateBuilder<CniAttachmentId>();
        foreach (JsonElement item in list.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Object
                || !item.TryGetProperty("containerID", out JsonElement container)
                || !item.TryGetProperty("ifname", out JsonElement name))
                throw new CniException(CniErrorCode.InvalidNetworkConfig, "cni.dev/valid-attachments has an entry without containerID and ifname");
            valid.Add(new CniAttachmentId(container.GetString() ?? "", name.GetString() ?? ""));
        }

        return valid.ToImmutable();
    }
}
