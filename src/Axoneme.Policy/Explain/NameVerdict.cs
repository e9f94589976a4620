// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

public enum NameOutcome : byte
{
    /// <summary>Policy lets the question not get to a server.</summary>
    Blocked,

    /// <summary>The proxy answers in the server's place that it refuses.</summary>
    Refused,

    /// <summary>The server answers, and the proxy sees it: rules by name learn the addresses.</summary>
    Answered,

    /// <summary>The server answers, and nobody sees it: rules by name learn nothing.</summary>
    Unseen,
}

/// <summary>What becomes of a question for a DNS name.</summary>
/// <param name="Name">That is asked for.</param>
/// <param name="Outcome">The answer in a word.</param>
/// <param name="Rules">Those that let the name pass, or that send the question to the proxy and do not name it.</param>
public sealed record NameVerdict(string Name, NameOutcome Outcome, ImmutableArray<RuleOrigin> Rules)
{
    /// <summary>The verdict about a question over a connection whose rules are known.</summary>
    public static NameVerdict Of(string name, ConnectionPath path)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (!path.Egress.Allows || !path.Ingress.Allows)
            return new NameVerdict(name, NameOutcome.Blocked, []);
        if (path.Egress.Redirect is not DnsRedirect dns)
            return new NameVerdict(name, NameOutcome.Unseen, path.Egress.Deciding);
        // All allows of the level that redirects say which names pass, also those that redirect nothing.
        NetworkRule? winner = path.Egress.Rules.FirstOrDefault(r => r.Decides && r.Matches)?.Rule;
        NetworkRule[] level =
        [
            .. path.Egress.Rules.Where(r => r.Matches && r.Rule.Action == RuleAction.Allow && r.Rule.Tier == winner?.Tier && r.Rule.Order == winner.Order)
                .Select(r => r.Rule),
        ];
        return dns.Names.Any(n => n.Matches(name))
            ? new NameVerdict(name, NameOutcome.Answered, Origins(level.Where(r => r.Redirect is not DnsRedirect own || own.Names.Any(n => n.Matches(name)))))
            : new NameVerdict(name, NameOutcome.Refused, Origins(level));
    }

    // Of one object's entry there may be a rule for each list of names, and all have the origin of the entry.
    private static ImmutableArray<RuleOrigin> Origins(IEnumerable<NetworkRule> rules) => [.. rules.Select(r => r.Origin).Distinct()];
}

/// <summary>Where pods ask for names.</summary>
internal sealed class NameServers(ClusterModel model, EndResolver ends)
{
    private const string Namespace = "kube-system";
    private const string Label = "k8s-app";
    private const string Value = "kube-dns";
    private const ushort Port = 53;

    private ServiceBackend? _server;
    private bool _isKnown;

    /// <summary>One of the cluster's servers; null when the objects do not say which they are.</summary>
    public ServiceBackend? Server
    {
        get
        {
            if (!_isKnown)
                _server = Find();
            _isKnown = true;
            return _server;
        }
    }

    private ServiceBackend? Find()
    {
        Service? service = model.Objects.Of<Service>().FirstOrDefault(s => s.Metadata.Namespace == Namespace && s.Metadata.Name == Value)
            ?? model.Objects.Of<Service>().FirstOrDefault(s => s.Metadata.Namespace == Namespace && s.Metadata.Label(Label) == Value);
        if (service is not null && (service.Spec.Ports ?? []).Any(p => p.Port == Port && p.Protocol?.ToUpperInvariant() == "UDP"))
            return new ServiceBackends(model, ends).Translate(service, new PortText(L4Protocol.Udp, Port, "")).Backends.FirstOrDefault();
        ClusterPod? pod = model.Pods.Values.Where(p => p.Name.Namespace == Namespace && p.Own.GetValueOrDefault(Label) == Value).OrderBy(p => p.Name).FirstOrDefault();
        return pod is null ? null : new ServiceBackend(ends.OfPod(pod), Port);
    }
}
