// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

/// <summary>Says what the policies of a cluster make of a connection, with the engine and the maps' rules of evaluation that nodes use.</summary>
public sealed class FlowExplainer(ClusterModel model)
{
    // Of SecurityIdentity.Host, RemoteNode and KubeApiServer.
    private const uint HostNumber = 1;
    private const uint RemoteNodeNumber = 6;
    private const uint ApiServerNumber = 7;

    private readonly EndResolver _ends = new(model);
    private NameServers? _servers;

    private NameServers Servers => _servers ??= new NameServers(model, _ends);

    /// <param name="from">Pod, workload, address or entity.</param>
    /// <param name="to">The same, or a service or a DNS name.</param>
    /// <param name="port">Of the destination, or of the service.</param>
    /// <exception cref="UnknownEndException">An end or the port does not exist.</exception>
    public Explanation Explain(string from, string to, PortText port)
    {
        ArgumentNullException.ThrowIfNull(port);
        TrafficEnd source = _ends.Resolve(from);
        if (_ends.FindService(to) is null)
            source = PlaceHost(source, _ends.Resolve(to));
        if (source.Kind == TrafficEndKind.DnsName)
            throw new UnknownEndException($"'{from}' cannot open a connection: give NAMESPACE/POD, an address or an entity");
        if (_ends.FindService(to) is not { } service)
        {
            TrafficEnd destination = PlaceHost(_ends.Resolve(to), source);
            ConnectionPath path = PathBetween(source, destination, port.Protocol, NumberOf(port, destination));
            return new Explanation(source, to, port, null, [path]) { Notes = [.. Notes(path)] };
        }

        ServiceTranslation translation = new ServiceBackends(model, _ends).Translate(service, port);
        IEnumerable<ConnectionPath> paths = translation.Backends.Select(b => PathBetween(PlaceHost(source, b.End), b.End, port.Protocol, b.Port));
        ImmutableArray<ConnectionPath> groups =
        [
            .. paths.GroupBy(p => (p.DestinationIdentity, p.Destination.Pod?.Ports, p.SourceIdentity, p.Port, p.IsHairpin))
                .Select(g => g.First() with { Likewise = [.. g.Skip(1).Select(p => p.Destination)] }),
        ];
        return new Explanation(source, to, port, translation, groups) { Notes = [.. groups.SelectMany(Notes).Distinct()] };
    }

