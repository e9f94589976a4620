// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Serialization;

namespace Axoneme.DnsProxy;

/// <summary>
/// What agent and DNS proxy tell each other over the socket <c>dns-proxy.sock</c>. Names are in lower case and without the final dot (the root is
/// "."), bytes other than letters, digits, '-' and '_' in a label are written <c>\DDD</c> (RFC 1035, 5.1). Times are Unix time.
/// </summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(AgentHello), "agent-hello")]
[JsonDerivedType(typeof(SnapshotBegin), "snapshot-begin")]
[JsonDerivedType(typeof(SnapshotEnd), "snapshot-end")]
[JsonDerivedType(typeof(SetOptions), "options")]
[JsonDerivedType(typeof(UpdateEndpoints), "endpoints")]
[JsonDerivedType(typeof(UpdateSets), "sets")]
[JsonDerivedType(typeof(UpdatePrefixes), "prefixes")]
[JsonDerivedType(typeof(Forget), "forget")]
[JsonDerivedType(typeof(LearnedAcknowledgement), "learned-ack")]
[JsonDerivedType(typeof(SyncRequest), "sync")]
[JsonDerivedType(typeof(ProxyHello), "hello")]
[JsonDerivedType(typeof(CacheContents), "cache")]
[JsonDerivedType(typeof(CacheEnd), "cache-end")]
[JsonDerivedType(typeof(WrittenAddresses), "written")]
[JsonDerivedType(typeof(Learned), "learned")]
[JsonDerivedType(typeof(Queries), "queries")]
[JsonDerivedType(typeof(SyncReply), "sync-reply")]
[JsonDerivedType(typeof(Counters), "counters")]
public abstract record ProxyMessage
{
    /// <summary>Of the messages described here; raised when an older side could not understand a newer one.</summary>
    public const int CurrentVersion = 2;

    /// <summary>The oldest version that this side still speaks.</summary>
    public const int OldestVersion = 2;

    /// <summary>Name of the socket in the state directory.</summary>
    public const string SocketName = "dns-proxy.sock";
}

/// <summary>The first message of each side. The connection ends when the ranges of versions have nothing in common.</summary>
public abstract record Hello : ProxyMessage
{
    public int Version { get; init; } = CurrentVersion;

    public int Oldest { get; init; } = OldestVersion;

    internal bool IsUnderstood => Oldest <= CurrentVersion && Version >= OldestVersion;
}
