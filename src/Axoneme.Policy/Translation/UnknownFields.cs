// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Policy;

/// <summary>
/// Fields that a newer schema lets through. What they would restrict is unknown, so an allowing entry that holds one allows nothing; a denying
/// entry denies what its known fields say.
/// </summary>
internal static class UnknownFields
{
    private const string NotKnown = "is no field that this version knows";

    /// <summary>Those of the rule itself, which restrict nothing here.</summary>
    public static void ReportRule(TranslationContext context, string path, PolicyRule rule)
        => Report(context, path, rule, $"{NotKnown}; it has no effect");

    /// <summary>True when the entry or something inside it has one.</summary>
    public static bool ReportEntry(TranslationContext context, CiliumEntry entry)
    {
        string consequence = entry.Deny ? $"{NotKnown}; the entry denies what the other fields say" : $"{NotKnown}; the entry allows nothing";
        bool found = false;
        foreach ((string path, PolicyElement? element) in Elements(entry))
            found |= Report(context, path, element, consequence);
        return found;
    }

    private static IEnumerable<(string Path, PolicyElement? Element)> Elements(CiliumEntry entry)
    {
        yield return (entry.Path, entry.Written);
        foreach ((string name, IEnumerable<PolicyElement>? list) in new (string, IEnumerable<PolicyElement>?)[]
        {
            ("CIDRSet", entry.CidrSet), ("Groups", entry.Groups), ("Services", entry.Services), ("FQDNs", entry.Fqdns),
        })
        {
            int index = 0;
            foreach (PolicyElement element in list ?? [])
                yield return ($"{entry.PeerField(name)}[{index++}]", element);
        }

        for (int i = 0; i < (entry.ToPorts?.Count ?? 0); i++)
        {
            PortRule rule = entry.ToPorts![i];
            string path = $"{entry.Path}.toPorts[{i}]";
            yield return (path, rule);
            yield return ($"{path}.rules", rule.Rules);
            yield return ($"{path}.listener", rule.Listener);
            for (int j = 0; j < (rule.Ports?.Count ?? 0); j++)
                yield return ($"{path}.ports[{j}]", rule.Ports![j]);
        }

        for (int i = 0; i < (entry.Icmps?.Count ?? 0); i++)
        {
            yield return ($"{entry.Path}.icmps[{i}]", entry.Icmps![i]);
            for (int j = 0; j < (entry.Icmps[i].Fields?.Count ?? 0); j++)
                yield return ($"{entry.Path}.icmps[{i}].fields[{j}]", entry.Icmps[i].Fields![j]);
        }
    }

    private static bool Report(TranslationContext context, string path, PolicyElement? element, string text)
    {
        foreach (string field in (element?.UnknownFields?.Keys ?? []).Order(StringComparer.Ordinal))
            context.Warn($"{path}.{field}", text);
        return element?.UnknownFields is { Count: > 0 };
    }
}
