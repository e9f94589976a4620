// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Text.Json.Nodes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

/// <summary>A rule of the user's that has to go or to be narrowed, because nothing that is added can outdo it.</summary>
/// <param name="Rule">Where it is.</param>
/// <param name="Peers">Whom it speaks about.</param>
/// <param name="Ports">About which ports.</param>
public sealed record RuleToChange(RuleOrigin Rule, string Peers, string Ports);

/// <summary>What turns the verdict round, and as little besides as possible.</summary>
/// <param name="Added">New policies, ready to be applied.</param>
/// <param name="Changed">Rules of present policies that have to be removed or narrowed before.</param>
/// <param name="Flips">The engine agrees: with the change the verdict is the other one.</param>
public sealed record VerdictChange(ImmutableArray<JsonObject> Added, ImmutableArray<RuleToChange> Changed, bool Flips);

/// <summary>
/// Finds the smallest change of policy for a verdict, by making it and asking again: an allow at each end that refuses, or one deny where a
/// connection is allowed.
/// </summary>
public sealed class SmallestChange(ClusterObjects objects)
{
    // Two ends, each with an allow to add, and rules in the way of it; whatever needs more is not a small change.
    private const int MaximalSteps = 16;

    /// <summary>For a connection that does not pass to every backend an allow, otherwise a deny.</summary>
    public VerdictChange Find(Explanation explanation)
    {
        ArgumentNullException.ThrowIfNull(explanation);
        var nothing = new VerdictChange([], [], Flips: true);
        return explanation.Allowed
            ? explanation.Paths.Aggregate(nothing, Deny)
            : explanation.Paths.Where(p => !p.Allowed).Aggregate(nothing, Allow);
    }

    /// <summary>The present objects with the change made.</summary>
    public static ClusterObjects Apply(ClusterObjects objects, VerdictChange change)
    {
        ArgumentNullException.ThrowIfNull(objects);
        ArgumentNullException.ThrowIfNull(change);
        objects = objects.With(change.Added.Select(PolicyManifest.ToResource));
        return change.Changed.Aggregate(objects, (o, rule) => RuleRemoval.Remove(o, rule.Rule));
    }

    private VerdictChange Allow(VerdictChange change, ConnectionPath wanted)
    {
        for (int step = 0; step < MaximalSteps; step++)
        {
            ConnectionPath path = Replay(change, wanted);
            if (path.Allowed)
                return change;
            VerdictChange next = Widen(change, path);
            // What is there already did not help, and will not.
            if (next.Added.Length + next.Changed.Length == change.Added.Length + change.Changed.Length)
                break;
            change = next;
        }

        return change with { Flips = false };
    }

    // One step: what is in the way first, as a packet meets it.
    private VerdictChange Widen(VerdictChange change, ConnectionPath path)
    {
        bool isNamed = path.NamingRules.Any(r => r.PortMatches && r.Rule.Action == RuleAction.Allow);
        if (path.Question is { Outcome: NameOutcome.Refused } || (path.Question is not null && path.Egress.Kind == DecisionKind.DefaultDeny && path.Source.Pod is not null))
            return Add(change, AllowQuestion(path, path.Question.Name));
        if (path.Lookup is { } lookup && (isNamed || path.Egress.Allows))
        {
            if (!lookup.Allowed)
                return Widen(change, lookup);
            if (!path.Egress.Allows && lookup.Question!.Outcome == NameOutcome.Unseen)
                return Add(change, AllowQuestion(lookup, lookup.Question.Name));
        }

        Decision decision = path.Egress.Allows ? path.Ingress : path.Egress;
        return decision.Kind == DecisionKind.DefaultDeny
            ? Add(change, AllowAt(decision, path))
            : Change(change, decision.Rules.Where(r => r.Decides));
    }

    // A list of names can only be shortened: nothing denies a name.
    private VerdictChange DenyQuestion(VerdictChange change, ConnectionPath path)
    {
        IEnumerable<RuleCheck> letting = path.Egress.Rules.Where(r => r.Rule.Redirect is not null && path.Question!.Rules.Contains(r.Rule.Origin));
        change = Change(change, letting);
        return change with { Flips = !Replay(change, path).Allowed };
    }

    // Names cannot be denied, and to deny what they stand for is to deny the world. Null: the name is not what opens the connection.
    private VerdictChange? WithoutNames(VerdictChange change, ConnectionPath path)
    {
        RuleCheck[] naming = [.. path.NamingRules.Where(r => r.Decides)];
        if (naming.Length == 0 || path.Egress.Rules.Any(r => r.Decides && !naming.Contains(r)))
            return null;
        VerdictChange narrowed = Change(change, naming);
        return Replay(narrowed, path).Allowed ? null : narrowed;
    }

