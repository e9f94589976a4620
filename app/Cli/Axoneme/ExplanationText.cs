// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Dns;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Policy.Explain;

namespace Axoneme.Cli.Explanations;

/// <summary>An explanation for people: the verdict first, then each step in the order in which a packet meets it.</summary>
internal sealed class ExplanationText(TextWriter output)
{
    // Rules that do not match are context; a policy with hundreds of them would bury the rest.
    private const int ShownMismatches = 8;
    private const int ShownBackends = 6;
    private const int Indent = 14;

    public void Write(Explanation explanation, VerdictChange? change)
    {
        output.WriteLine(explanation.Name.Length > 0
            ? $"{VerdictOfQuestion(explanation)}: {explanation.Source} asks {explanation.Asked} port {explanation.Port} for {explanation.Name}"
            : $"{Verdict(explanation)}: {explanation.Source} -> {explanation.Asked} port {explanation.Port}");
        if (explanation.Paths.FirstOrDefault(p => !p.Allowed) is { } refused && Reason(refused) is { } reason)
            output.WriteLine($"because {reason}");
        if (explanation.Service is { } service)
            WriteService(service);
        for (int i = 0; i < explanation.Paths.Length; i++)
        {
            output.WriteLine();
            if (explanation.Paths.Length > 1)
                output.WriteLine($"Backend {i + 1} of {explanation.Paths.Length}: {(explanation.Paths[i].Allowed ? "allowed" : "denied")}");
            WritePath(explanation.Paths[i]);
        }

        foreach (string note in explanation.Notes)
            Step("note", note);
        if (change is not null)
            WriteChange(explanation, change);
    }

    // The answer in a line; what follows is for those who doubt it.
    private static string? Reason(ConnectionPath path)
    {
        if (path.Lookup is { Allowed: false } lookup)
            return $"the name cannot be looked up: {Reason(lookup)}";
        if (path.Question is { Outcome: NameOutcome.Refused })
            return "the DNS proxy answers for other names only";
        if (path is { Lookup.Question.Outcome: NameOutcome.Unseen, Egress.Allows: false, NamingRules.IsEmpty: false })
            return "nobody sees the answers that would give the name its addresses: no rule with rules.dns holds for the question";
        Decision decision = path.Egress.Allows ? path.Ingress : path.Egress;
        string what = decision.Direction == TrafficDirection.Egress ? $"{decision.End} send it" : $"{decision.End} receive it";
        string rules = string.Join(", ", decision.Deciding);
        return decision switch
        {
            { Allows: true } => null,
            { Kind: DecisionKind.Denied } => $"{rules} {(decision.Deciding.Length == 1 ? "does" : "do")} not let {what}",
            { Deciding.IsEmpty: true } => $"enforcement is always on and no policy lets {what}",
            _ => $"no rule of {string.Join(", ", decision.Deciding.Select(r => r.Policy).Distinct())} lets {what}",
        };
    }

    private static string Verdict(Explanation explanation)
        => explanation.Allowed ? "ALLOWED" : explanation.Denied ? "DENIED" : "DEPENDS ON THE BACKEND";

    private static string VerdictOfQuestion(Explanation explanation)
        => explanation.Allowed ? "ANSWERED" : explanation.Paths.Any(p => p.Question?.Outcome == NameOutcome.Refused) ? "REFUSED" : Verdict(explanation);

    private void WriteService(ServiceTranslation service)
    {
        string list = string.Join(", ", service.Backends.Take(ShownBackends).Select(b => $"{b.End} port {b.Port}"));
        string more = service.Backends.Length > ShownBackends ? $" and {service.Backends.Length - ShownBackends} more" : "";
        string from = service.BySelector ? ", by its selector" : "";
        Step("service", service.Backends.IsEmpty
            ? $"{service.Service} port {service.Port} has no ready backend{from}: connections are refused before policy is asked"
            : $"{service.Service} port {service.Port} is translated to {(service.Backends.Length == 1 ? "its backend" : $"one of {service.Backends.Length} backends")}{from}: {list}{more}");
        if (!service.Backends.IsEmpty)
            Step("", "policy is asked about the backend and its port, not about the service");
    }

