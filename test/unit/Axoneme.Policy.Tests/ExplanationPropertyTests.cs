// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy.Explain;

namespace Axoneme.Policy.Tests;

/// <summary>Explanations of pods and nodes, held against a reading of the rules that knows no identities and no maps.</summary>
public sealed class ExplanationPropertyTests(ITestOutputHelper output)
{
    private const int Questions = 20;

    [Fact]
    public void An_explanation_says_what_the_rules_mean_at_both_ends()
    {
        int first = Environment.GetEnvironmentVariable("AXONEME_SEED") is { } wanted ? int.Parse(wanted) : Random.Shared.Next(1_000_000);
        output.WriteLine($"seeds from {first}; AXONEME_SEED={first} repeats them");
        int nodes = 0, allowed = 0, denied = 0;
        for (int seed = first; seed < first + 150; seed++)
        {
            var world = new ExplainedWorld(new Random(seed));
            ClusterObjects objects = world.Objects();
            var model = new ClusterModel(objects);
            Assert.DoesNotContain(model.Findings, f => !f.Message.EndsWith("the host firewall is off (enable-host-firewall)", StringComparison.Ordinal)
                && !f.Message.EndsWith("the entry allows those that pods of the node have learned", StringComparison.Ordinal));
            NetworkRule[] rules = [.. model.Engine.Policies.SelectMany(p => model.Engine.FindPolicy(p)!.Rules)];
            var explainer = new FlowExplainer(model);
            for (int i = 0; i < Questions; i++)
            {
                (string from, string to, PortText port) = world.Question();
                ConnectionPath path = explainer.Explain(from, to, port).Paths[0];
                foreach (Decision decision in new[] { path.Egress, path.Ingress })
                {
                    if (Expected(objects, rules, decision, path) is not { } expected)
                    {
                        Assert.False(decision.IsPoliced, $"seed {seed}: {from} -> {to} {port}: {decision.End}");
                        continue;
                    }

                    Assert.True(expected == decision.Allows, $"seed {seed}: {from} -> {to} {port}: {decision.Direction} of {decision.End} is {decision.Kind}");
                    // Whoever is denied learns by whom, also where a tier passed before.
                    Assert.True(decision.Allows || !decision.Deciding.IsEmpty, $"seed {seed}: {from} -> {to} {port}: {decision.Kind} by nobody");
                    nodes += decision.End.Kind == TrafficEndKind.Node ? 1 : 0;
                    allowed += expected ? 1 : 0;
                    denied += expected ? 0 : 1;
                }
            }
        }

        Assert.True(nodes > 300 && allowed > 300 && denied > 300, $"{nodes} {allowed} {denied}");
    }

    [Fact]
    public void A_question_is_answered_where_the_rules_of_the_deciding_level_let_the_name_pass()
    {
        int first = Environment.GetEnvironmentVariable("AXONEME_SEED") is { } wanted ? int.Parse(wanted) : Random.Shared.Next(1_000_000);
        output.WriteLine($"seeds from {first}; AXONEME_SEED={first} repeats them");
        var seen = new Dictionary<NameOutcome, int>();
        for (int seed = first; seed < first + 300; seed++)
        {
            var world = new ExplainedWorld(new Random(seed));
            ClusterObjects objects = world.Objects();
            var model = new ClusterModel(objects);
            NetworkRule[] rules = [.. model.Engine.Policies.SelectMany(p => model.Engine.FindPolicy(p)!.Rules)];
            for (int i = 0; i < 5; i++)
            {
                (string from, string name) = world.Query();
                ConnectionPath path = new FlowExplainer(model).ExplainQuestion(from, "", PortText.Parse("53/udp"), name).Paths[0];
                NameOutcome outcome = Outcome(objects, rules, path, name);
                Assert.True(outcome == path.Question!.Outcome, $"seed {seed}: {from} asks for {name}: {outcome}, not {path.Question.Outcome}");
                Assert.Equal(outcome is NameOutcome.Answered or NameOutcome.Unseen, path.Allowed);
                seen[outcome] = seen.GetValueOrDefault(outcome) + 1;
            }
        }

        Assert.True(seen.Count == 4 && seen.Values.All(n => n > 20), string.Join(' ', seen));
    }