    // The end that is easier to hold on to: the receiver, unless it is outside.
    private VerdictChange Deny(VerdictChange change, ConnectionPath path)
    {
        if (path.Question is not null)
            return DenyQuestion(change, path);
        if (WithoutNames(change, path) is { } narrowed)
            return narrowed;
        Decision decision = path.Ingress.IsPoliced ? path.Ingress : path.Egress;
        if (!decision.IsPoliced)
            return change with { Flips = false };
        change = Add(change, DenyAt(decision, path));
        for (int step = 0; step < MaximalSteps; step++)
        {
            ConnectionPath now = Replay(change, path);
            if (!now.Allowed)
                return change;
            // Only an earlier tier outdoes a deny.
            Decision remaining = decision.Direction == TrafficDirection.Ingress ? now.Ingress : now.Egress;
            VerdictChange next = Change(change, remaining.Rules.Where(r => r.Decides));
            if (next.Changed.Length == change.Changed.Length)
                break;
            change = next;
        }

        return change with { Flips = false };
    }

    // Applications may share a name; policies of one namespace may not.
    private static VerdictChange Add(VerdictChange change, JsonObject policy)
    {
        if (change.Added.Any(a => JsonNode.DeepEquals(a, policy)))
            return change;
        string name = policy["metadata"]!["name"]!.GetValue<string>();
        int same = change.Added.Count(a => NameOf(a).StartsWith(NameOf(policy), StringComparison.Ordinal));
        if (same > 0)
            policy["metadata"]!["name"] = $"{name}-{same + 1}";
        return change with { Added = change.Added.Add(policy) };
    }

    private static VerdictChange Change(VerdictChange change, IEnumerable<RuleCheck> rules)
        => change with { Changed = [.. change.Changed.Concat(rules.Select(ToChange)).DistinctBy(c => c.Rule)] };

    private ConnectionPath Replay(VerdictChange change, ConnectionPath path)
    {
        var model = new ClusterModel(Apply(objects, change));
        var explainer = new FlowExplainer(model);
        ConnectionPath now = explainer.PathBetween(Again(model, path.Source), Again(model, path.Destination), path.Protocol, path.Port);
        return path.Question is { } question ? now with { Question = NameVerdict.Of(question.Name, now) } : now;
    }

    // Numbers belong to the model that gave them out, and a new rule may give an address an identity of its own.
    private static TrafficEnd Again(ClusterModel model, TrafficEnd end) => end.Kind switch
    {
        TrafficEndKind.Pod => end with { Pod = model.Pods[end.Pod!.Name], Identity = model.Pods[end.Pod.Name].Identity },
        TrafficEndKind.Node when model.FindNode(end.Node) is { } node => end with { Identity = model.IdentityOf(node, end.Address) },
        TrafficEndKind.Address => end with { Identity = model.IdentityOf(end.Address!.Value) },
        TrafficEndKind.DnsName => end with { Identity = model.IdentityOfName(end.Name) },
        _ => end,
    };

    private JsonObject AllowAt(Decision decision, ConnectionPath path)
    {
        bool isIngress = decision.Direction == TrafficDirection.Ingress;
        var rules = new JsonArray(Entry(decision, path));
        TrafficEnd peer = isIngress ? path.Source : path.Destination;
        // What nodes ask for passes no proxy: a rule about names would allow their questions nothing.
        if (peer.Kind == TrafficEndKind.DnsName && decision.End.Pod is { } asking && path.Lookup?.Question?.Outcome != NameOutcome.Answered)
            rules.Add(path.Lookup is { } lookup ? QuestionRule(asking, lookup, peer.Name) : DnsRule(peer.Name));
        return Policy(decision, path, "allow", new JsonObject { [isIngress ? "ingress" : "egress"] = rules });
    }

    private JsonObject AllowQuestion(ConnectionPath path, string name)
    {
        ClusterPod asking = path.Source.Pod!;
        return PolicyManifest.Cilium(
            asking.Name.Namespace, ObjectNames.Of($"allow-{NameOf(path.Source)}-to-ask-for-{name}"), Workloads.SelectorLabels(asking.Own, objects.Filter),
            new JsonObject { ["egress"] = new JsonArray(QuestionRule(asking, path, name)) });
    }

