// SPDX-License-Identifier: Apache-2.0
using Axoneme.Dns;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using FqdnConfig = Axoneme.Kubernetes.Resources.FqdnSelector;

namespace Axoneme.Policy;

/// <summary>DNS names of the API: whose addresses may be reached, and which ones may be asked for.</summary>
internal static class NameTranslation
{
    /// <summary>Null: no pattern, which was reported.</summary>
    public static DnsPattern? Pattern(TranslationContext context, string path, FqdnConfig written)
    {
        bool isName = !string.IsNullOrEmpty(written.MatchName);
        if (isName == !string.IsNullOrEmpty(written.MatchPattern))
        {
            context.Error(path, "must have exactly one of matchName and matchPattern");
            return null;
        }

        bool valid = isName
            ? DnsPattern.TryParseName(written.MatchName, out DnsPattern pattern, out string problem)
            : DnsPattern.TryParsePattern(written.MatchPattern, out pattern, out problem);
        if (valid)
            return pattern;
        context.Error($"{path}.{(isName ? "matchName" : "matchPattern")}", problem);
        return null;
    }

    /// <summary>Null: the rule does not look at names.</summary>
    public static DnsRedirect? Redirect(TranslationContext context, CiliumEntry entry, string path, PortRule rule)
    {
        if (rule.Rules?.Dns is not { Count: > 0 } names)
            return null;
        if (entry.Deny)
            context.Error($"{path}.rules.dns", "has no meaning in a deny rule");
        return DnsRedirect.Of(names
            .Select((n, i) => Pattern(context, $"{path}.rules.dns[{i}]", n)).OfType<DnsPattern>());
    }
}