    [Fact]
    public void A_rehearsal_finds_what_a_change_of_rules_means_for_each_connection()
    {
        int first = Environment.GetEnvironmentVariable("AXONEME_SEED") is { } wanted ? int.Parse(wanted) : Random.Shared.Next(1_000_000);
        output.WriteLine($"seeds from {first}; AXONEME_SEED={first} repeats them");
        int dropped = 0, passed = 0, nodes = 0;
        for (int seed = first; seed < first + 120; seed++)
        {
            var world = new ExplainedWorld(new Random(seed));
            ClusterObjects before = world.Objects();
            before = before with { Options = before.Options with { EnableHostFirewall = true } };
            ClusterObjects after = world.Change(before);
            var rehearsal = new Rehearsal(before, after);
            (ClusterModel now, ClusterModel then) = (new ClusterModel(before), new ClusterModel(after));
            for (int i = 0; i < 10; i++)
            {
                (string from, string to, PortText port) = world.Question();
                ConnectionPath path = new FlowExplainer(now).Explain(from, to, port).Paths[0];
                if (path.Source.Address is null && path.Source.Pod is null || path.Destination.Address is null && path.Destination.Pod is null)
                    continue;
                bool passesNow = Passes(before, now, path);
                bool passesThen = Passes(after, then, new FlowExplainer(then).Explain(from, to, port).Paths[0]);
                var history = new FlowHistory();
                history.Add(new RecordedFlow(Recorded(path.Source), Recorded(path.Destination), path.Protocol, path.Port));
                RehearsedGroup? found = rehearsal.Run(history).Groups.FirstOrDefault(g => g.Change != RehearsedChange.NamesRefused);
                RehearsedChange? expected = passesNow == passesThen ? null : passesNow ? RehearsedChange.Dropped : RehearsedChange.Passed;
                Assert.True(expected == found?.Change, $"seed {seed}: {from} -> {to} {port}: {expected}, not {found?.Change}");
                dropped += expected == RehearsedChange.Dropped ? 1 : 0;
                passed += expected == RehearsedChange.Passed ? 1 : 0;
                nodes += found is not null && (found.Direction == TrafficDirection.Egress ? path.Source : path.Destination).Kind == TrafficEndKind.Node ? 1 : 0;
            }
        }

        Assert.True(dropped > 10 && passed > 10 && nodes > 5, $"{dropped} {passed} {nodes}");
    }

    private static bool Passes(ClusterObjects objects, ClusterModel model, ConnectionPath path)
    {
        NetworkRule[] rules = [.. model.Engine.Policies.SelectMany(p => model.Engine.FindPolicy(p)!.Rules)];
        return path.IsHairpin || (Expected(objects, rules, path.Egress, path) != false && Expected(objects, rules, path.Ingress, path) != false);
    }

    private static RecordedEnd Recorded(TrafficEnd end)
    {
        if (end.Pod is { } pod)
            return new RecordedEnd(pod.Name.Namespace, pod.Name.Name, "", end.Address, end.Identity, pod.Labels, []);
        LabelSet labels = LabelSet.Reserved(end.Kind == TrafficEndKind.Node ? "remote-node" : end.Address is { IsV6: true } ? "world-ipv6" : "world-ipv4");
        return new RecordedEnd("", "", "", end.Address, end.Identity, labels, []);
    }

    private static NameOutcome Outcome(ClusterObjects objects, NetworkRule[] rules, ConnectionPath path, string name)
    {
        if (Expected(objects, rules, path.Egress, path) == false || Expected(objects, rules, path.Ingress, path) == false)
            return NameOutcome.Blocked;
        // The first level that says anything but "pass"; a tier that was passed does not count any more.
        Peer subject = new(path.Source.Identity, path.Source.Pod!.Labels, path.Source.Pod.Ports);
        NetworkRule[] matching = [.. rules.Where(r => r.Direction == TrafficDirection.Egress && Oracle.Selects(r.Subject, subject)
            && Oracle.Matches(r, subject, new Packet(PeerOf(objects, path.Destination, path.Source.Node, null), path.Protocol, path.Port)))];
        PolicyTier? passed = null;
        foreach (var level in matching.GroupBy(r => ((int)r.Tier, (int)r.Order)).OrderBy(g => g.Key))
        {
            if (level.First().Tier == passed)
                continue;
            if (level.All(r => r.Action == RuleAction.Pass))
            {
                passed = level.First().Tier;
                continue;
            }

            DnsRedirect?[] redirects = [.. level.Where(r => r.Action == RuleAction.Allow).Select(r => r.Redirect as DnsRedirect)];
            if (redirects.All(r => r is null))
                return NameOutcome.Unseen;
            return redirects.Any(r => r is null || r.Names.Any(n => Matches(n.Text, name))) ? NameOutcome.Answered : NameOutcome.Refused;
        }

        return NameOutcome.Unseen;
    }

