// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Serialization;

namespace Axoneme.Cli.Cilium;

internal sealed record VersionReport(VersionOf Client, VersionOf Daemon);

internal sealed record VersionOf(string Version);

/// <summary>A connection of <c>bpf ct list</c>; the expiry is a second of the monotonic clock.</summary>
internal sealed record ConnectionModel
{
    public required string Protocol { get; init; }

    public required string Direction { get; init; }

    public required string Source { get; init; }

    public required string Destination { get; init; }

    public uint Expires { get; init; }

    public long RemainingSeconds { get; init; }

    public ulong Packets { get; init; }

    public ulong Bytes { get; init; }

    public byte RxFlagsSeen { get; init; }

    public uint LastRxReport { get; init; }

    public byte TxFlagsSeen { get; init; }

    public uint LastTxReport { get; init; }

    public required IReadOnlyList<string> Flags { get; init; }

    public ushort RevNat { get; init; }

    public uint SourceSecurityId { get; init; }

    public uint BackendId { get; init; }
}

/// <summary>A translation of <c>bpf nat list</c>.</summary>
internal sealed record TranslationModel
{
    public required string Protocol { get; init; }

    /// <summary>OUT: the source is translated; IN: the destination.</summary>
    public required string Direction { get; init; }

    public required string Source { get; init; }

    public required string Destination { get; init; }

    public required string Translation { get; init; }

    public long AgeSeconds { get; init; }

    public long RemainingSeconds { get; init; }

    public ushort RevNat { get; init; }

    public required IReadOnlyList<string> Flags { get; init; }
}

/// <summary>How many connections needed so many more ports to be tried.</summary>
internal sealed record RetryModel(string Family, int Retries, long Connections);

/// <summary>The policy map of one endpoint.</summary>
internal sealed record EndpointPolicyModel(ushort EndpointId, string Path, IReadOnlyList<PolicyEntryModel> Content);

internal sealed record PolicyEntryModel
{
    public required string Policy { get; init; }

    public required string Direction { get; init; }

    public uint Identity { get; init; }

    public IReadOnlyList<string>? Labels { get; init; }

    public required string Port { get; init; }

    public ushort ProxyPort { get; init; }

    public int Prefix { get; init; }

    public uint Precedence { get; init; }

    public uint Cookie { get; init; }
}

/// <summary>A reason with its counters by direction.</summary>
internal sealed record MetricModel(int Reason, string Description, IReadOnlyDictionary<string, MetricCounters> Values);

internal sealed record MetricCounters(ulong Packets, ulong Bytes);

/// <summary>JSON of what this program says itself, rather than the agent.</summary>
[JsonSerializable(typeof(VersionReport))]
[JsonSerializable(typeof(IReadOnlyList<ConnectionModel>))]
[JsonSerializable(typeof(IReadOnlyList<TranslationModel>))]
[JsonSerializable(typeof(IReadOnlyList<RetryModel>))]
[JsonSerializable(typeof(IReadOnlyList<EndpointPolicyModel>))]
[JsonSerializable(typeof(IReadOnlyList<MetricModel>))]
[JsonSerializable(typeof(IReadOnlyList<string>))]
[JsonSerializable(typeof(IReadOnlyDictionary<string, IReadOnlyList<string>>))]
[JsonSerializable(typeof(IReadOnlyDictionary<string, Axoneme.AgentApi.TableContents>))]
internal sealed partial class CliJson : JsonSerializerContext
{
    /// <summary>The same with names as other tools of this kind spell them.</summary>
    public static CliJson CamelCase { get; } = new(new System.Text.Json.JsonSerializerOptions
    {
        PropertyNamingPolicy = System.Text.Json.JsonNamingPolicy.CamelCase,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    });
}
