// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Policy.Explain;

namespace Axoneme.Cli.Explanations;

/// <summary>An explanation for programs.</summary>
internal static class ExplanationJson
{
    public static JsonObject Of(Explanation explanation, VerdictChange? change)
    {
        var json = new JsonObject
        {
            ["verdict"] = explanation.Allowed ? "allowed" : explanation.Denied ? "denied" : "depends",
            ["from"] = explanation.Source.Name,
            ["to"] = explanation.Asked,
            ["port"] = explanation.Port.ToString(),
        };
        if (explanation.Name.Length > 0)
            json["dnsQuery"] = explanation.Name;
        if (explanation.Service is { } service)
        {
            json["service"] = new JsonObject
            {
                ["name"] = service.Service.ToString(),
                ["port"] = service.Port,
                ["backends"] = List(service.Backends.Select(b => (JsonNode)new JsonObject { ["name"] = b.End.Name, ["port"] = b.Port })),
            };
        }

        json["paths"] = List(explanation.Paths.Select(Path));
        json["notes"] = List(explanation.Notes.Select(n => (JsonNode)n));
        if (change is not null)
        {
            json["change"] = new JsonObject
            {
                ["verdict"] = explanation.Allowed ? "denied" : "allowed",
                ["flips"] = change.Flips,
                ["remove"] = List(change.Changed.Select(c => Rule(c.Rule))),
                ["add"] = List(change.Added.Select(a => PolicyManifest.WithoutComments(a)!)),
            };
        }

        return json;
    }

    private static JsonNode Path(ConnectionPath path) => new JsonObject
    {
        ["verdict"] = path.Allowed ? "allowed" : "denied",
        ["source"] = End(path.Source, path.SourceIdentity),
        ["destination"] = End(path.Destination, path.DestinationIdentity),
        ["protocol"] = PortText.NameOf(path.Protocol),
        ["port"] = path.Port,
        ["likewise"] = List(path.Likewise.Select(e => (JsonNode)e.Name)),
        ["lookup"] = path.Lookup is { } lookup ? Path(lookup) : null,
        ["egress"] = Decision(path.Egress),
        ["ingress"] = Decision(path.Ingress),
        ["question"] = path.Question is { } question ? Question(question) : null,
    };

    private static JsonObject Question(NameVerdict question) => new()
    {
        ["name"] = question.Name,
        ["outcome"] = question.Outcome.ToString().ToLowerInvariant(),
        ["rules"] = List(question.Rules.Select(Rule)),
    };

    private static JsonObject End(TrafficEnd end, SecurityIdentity identity) => new()
    {
        ["kind"] = end.Kind.ToString().ToLowerInvariant(),
        ["name"] = end.Name,
        ["address"] = end.Address?.ToString(),
        ["node"] = end.Node.Length > 0 ? end.Node : null,
        ["identity"] = identity.Value,
        ["labels"] = List((end.Pod?.Labels ?? LabelSet.Empty).Select(l => (JsonNode)l.ToString())),
    };

    private static JsonObject Decision(Decision decision) => new()
    {
        ["verdict"] = decision.Allows ? "allowed" : "denied",
        ["reason"] = decision.Kind switch
        {
            DecisionKind.Open => "no-policy",
            DecisionKind.NotPoliced => "not-policed",
            DecisionKind.FirewallOff => "host-firewall-off",
            DecisionKind.Allowed => "rule",
            DecisionKind.AllowedByDefault => "default-allow",
            DecisionKind.Denied => "deny-rule",
            _ => "default-deny",
        },
        ["redirectNames"] = decision.Redirect is DnsRedirect dns ? List(dns.Names.Select(n => (JsonNode)n.Text)) : null,
        ["decidedBy"] = List(decision.Deciding.Select(Rule)),
        ["rules"] = List(decision.Rules.Select(r =>
        {
            JsonObject rule = Rule(r.Rule.Origin);
            rule["action"] = r.Rule.Action.ToString().ToLowerInvariant();
            rule["peers"] = RuleText.PeersOf(r.Rule);
            rule["ports"] = RuleText.PortsOf(r.Rule);
            rule["peerMatches"] = r.PeerMatches;
            rule["portMatches"] = r.PortMatches;
            return (JsonNode)rule;
        })),
    };

    internal static JsonObject Rule(RuleOrigin rule) => new()
    {
        ["kind"] = rule.Policy.Kind.ToString(),
        ["namespace"] = rule.Policy.Namespace.Length > 0 ? rule.Policy.Namespace : null,
        ["name"] = rule.Policy.Name,
        ["path"] = rule.Path,
    };

    internal static JsonArray List(IEnumerable<JsonNode> items) => new([.. items]);
}
