// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>Address blocks by group; a group that does not exist has none.</summary>
internal sealed class CidrGroups
{
    private readonly SortedDictionary<string, (IReadOnlyDictionary<string, string>? Labels, ImmutableArray<IpPrefix> Prefixes)> _groups =
        new(StringComparer.Ordinal);

    public IEnumerable<IpPrefix> Find(string name) => _groups.TryGetValue(name, out var group) ? group.Prefixes : [];

    public IEnumerable<IpPrefix> Select(LabelSelector selector)
        => _groups.Values.Where(g => selector.Matches(g.Labels)).SelectMany(g => g.Prefixes);

    /// <summary>The groups that have a label with the key.</summary>
    public IEnumerable<IpPrefix> WithLabel(string key)
        => _groups.Values.Where(g => g.Labels?.ContainsKey(key) == true).SelectMany(g => g.Prefixes);

    public void Set(CiliumCIDRGroup group, ImmutableArray<IpPrefix> prefixes)
        => _groups[group.Metadata.Name] = (group.Metadata.Labels, prefixes);

    public bool Remove(string name) => _groups.Remove(name);
}
