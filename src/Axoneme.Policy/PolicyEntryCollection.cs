// SPDX-License-Identifier: Apache-2.0
using System.Collections;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>
/// Contents of a policy map, in no order. Immutable; stored by peer, where peers with the same rules share what is said, so that a large
/// policy takes little more than its list of peers.
/// </summary>
public sealed class PolicyEntryCollection : IReadOnlyDictionary<PolicyKey, PolicyEntry>
{
    public static readonly PolicyEntryCollection Empty = new(ImmutableDictionary<PolicyPeer, PolicySlice>.Empty, 0);

    internal PolicyEntryCollection(ImmutableDictionary<PolicyPeer, PolicySlice> slices, int count)
    {
        Slices = slices;
        Count = count;
    }

    public int Count { get; }

    public IEnumerable<PolicyKey> Keys => this.Select(e => e.Key);

    public IEnumerable<PolicyEntry> Values => this.Select(e => e.Value);

    internal ImmutableDictionary<PolicyPeer, PolicySlice> Slices { get; }

    /// <exception cref="KeyNotFoundException">There is no such entry.</exception>
    public PolicyEntry this[PolicyKey key] => TryGetValue(key, out PolicyEntry? entry) ? entry : throw new KeyNotFoundException($"no entry {key}");

    public bool ContainsKey(PolicyKey key) => TryGetValue(key, out _);

    public bool TryGetValue(PolicyKey key, [MaybeNullWhen(false)] out PolicyEntry value)
    {
        value = Slices.TryGetValue(new PolicyPeer(key.Direction, key.Identity), out PolicySlice? slice)
            ? slice.Find(new L4Block(key.Protocol, key.Port, key.PortPrefixLength)) : null;
        return value is not null;
    }

    /// <summary>The longest prefix of one identity or class, as the kernel's trie finds it.</summary>
    public PolicyVerdict Match(TrafficDirection direction, SecurityIdentity peer, L4Protocol protocol, ushort port)
    {
        var side = new PolicyPeer(direction, peer);
        return Slices.TryGetValue(side, out PolicySlice? slice) && slice.Match(protocol, port) is { } match
            ? new PolicyVerdict(match.Key.Of(side), match.Value) : default;
    }

    public IEnumerator<KeyValuePair<PolicyKey, PolicyEntry>> GetEnumerator()
    {
        foreach ((PolicyPeer peer, PolicySlice slice) in Slices)
        {
            for (int i = 0; i < slice.Entries.Length; i++)
                yield return KeyValuePair.Create(slice.Entries[i].Key.Of(peer), slice.Entries[i].Value);
        }
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