    // Null: nobody polices the end.
    private static bool? Expected(ClusterObjects objects, NetworkRule[] rules, Decision decision, ConnectionPath path)
    {
        TrafficEnd other = decision.Direction == TrafficDirection.Egress ? path.Destination : path.Source;
        bool isPod = decision.End.Kind == TrafficEndKind.Pod;
        if (!isPod && (decision.End.Kind != TrafficEndKind.Node || !objects.Options.EnableHostFirewall))
            return null;
        Peer subject = isPod
            ? new Peer(decision.End.Identity, decision.End.Pod!.Labels, decision.End.Pod.Ports)
            : new Peer(SecurityIdentity.Host, HostLabels(objects, decision.End.Node), NamedPorts.Empty);
        return Oracle.Allows(rules, objects.Options, subject, decision.Direction, new Packet(PeerOf(objects, other, decision.End.Node, path.Lookup?.Question?.Outcome), path.Protocol, path.Port));
    }

    private static Peer PeerOf(ClusterObjects objects, TrafficEnd end, string viewer, NameOutcome? lookup)
    {
        if (end.Kind == TrafficEndKind.Pod)
            return new Peer(end.Identity, end.Pod!.Labels, end.Pod.Ports);
        if (end.Kind == TrafficEndKind.Node)
        {
            return end.Node == viewer
                ? new Peer(SecurityIdentity.Host, HostLabels(objects, viewer), NamedPorts.Empty, objects.CidrMatchesNodes ? end.Address : null)
                : new Peer(end.Identity, RemoteLabels(objects, end.Node), NamedPorts.Empty, objects.CidrMatchesNodes ? end.Address : null);
        }

        bool isV6 = end.Address is { IsV6: true };
        IEnumerable<Label> names = end.Kind == TrafficEndKind.DnsName && lookup is null or NameOutcome.Answered
            ? new[] { "*.example.com", "api.example.com", "example.*" }.Where(p => Matches(p, end.Name)).Select(p => new Label("fqdn", p, "")) : [];
        return new Peer(
            end.Identity, LabelSet.From(names.Append(new Label("reserved", isV6 ? "world-ipv6" : "world-ipv4", ""))), NamedPorts.Empty,
            // No rule of these worlds has a narrower block than the whole that such an address could be in.
            end.Address ?? IpAddress.Parse("100.64.0.1"));
    }

    private static bool Matches(string pattern, string name)
        => System.Text.RegularExpressions.Regex.IsMatch(name, pattern == "*" ? "" : "^" + pattern.Replace(".", "\\.").Replace("*", "[-a-z0-9_]*") + "$");

    private static Node Find(ClusterObjects objects, string name) => objects.Of<Node>().Single(n => n.Metadata.Name == name);

    private static LabelSet HostLabels(ClusterObjects objects, string name) => LabelSet.From(
        Find(objects, name).Metadata.Labels!.Select(l => new Label("k8s", l.Key, l.Value)).Append(new Label("reserved", "host", "")).Concat(ApiServer(name)));

    private static LabelSet RemoteLabels(ClusterObjects objects, string name) => LabelSet.From(
    [
        .. Find(objects, name).Metadata.Labels!.Select(l => new Label("node", l.Key, l.Value)), new Label("reserved", "remote-node", ""),
        new Label("k8s", PodLabels.Cluster, "default"), .. ApiServer(name),
    ]);

    private static IEnumerable<Label> ApiServer(string name) => name == "n3" ? [new Label("reserved", "kube-apiserver", "")] : [];
}
