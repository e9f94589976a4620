// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using Axoneme.Network;

namespace Axoneme.Agent.Nodes;

/// <summary>What this node is to the cluster. Fixed for the life of the process: pod ranges of a node never change.</summary>
internal sealed record LocalNode
{
    public required string Name { get; init; }

    public IpAddress? IPv4 { get; init; }

    public IpAddress? IPv6 { get; init; }

    public IpPrefix? IPv4PodRange { get; init; }

    public IpPrefix? IPv6PodRange { get; init; }

    /// <summary>The gateway of this node's pods: the first address of the range that may be used.</summary>
    public IpAddress? IPv4Router => IPv4PodRange?.Address.Add(1);

    public IpAddress? IPv6Router => IPv6PodRange?.Address.Add(1);

    public IEnumerable<IpAddress> NodeAddresses => Present(IPv4, IPv6);

    public IEnumerable<IpAddress> Routers => Present(IPv4Router, IPv6Router);

    public IEnumerable<IpPrefix> PodRanges => new[] { IPv4PodRange, IPv6PodRange }.OfType<IpPrefix>();

    private static ImmutableArray<IpAddress> Present(params ReadOnlySpan<IpAddress?> addresses)
    {
        var present = ImmutableArray.CreateBuilder<IpAddress>();
        foreach (IpAddress? address in addresses)
        {
            if (address is { } value)
                present.Add(value);
        }

        return present.ToImmutable();
    }
}

/// <summary>The local node on disk, so that a restart does not need the API.</summary>
internal static class LocalNodeFile
{
    private static string PathIn(string stateDirectory) => Path.Combine(stateDirectory, "state", "node.json");

    /// <summary>The saved node, or null when there is none that can be used.</summary>
    public static LocalNode? Load(string stateDirectory)
    {
        try
        {
            using FileStream content = File.OpenRead(PathIn(stateDirectory));
            return JsonSerializer.Deserialize(content, LocalNodeJson.Default.SavedNode)?.Restore();
        }
        catch (Exception e) when (e is IOException or JsonException or FormatException)
        {
            return null;
        }
    }

    public static void Save(string stateDirectory, LocalNode node)
    {
        string path = PathIn(stateDirectory);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        string temporary = path + ".new";
        File.WriteAllText(temporary, JsonSerializer.Serialize(SavedNode.From(node), LocalNodeJson.Default.SavedNode));
        File.Move(temporary, path, overwrite: true);
    }
}

internal sealed record SavedNode(string Name, string? IPv4, string? IPv6, string? IPv4PodRange, string? IPv6PodRange)
{
    public static SavedNode From(LocalNode node) => new(
        node.Name, node.IPv4?.ToString(), node.IPv6?.ToString(), node.IPv4PodRange?.ToString(), node.IPv6PodRange?.ToString());

    /// <exception cref="FormatException">An address is malformed.</exception>
    public LocalNode Restore() => new()
    {
        Name = Name,
        IPv4 = IPv4 is null ? null : IpAddress.Parse(IPv4),
        IPv6 = IPv6 is null ? null : IpAddress.Parse(IPv6),
        IPv4PodRange = IPv4PodRange is null ? null : IpPrefix.Parse(IPv4PodRange),
        IPv6PodRange = IPv6PodRange is null ? null : IpPrefix.Parse(IPv6PodRange),
    };
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(SavedNode))]
internal sealed partial class LocalNodeJson : JsonSerializerContext;
