// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Operator.Identities;

/// <summary>What one pass over the identities found.</summary>
/// <param name="Mark">Unused for long enough: their annotation says so, and they go at a later pass if they still bear it.</param>
/// <param name="Keep">Marked, and in use again: the mark goes.</param>
/// <param name="Delete">Marked at an earlier pass and still unused.</param>
/// <param name="Alive">How many stay as they are.</param>
internal sealed record IdentityPass(
    IReadOnlyList<CiliumIdentity> Mark, IReadOnlyList<CiliumIdentity> Keep, IReadOnlyList<CiliumIdentity> Delete, int Alive);

/// <summary>
/// Decides which identities are garbage, in two steps: an agent that wants an identity again in between takes the mark away, which changes the
/// object's version and so makes the deletion fail. Remembers when each was last seen in use, so a restarted operator begins to wait anew.
/// </summary>
/// <param name="timeout">How long one that nobody uses is left alone.</param>
internal sealed class IdentityGarbage(TimeSpan timeout)
{
    /// <summary>Upstream's name for the mark; its value is the time of the pass that set it.</summary>
    public const string Annotation = "io.cilium.heartbeat";

    private readonly Dictionary<string, (string Uid, DateTimeOffset Time)> _signs = [];

    /// <summary>One pass.</summary>
    /// <param name="identities">All that there are.</param>
    /// <param name="used">Names of those that an endpoint has.</param>
    public IdentityPass Pass(IReadOnlyCollection<CiliumIdentity> identities, IReadOnlySet<string> used, DateTimeOffset now)
    {
        HashSet<string> superfluous = Duplicates(identities);
        List<CiliumIdentity> mark = [], keep = [], delete = [];
        foreach (CiliumIdentity identity in identities)
        {
            string name = identity.Metadata.Name;
            bool isMarked = identity.Metadata.Annotation(Annotation) is not null;
            if (used.Contains(name) || Sign(identity, now) is not { } seen)
            {
                _signs[name] = (identity.Metadata.Uid ?? "", now);
                if (isMarked && used.Contains(name))
                    keep.Add(identity);
            }
            else if (isMarked)
            {
                delete.Add(identity);
            }
            // Agents that need the labels take the smaller number, so nobody will come for this one.
            else if (superfluous.Contains(name) || now - seen >= timeout)
            {
                mark.Add(identity);
            }
        }

        Forget(identities);
        return new IdentityPass(mark, keep, delete, identities.Count - mark.Count - delete.Count);
    }

    // An object that is not yet known, or another one of the same name, is alive from now on.
    private DateTimeOffset? Sign(CiliumIdentity identity, DateTimeOffset now)
        => _signs.TryGetValue(identity.Metadata.Name, out (string Uid, DateTimeOffset Time) sign) && sign.Uid == (identity.Metadata.Uid ?? "")
            ? sign.Time
            // Marked by the operator that led before: it has waited already.
            : identity.Metadata.Annotation(Annotation) is null ? null : now;

    private void Forget(IReadOnlyCollection<CiliumIdentity> identities)
    {
        var present = identities.Select(i => i.Metadata.Name).ToHashSet();
        foreach (string gone in _signs.Keys.Where(name => !present.Contains(name)).ToArray())
            _signs.Remove(gone);
    }

    /// <summary>All but the smallest number of each set of labels.</summary>
    private static HashSet<string> Duplicates(IReadOnlyCollection<CiliumIdentity> identities)
        => [.. identities.GroupBy(Labels).SelectMany(same => same.OrderBy(Number).Skip(1)).Select(i => i.Metadata.Name)];

    private static string Labels(CiliumIdentity identity)
        => string.Join('\n', (identity.SecurityLabels ?? new Dictionary<string, string>()).OrderBy(l => l.Key, StringComparer.Ordinal).Select(l => $"{l.Key}={l.Value}"));

    private static ulong Number(CiliumIdentity identity) => ulong.TryParse(identity.Metadata.Name, out ulong number) ? number : ulong.MaxValue;
}
