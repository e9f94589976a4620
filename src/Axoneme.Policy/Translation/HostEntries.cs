// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>Entries of rules for nodes, whose traffic passes no proxy: all that a rule may say beyond ports are DNS names on egress.</summary>
internal static class HostEntries
{
    /// <summary>
    /// The entry without rules about names. Where only some names are allowed the ports are left out as well: without a proxy that reads
    /// the names, the ports alone would allow more than the rule does.
    /// </summary>
    public static CiliumEntry WithoutNames(TranslationContext context, CiliumEntry entry)
    {
        if (entry.Fqdns is { Count: > 0 } && context.Options.EnableHostFirewall)
            context.Warn(
                entry.PeerField("FQDNs"),
                $"learning addresses from what the node asks for is {TranslationContext.NotAvailable}; the entry allows those that pods of the node have learned");
        return entry.ToPorts is not { Count: > 0 } rules
            ? entry
            : entry with { ToPorts = [.. rules.Select((rule, i) => WithoutNames(context, entry, $"{entry.Path}.toPorts[{i}].rules", rule))] };
    }

    private static PortRule WithoutNames(TranslationContext context, CiliumEntry entry, string path, PortRule rule)
    {
        if (rule.Rules is not { } l7)
            return rule;
        if (IsFilled(l7.Http) || IsFilled(l7.Kafka) || IsFilled(l7.L7) || l7.L7proto is { Length: > 0 }
            || (l7.Dns is { Count: > 0 } && entry.Direction == TrafficDirection.Ingress))
            context.Error(path, "a policy for nodes may have DNS rules on egress only");
        if (l7.Dns is not { Count: > 0 } names)
            return rule;
        if (names.Any(n => n.MatchPattern == "*"))
        {
            context.Warn($"{path}.dns", $"observing names that the node asks for is {TranslationContext.NotAvailable}; every name is allowed, as the rule says");
            return rule with { Rules = l7 with { Dns = null } };
        }

        context.Warn($"{path}.dns", $"filtering names that the node asks for is {TranslationContext.NotAvailable}; the entry allows nothing");
        return rule with { Rules = l7 with { Dns = null }, Ports = [] };
    }

    private static bool IsFilled(JsonElement? rules) => rules is { ValueKind: JsonValueKind.Array } list && list.GetArrayLength() > 0;
}
