// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;

namespace Axoneme.Policy;

/// <summary>How many entries of an endpoint's policy are there because of one policy object.</summary>
public readonly record struct PolicyShare(PolicyObjectKey Policy, int Entries);

/// <summary>Which policy objects make a policy large.</summary>
public static class PolicyShares
{
    /// <summary>
    /// The objects with most entries, the largest first, at most <paramref name="count"/>. An entry that several objects ask for counts for each.
    /// </summary>
    public static ImmutableArray<PolicyShare> Largest(PolicyEntryCollection entries, int count)
    {
        ArgumentNullException.ThrowIfNull(entries);
        var sums = new Dictionary<PolicyObjectKey, int>();
        // A slice says the same about each of its peers.
        foreach (IGrouping<PolicySlice, PolicySlice> uses in entries.Slices.Values.GroupBy(slice => slice))
        {
            int peers = uses.Count();
            foreach ((_, PolicyEntry entry) in uses.Key.Entries)
            {
                foreach (PolicyObjectKey policy in entry.Origins.Rules.Select(r => r.Policy).Distinct())
                    sums[policy] = sums.GetValueOrDefault(policy) + peers;
            }
        }

        return [.. sums.OrderByDescending(s => s.Value).ThenBy(s => s.Key).Take(count).Select(s => new PolicyShare(s.Key, s.Value))];
    }
}