    /// <summary>A question for a DNS name.</summary>
    /// <param name="from">Pod, workload, address or entity.</param>
    /// <param name="to">The server, as a destination; empty: the cluster's.</param>
    /// <param name="port">Of the server.</param>
    /// <param name="name">That is asked for.</param>
    /// <exception cref="UnknownEndException">An end or the port does not exist, or the cluster's servers are not known.</exception>
    public Explanation ExplainQuestion(string from, string to, PortText port, string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (to.Length == 0 && Servers.Server is null)
            throw new UnknownEndException("which server is asked is not known, as there is neither a service nor a pod kube-dns in kube-system: give it with --to");
        string plain = name.TrimEnd('.');
        if (plain.Length == 0 || plain.Length > 253 || plain.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('-' or '_' or '.')))
            throw new UnknownEndException($"'{name}' is not a DNS name");
        Explanation explanation = to.Length == 0 ? ExplainServer(from, port) : Explain(from, to, port);
        return explanation with { Paths = [.. explanation.Paths.Select(p => p with { Question = NameVerdict.Of(plain, p) })], Name = plain };
    }

    private Explanation ExplainServer(string from, PortText port)
    {
        ServiceBackend server = Servers.Server!;
        TrafficEnd source = PlaceHost(_ends.Resolve(from), server.End);
        ConnectionPath path = PathBetween(source, server.End, port.Protocol, server.Port);
        return new Explanation(source, server.End.Name, port, null, [path]) { Notes = [.. Notes(path)] };
    }

    /// <summary>One connection between ends that are known, without a service.</summary>
    public ConnectionPath PathBetween(TrafficEnd source, TrafficEnd destination, L4Protocol protocol, ushort port)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(destination);
        ConnectionPath? lookup = LookUp(source, destination);
        // What nobody saw the answer of belongs to no name.
        if (lookup?.Question?.Outcome is NameOutcome.Unseen or NameOutcome.Refused or NameOutcome.Blocked)
            destination = destination with { Identity = model.IdentityOfName("") };
        return Ask(source, destination, protocol, port) with { Lookup = lookup };
    }

    private ConnectionPath? LookUp(TrafficEnd source, TrafficEnd destination)
    {
        if (destination.Kind != TrafficEndKind.DnsName || source.Pod is null || Servers.Server is not { } server || source.IsSameAs(server.End))
            return null;
        ConnectionPath path = Ask(source, server.End, L4Protocol.Udp, server.Port);
        return path with { Question = NameVerdict.Of(destination.Name, path) };
    }

    private ConnectionPath Ask(TrafficEnd source, TrafficEnd destination, L4Protocol protocol, ushort port)
    {
        SecurityIdentity sourceIdentity = source.SeenFrom(destination);
        SecurityIdentity destinationIdentity = destination.SeenFrom(source);
        bool isHairpin = source.IsSameAs(destination);
        Decision egress = Decide(TrafficDirection.Egress, source, destinationIdentity, protocol, port, isHairpin);
        Decision ingress = Decide(TrafficDirection.Ingress, destination, sourceIdentity, protocol, port, isHairpin);
        return new ConnectionPath(source, sourceIdentity, destination, destinationIdentity, protocol, port, egress, ingress) { IsHairpin = isHairpin };
    }

    private Decision Decide(
        TrafficDirection direction, TrafficEnd end, SecurityIdentity peer, L4Protocol protocol, ushort port, bool isHairpin)
    {
        if (isHairpin || EndpointOf(end) is not { } endpoint)
            return new Decision(direction, end, IsNode(end) && !isHairpin ? DecisionKind.FirewallOff : DecisionKind.NotPoliced, [], [], null);
        if (end.Pod is null && NodeExemptions.Contain(protocol, port))
            return new Decision(direction, end, DecisionKind.NotPoliced, [], [], null);
        EndpointPolicy policy = model.PolicyOf(endpoint);
        PolicyVerdict verdict = policy.IsEnforced(direction) ? PolicyEvaluator.Evaluate(policy, direction, peer, protocol, port, model.Objects.Options.Numbering) : default;
        var identity = model.Engine.FindIdentity(peer);
        ImmutableArray<RuleCheck> rules =
        [
            .. model.Engine.RulesOf(endpoint).Where(r => r.Direction == direction && !r.Shadow).OrderBy(r => r.Tier).ThenBy(r => r.Order).ThenBy(r => r.Origin)
                .Select(r => Check(r, identity, end.Pod?.Ports ?? NamedPorts.Empty, protocol, port, verdict.Entry)),
        ];
        (DecisionKind kind, IEnumerable<RuleOrigin> deciding) = verdict.Entry switch
        {
            _ when !policy.IsEnforced(direction) => (DecisionKind.Open, []),
            // Where tiers pass, an entry without rules says that none decides.
            null or { Deny: true, Origins.Rules.IsEmpty: true } => (DecisionKind.DefaultDeny, rules.Where(r => r.Rule.DefaultDeny).Select(r => r.Rule.Origin)),
            { Deny: true } entry => (DecisionKind.Denied, entry.Origins.Rules),
            { Origins.Rules.IsEmpty: true } => (DecisionKind.AllowedByDefault, []),
            var entry => (DecisionKind.Allowed, entry.Origins.Rules),
        };
        Redirect? redirect = verdict.Entry?.Redirect is DnsRedirect
            ? new DnsRedirect(DnsRules.NamesOf(policy, peer, peer.AggregateIn(model.Objects.Options.Numbering), protocol, port)) : verdict.Entry?.Redirect;
        return new Decision(direction, end, kind, [.. deciding], rules, redirect);
    }

    // Null: nothing is enforced there.
    private ushort? EndpointOf(TrafficEnd end)
    {
        if (end.Pod is { } pod)
            return model.EndpointOf(pod);
        return IsNode(end) && model.Objects.Options.EnableHostFirewall ? model.EndpointOfNode(end.Node) : null;
    }

    private static bool IsNode(TrafficEnd end) => end.Kind == TrafficEndKind.Node || end is { Kind: TrafficEndKind.Entity, Identity.Value: HostNumber };

    // "host" is the node of whoever is at the other end.
    private TrafficEnd PlaceHost(TrafficEnd end, TrafficEnd other)
        => end is { Kind: TrafficEndKind.Entity, Identity.Value: HostNumber } && other.Node.Length > 0
            ? _ends.OfNode(model.FindNode(other.Node) ?? new ClusterNode(other.Node, null, [], IsApiServer: false)) : end;

    private static RuleCheck Check(
        NetworkRule rule, PolicyIdentity? peer, NamedPorts subjectPorts, L4Protocol protocol, ushort port, PolicyEntry? winner)
    {
        bool peerMatches = rule.Peers is not { } peers || (peer is not null && peers.Any(p => p.Matches(peer)));
        NamedPorts named = rule.Direction == TrafficDirection.Ingress ? subjectPorts : peer?.Ports ?? NamedPorts.Empty;
        bool portMatches = rule.Ports.Any(match => match.Name is { } name
            ? named.Find(name, match.Protocol).Any(p => p.Protocol == protocol && p.Port == port)
            : match.Protocol == L4Protocol.Any || (match.Protocol == protocol && port >= match.First && port <= match.Last));
        return new RuleCheck(rule, peerMatches, portMatches, winner?.Origins.Rules.Contains(rule.Origin) == true);
    }

    private static ushort NumberOf(PortText port, TrafficEnd destination)
    {
        if (port.Number is { } number)
            return number;
        if (destination.Pod is not { } pod)
            throw new UnknownEndException($"port {port} is a name, and {destination} has no named ports: give the number");
        NamedPort? found = pod.Ports.Find(port.Name, port.Protocol).Select(p => (NamedPort?)p).FirstOrDefault();
        if (found is { } named)
            return named.Port;
        string known = pod.Ports.Ports.IsEmpty ? "it has none"
            : $"it has {string.Join(", ", pod.Ports.Ports.Select(p => $"{p.Name} ({PortText.Of(p.Protocol, p.Port)})"))}";
        throw new UnknownEndException($"{destination} has no container port {port}: {known}");
    }

    private IEnumerable<string> Notes(ConnectionPath path)
    {
        foreach (TrafficEnd end in new[] { path.Source, path.Destination })
        {
            if (end.Pod is { Workload.Length: > 0 } pod)
                yield return $"{pod.Name} is the template of a {pod.Workload}: there is no pod of it here";
            if (end.Kind == TrafficEndKind.Node && end.Node.Length == 0)
                yield return $"the node of {end} is not known; it is taken for another one than the other end's";
            if (NodeNote(end) is { } note)
                yield return note;
        }

        if (path.Destination.Kind == TrafficEndKind.DnsName && path.NamingRules.IsEmpty)
            yield return $"no toFQDNs rule names {path.Destination}: its addresses count as the world, or as the address blocks that hold them";
        if (path.Destination.Kind == TrafficEndKind.DnsName && path.Source.Pod is not null && path.Lookup is null)
            yield return "whether the name can be looked up is not known, as there is neither a service nor a pod kube-dns in kube-system";
        foreach (PolicyObjectKey shadow in ShadowOf(path.Source).Concat(ShadowOf(path.Destination)).Distinct())
            yield return $"{shadow} is in shadow mode: it is not enforced and has no part in this";
        foreach (PolicyStatus finding in model.Findings)
            yield return $"{finding.Policy} {(finding.Valid ? "does less than it says" : "is invalid and has no effect")}: {finding.Message.Replace('\n', ';')}";
    }

    private PolicyObjectKey[] ShadowOf(TrafficEnd end)
        => EndpointOf(end) is { } endpoint ? model.Engine.RulesOf(endpoint).Where(r => r.Shadow).Select(r => r.Origin.Policy).ToArray() : [];

    private string? NodeNote(TrafficEnd end)
    {
        if (!model.Objects.Options.EnableHostFirewall)
            return null;
        if (end is { Kind: TrafficEndKind.Entity, Identity.Value: HostNumber })
            return "it is not said which node the host is: only policies that are for every node are looked at; give node/NAME";
        if (end.Kind == TrafficEndKind.Node && end.NodeLabels is null)
            return $"there is no Node object for {end}: its labels are not known, and only policies that are for every node are looked at";
        return end is { Kind: TrafficEndKind.Entity, Identity.Value: RemoteNodeNumber or ApiServerNumber }
            ? $"what the policy of {end} itself says is not looked at; give node/NAME" : null;
    }
}