    private void WritePath(ConnectionPath path)
    {
        if (path.Lookup is { } lookup)
            WriteLookup(path, lookup);
        Step("source", Describe(path.Source, path.SourceIdentity));
        Step("destination", $"{Describe(path.Destination, path.DestinationIdentity)}, port {PortText.Of(path.Protocol, path.Port)}");
        if (!path.Likewise.IsEmpty)
            Step("", $"the same holds for {string.Join(", ", path.Likewise.Take(ShownBackends))}{(path.Likewise.Length > ShownBackends ? " ..." : "")}");
        if (path.IsHairpin)
        {
            Step("policy", $"is not asked: {path.Source} reaches itself");
            return;
        }

        WriteDecision("egress", path.Egress);
        WriteRedirect(path);
        if (path.Egress.Allows)
            WriteDecision("ingress", path.Ingress);
        else
            Step("ingress", $"not reached; it would be {(path.Ingress.Allows ? "allowed" : "denied as well")}");
        if (!path.Egress.Allows && !path.Ingress.Allows)
            WriteDecision("", path.Ingress);
        Step("replies", path.Allowed ? "pass in both directions without a rule, as connection tracking knows the connection" : "there are none");
    }

    private static string Describe(TrafficEnd end, SecurityIdentity identity)
    {
        string address = end.Address is { } a && end.Kind != TrafficEndKind.Address ? $" {a}" : "";
        string node = end.Kind == TrafficEndKind.Pod && end.Node.Length > 0 ? $" on {end.Node}" : "";
        string labels = end.Pod is { } pod ? $": {Labels(pod)}"
            : end.Kind == TrafficEndKind.Node && !SecurityIdentity.ReservedNames.ContainsKey(identity.Value) ? " (remote-node)" : SecurityIdentity.ReservedNames.TryGetValue(identity.Value, out string? name) ? $" ({name})" : "";
        return $"{end}{address}{node}, identity {identity.Value}{labels}";
    }

    // The labels that people gave; those of namespace, cluster and account are in the JSON.
    private static string Labels(ClusterPod pod)
        => string.Join(", ", pod.Labels.Where(l => l.Source == Label.Kubernetes && pod.Own.ContainsKey(l.Key)).Select(l => $"{l.Key}={l.Value}").DefaultIfEmpty("no labels"));

    private void WriteDecision(string title, Decision decision)
    {
        string direction = decision.Direction == TrafficDirection.Egress ? "egress" : "ingress";
        string policies = string.Join(", ", decision.Deciding.Select(r => r.Policy).Distinct());
        Step(title, decision.Kind switch
        {
            DecisionKind.Open => $"allowed: no policy restricts {direction} of {decision.End}",
            DecisionKind.FirewallOff => $"allowed: nodes have no policy, as the host firewall is off (enable-host-firewall)",
            DecisionKind.NotPoliced when decision.End.Kind == TrafficEndKind.Node => "allowed: no policy of a node judges neighbour discovery, ICMP errors or leases",
            DecisionKind.NotPoliced => $"allowed: {decision.End} has no {direction} policy of its own here",
            DecisionKind.Allowed => $"allowed by {string.Join(", ", decision.Deciding)}",
            DecisionKind.AllowedByDefault => decision.Rules.Any(r => r.Rule.DefaultDeny)
                ? "allowed: a node reaches its own pods (allow-localhost)" : $"allowed: the policies that select {decision.End} do not close the direction",
            DecisionKind.Denied => $"DENIED by {string.Join(", ", decision.Deciding)}",
            _ when decision.Deciding.IsEmpty => $"DENIED by default: no policy selects {decision.End}, and enforcement is always on",
            _ => $"DENIED by default: {policies} {(decision.Deciding.Select(r => r.Policy).Distinct().Count() == 1 ? "selects" : "select")} {decision.End}, and no rule matches",
        });
        foreach (RuleCheck check in decision.Rules.Where(r => r.Decides))
            Rule(check, check.Rule.Action == RuleAction.Deny ? "denies" : "allows");
        foreach (RuleCheck check in decision.Rules.Where(r => r.Matches && !r.Decides))
            Rule(check, "matches and is outdone");
        RuleCheck[] mismatches = [.. decision.Rules.Where(r => !r.Matches)];
        foreach (RuleCheck check in mismatches.Take(ShownMismatches))
            Rule(check, check.PeerMatches ? "other port" : check.PortMatches ? "other peer" : "other peer and port");
        if (mismatches.Length > ShownMismatches)
            Step("", $"  and {mismatches.Length - ShownMismatches} more rules that do not match");
    }

