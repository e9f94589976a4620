// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Hubble.Api;

namespace Axoneme.Hubble;

/// <summary>Says in one sentence why policy stopped a packet, or would have; empty for what passed.</summary>
internal static class VerdictSentence
{
    // A line of text: who needs all of them reads the flow's fields.
    private const int NamedPolicies = 4;

    public static string Of(in FlowRecord flow)
    {
        if (flow.Attribution is not { } attribution)
            return "";
        string direction = flow.Direction == TrafficDirection.Egress ? "egress" : "ingress";
        string condition = flow.Hypothesis switch
        {
            VerdictHypothesis.Audit => "audit: would be ",
            VerdictHypothesis.WouldDeny or VerdictHypothesis.WouldAllow => "shadow: would be ",
            _ when flow.Verdict != Verdict.Dropped => "",
            _ when flow.WasEstablished => "established connection cut: ",
            _ => " ",
        };
        if (condition.Length == 0)
            return "";
        string word = flow.Hypothesis == VerdictHypothesis.WouldAllow ? "allowed" : "denied";
        // Rules that allow, by way of something that the node does not have.
        if (flow.Verdict == Verdict.Dropped && attribution.Kind == AttributionKind.Rules && flow.DropReason != (byte)DropReason.PolicyDeny)
            return $"{condition}not passed on in direction {direction}: {List(attribution.Policies, withRules: true)} needs a proxy or authentication that is not there".Trim();
        string reason = attribution.Kind == AttributionKind.Rules
            ? $"{word} in direction {direction} by {List(attribution.Policies, withRules: true)}"
            : $"{(flow.Hypothesis == VerdictHypothesis.None ? "default deny" : "denied by default")} in direction {direction} {Because(flow, attribution)}";
        return (condition + reason).Trim();
    }

    private static string Because(in FlowRecord flow, FlowAttribution attribution)
    {
        FlowEndpoint? policed = flow.Direction == TrafficDirection.Egress ? flow.Source : flow.Destination;
        string who = policed is { PodName.Length: > 0 } ? $"{policed.Namespace}/{policed.PodName}" : "the endpoint";
        if (attribution.Policies.IsEmpty)
            return $"although no policy selects {who}: enforcement is always on, or its labels are not known yet";
        string verb = attribution.Policies.Length == 1 ? "selects" : "select";
        return $"because {List(attribution.Policies, withRules: false)} {verb} {who}, none matches";
    }

    private static string List(ImmutableArray<FlowPolicy> policies, bool withRules)
    {
        IEnumerable<string> names = policies.Take(NamedPolicies)
            .Select(p => withRules && !p.Rules.IsEmpty ? $"{p} ({string.Join(", ", p.Rules)})" : p.ToString());
        string list = string.Join(", ", names);
        return policies.Length > NamedPolicies ? $"{list} and {policies.Length - NamedPolicies} more" : list;
    }
}
