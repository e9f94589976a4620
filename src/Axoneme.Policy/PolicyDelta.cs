// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;

namespace Axoneme.Policy;

/// <summary>The way from one <see cref="EndpointPolicy"/> to the next. Apply the upserts first: an allow that moves never has a gap.</summary>
public sealed record PolicyDelta(ImmutableArray<KeyValuePair<PolicyKey, PolicyEntry>> Upserts, ImmutableArray<PolicyKey> Deletes)
{
    public static readonly PolicyDelta Empty = new([], []);

    public bool IsEmpty => Upserts.IsEmpty && Deletes.IsEmpty;

    public static PolicyDelta Between(EndpointPolicy? before, EndpointPolicy after)
    {
        ArgumentNullException.ThrowIfNull(after);
        var delta = new Builder();
        ImmutableDictionary<PolicyPeer, PolicySlice> old = (before?.Entries ?? PolicyEntryCollection.Empty).Slices;
        foreach ((PolicyPeer peer, PolicySlice slice) in after.Entries.Slices)
            delta.Add(peer, old.GetValueOrDefault(peer), slice);
        foreach ((PolicyPeer peer, PolicySlice slice) in old)
        {
            if (!after.Entries.Slices.ContainsKey(peer))
                delta.Add(peer, slice, null);
        }

        return delta.ToDelta();
    }

    /// <summary>Between the policies on trial of two versions; empty when the later one has none.</summary>
    public static PolicyDelta OfShadows(EndpointPolicy? before, EndpointPolicy after)
    {
        ArgumentNullException.ThrowIfNull(after);
        return after.Shadow is null || ReferenceEquals(before?.Shadow, after.Shadow) ? Empty : Between(before?.Shadow, after.Shadow);
    }

    /// <summary>Collects the differences of slices.</summary>
    internal sealed class Builder
    {
        private readonly ImmutableArray<KeyValuePair<PolicyKey, PolicyEntry>>.Builder _upserts =
            ImmutableArray.CreateBuilder<KeyValuePair<PolicyKey, PolicyEntry>>();

        private readonly ImmutableArray<PolicyKey>.Builder _deletes = ImmutableArray.CreateBuilder<PolicyKey>();

        public void Add(PolicyPeer peer, PolicySlice? before, PolicySlice? after)
        {
            if (ReferenceEquals(before, after))
                return;
            ReadOnlySpan<KeyValuePair<L4Block, PolicyEntry>> old = before is null ? [] : before.Entries;
            ReadOnlySpan<KeyValuePair<L4Block, PolicyEntry>> next = after is null ? [] : after.Entries;
            int i = 0;
            int j = 0;
            // Both are sorted.
            while (i < old.Length || j < next.Length)
            {
                int order = i == old.Length ? 1 : j == next.Length ? -1 : old[i].Key.CompareTo(next[j].Key);
                if (order < 0)
                    _deletes.Add(old[i].Key.Of(peer));
                else if (order > 0 || old[i].Value != next[j].Value)
                    _upserts.Add(KeyValuePair.Create(next[j].Key.Of(peer), next[j].Value));
                i += order <= 0 ? 1 : 0;
                j += order >= 0 ? 1 : 0;
            }
        }

        public PolicyDelta ToDelta()
            => _upserts.Count == 0 && _deletes.Count == 0 ? Empty : new PolicyDelta(_upserts.DrainToImmutable(), _deletes.DrainToImmutable());
    }
}