    private void WriteRedirect(ConnectionPath path)
    {
        if (path.Egress is { Allows: true, Redirect: { } redirect })
        {
            Step("redirect", redirect is DnsRedirect dns
                ? $"to the DNS proxy, which lets {(IsEverything(dns) ? "every name pass" : $"the names {List(dns.Names)} pass and refuses others")}"
                : "to a proxy, which examines what is sent");
        }

        if (path.Question is { Outcome: not NameOutcome.Blocked } question)
            Step("question", Describe(question));
    }

    private static bool IsEverything(DnsRedirect dns) => dns.Names is [{ Text: "*" }];

    private static string List(IEnumerable<DnsPattern> names) => string.Join(", ", names.Take(ShownBackends).Select(n => n.Text)) + (names.Skip(ShownBackends).Any() ? " ..." : "");

    private static string Describe(NameVerdict question) => question.Outcome switch
    {
        NameOutcome.Answered => $"{question.Name} passes by {string.Join(", ", question.Rules)}",
        NameOutcome.Refused => $"{question.Name} is REFUSED: {string.Join(", ", question.Rules)} {(question.Rules.Length == 1 ? "sends" : "send")} questions to the proxy, and no rule names it",
        NameOutcome.Unseen => $"{question.Name} is asked for past the DNS proxy: no rule with rules.dns holds for the question, so that toFQDNs learn no address from the answer",
        _ => $"{question.Name} gets to no server",
    };

    // A name is nothing to policy before its addresses are known.
    private void WriteLookup(ConnectionPath path, ConnectionPath lookup)
    {
        Step("lookup", $"{path.Source} has to ask {lookup.Destination} port {PortText.Of(lookup.Protocol, lookup.Port)} for {path.Destination} first");
        Decision? refusing = !lookup.Egress.Allows ? lookup.Egress : !lookup.Ingress.Allows ? lookup.Ingress : null;
        if (refusing is not null)
            WriteDecision("", refusing);
        WriteRedirect(lookup);
        foreach (RuleCheck check in path.NamingRules)
        {
            string patterns = List(check.Rule.NamePatterns.Where(p => p.Matches(path.Destination.Name)));
            Step("name", lookup.Question?.Outcome == NameOutcome.Answered
                ? $"{patterns} of {check.Rule.Origin} stands for the addresses in the answers"
                : $"{patterns} of {check.Rule.Origin} stands for no address, as the DNS proxy sees no answer");
        }
    }

    private void Rule(RuleCheck check, string outcome)
    {
        string word = check.Rule.Direction == TrafficDirection.Ingress ? "from" : "to";
        string action = check.Rule.Action switch { RuleAction.Deny => "deny ", RuleAction.Pass => "pass on ", _ => "" };
        string names = check.Rule.Redirect is DnsRedirect dns ? IsEverything(dns) ? ", every name" : $", names {List(dns.Names)}" : "";
        Step("", $"  {check.Rule.Origin}: {action}{word} {RuleText.PeersOf(check.Rule)}, {RuleText.PortsOf(check.Rule)}{names} ({outcome})");
    }

    private void WriteChange(Explanation explanation, VerdictChange change)
    {
        string wanted = explanation.Allowed ? "deny" : "allow";
        output.WriteLine();
        if (!change.Flips)
        {
            string reason = !explanation.Allowed ? "the present rules have to be changed"
                : explanation.Name.Length > 0 ? "names are only ever allowed" : "neither end has a policy here";
            output.WriteLine($"No rule of a policy would {wanted} it: {reason}.");
            if (change.Changed.IsEmpty)
                return;
        }

        if (!change.Changed.IsEmpty)
        {
            output.WriteLine($"To {wanted} it, remove or narrow, because nothing that is added outdoes it:");
            foreach (RuleToChange rule in change.Changed)
                output.WriteLine($"  {rule.Rule}: {rule.Peers}, {rule.Ports}");
        }

        if (change.Added.IsEmpty)
            return;
        ImmutableArray<RuleOrigin> allowing = !explanation.Allowed ? [] : [.. explanation.Paths.SelectMany(p => p.Egress.Deciding.Concat(p.Ingress.Deciding)).Distinct()];
        if (!allowing.IsEmpty)
            output.WriteLine($"It is allowed by {string.Join(", ", allowing)}; without touching what else these allow:");
        output.WriteLine($"The smallest {(change.Changed.IsEmpty ? "" : "further ")}change that would {wanted} it:");
        output.WriteLine();
        output.Write(YamlWriter.Write(change.Added));
    }

    private void Step(string title, string text) => output.WriteLine($"{title.PadRight(Indent)}{text}");
}