    // Lets the server of the path be asked for the name, and the answer be seen.
    private JsonObject QuestionRule(ClusterPod asking, ConnectionPath path, string name)
    {
        JsonObject rule = DnsRule(name);
        rule.Remove("toEndpoints");
        KeyValuePair<string, JsonNode?> server = PolicyManifest.Peer(
            path.Destination, path.DestinationIdentity, asking.Name.Namespace, TrafficDirection.Egress, objects.Filter, objects.Options.EnableNodeSelectorLabels);
        rule.Insert(0, server.Key, server.Value);
        rule["toPorts"]![0]!["ports"]![0]!["port"] = path.Port.ToString();
        return rule;
    }

    private JsonObject DenyAt(Decision decision, ConnectionPath path)
    {
        bool isIngress = decision.Direction == TrafficDirection.Ingress;
        JsonObject entry = Entry(decision, path);
        // Names cannot be denied; the address block of what they stand for is not known here.
        if (entry.Remove("toFQDNs"))
            entry.Insert(0, "toEntities", new JsonArray("world"));
        var rules = new JsonObject
        {
            [isIngress ? "ingressDeny" : "egressDeny"] = new JsonArray(entry),
            // Whatever else is allowed now stays so.
            ["enableDefaultDeny"] = new JsonObject { [isIngress ? "ingress" : "egress"] = false },
        };
        return Policy(decision, path, "deny", rules);
    }

    private JsonObject Entry(Decision decision, ConnectionPath path)
    {
        bool isIngress = decision.Direction == TrafficDirection.Ingress;
        TrafficEnd peer = isIngress ? path.Source : path.Destination;
        SecurityIdentity identity = isIngress ? path.SourceIdentity : path.DestinationIdentity;
        string ns = decision.End.Pod?.Name.Namespace ?? "";
        return new JsonObject(
        [
            PolicyManifest.Peer(peer, identity, ns, decision.Direction, objects.Filter, objects.Options.EnableNodeSelectorLabels),
            PolicyManifest.Ports((path.Protocol, path.Port)),
        ]);
    }

    private JsonObject Policy(Decision decision, ConnectionPath path, string verb, JsonObject rules)
    {
        bool isIngress = decision.Direction == TrafficDirection.Ingress;
        TrafficEnd peer = isIngress ? path.Source : path.Destination;
        string name = ObjectNames.Of($"{verb}-{NameOf(decision.End)}-{(isIngress ? "from" : "to")}-{NameOf(peer)}");
        return decision.End.Pod is { } pod
            ? PolicyManifest.Cilium(pod.Name.Namespace, name, Workloads.SelectorLabels(pod.Own, objects.Filter), rules)
            : PolicyManifest.Clusterwide(name, Workloads.NodeSelectorLabels(decision.End.NodeLabels ?? new Dictionary<string, string>()), rules);
    }

    private static string NameOf(TrafficEnd end)
        => end.Pod is { } pod ? Workloads.NameOf(pod) : end.Kind == TrafficEndKind.Node && end.Node.Length > 0 ? end.Node : end.Name;

    private static string NameOf(JsonObject policy) => $"{policy["kind"]} {policy["metadata"]!["namespace"]}/{policy["metadata"]!["name"]}";

    /// <summary>Lets the cluster's DNS be asked for the name, and the answers be seen.</summary>
    internal static JsonObject DnsRule(params IEnumerable<string> names) => new()
    {
        ["toEndpoints"] = new JsonArray(PolicyManifest.Selector(new Dictionary<string, string>
        {
            ["k8s-app"] = "kube-dns",
            ["k8s:" + PodLabels.Namespace] = "kube-system",
        })),
        ["toPorts"] = new JsonArray(new JsonObject
        {
            ["ports"] = new JsonArray(new JsonObject { ["port"] = "53", ["protocol"] = "ANY" }),
            ["rules"] = new JsonObject
            {
                ["dns"] = new JsonArray([.. names.Select(n => (JsonNode?)new JsonObject { ["matchName"] = n })]),
            },
        }),
    };

    private static RuleToChange ToChange(RuleCheck check) => new(check.Rule.Origin, RuleText.PeersOf(check.Rule), RuleText.PortsOf(check.Rule));
}

/// <summary>Names that the API takes.</summary>
internal static class ObjectNames
{
    // RFC 1123 subdomains have 253 characters; people have to read it.
    private const int MaximalLength = 63;

    public static string Of(string text)
    {
        string name = new([.. text.ToLowerInvariant().Select(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) ? c : '-')]);
        return (name.Length > MaximalLength ? name[..MaximalLength] : name).Trim('-');
    }
}
