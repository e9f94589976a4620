// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

/// <summary>A node as policy sees it.</summary>
/// <param name="Name">Of the Node object.</param>
/// <param name="Labels">Of the Node object; null when there is none, so that it is not known which policies are for the node.</param>
/// <param name="Addresses">In the order in which the objects have them; empty when they are not known.</param>
/// <param name="IsApiServer">The Kubernetes API is served from one of the addresses.</param>
public sealed record ClusterNode(string Name, IReadOnlyDictionary<string, string>? Labels, ImmutableArray<IpAddress> Addresses, bool IsApiServer);

/// <summary>The nodes among the objects, and the identities that they have for themselves and for each other.</summary>
internal sealed class ClusterNodes
{
    private readonly ClusterObjects _objects;
    private readonly PolicyEngine _engine;
    private readonly Dictionary<string, ClusterNode> _byName = [];
    private readonly Dictionary<IpAddress, ClusterNode> _byAddress = [];
    private readonly HashSet<IpAddress> _apiServers;
    private readonly Dictionary<LabelSet, SecurityIdentity> _identities = [];

    public ClusterNodes(ClusterObjects objects, PolicyEngine engine)
    {
        _objects = objects;
        _engine = engine;
        _apiServers = [.. objects.Of<EndpointSlice>()
            .Where(s => s.Metadata.Namespace == "default" && s.Metadata.Label("kubernetes.io/service-name") == "kubernetes")
            .SelectMany(s => s.Endpoints ?? []).SelectMany(e => e.Addresses ?? []).Select(Parse).OfType<IpAddress>()];
        foreach (Node node in objects.Of<Node>())
            Add(node.Metadata.Name, node.Metadata.Labels ?? new Dictionary<string, string>(), (node.Status.Addresses ?? []).Select(a => a.Address));
        // An agent knows its own Node object, and the others by what their agents copied of theirs.
        foreach (CiliumNode node in objects.Of<CiliumNode>())
            Add(node.Metadata.Name, node.Metadata.Labels, (node.Spec.Addresses ?? []).Select(a => a.Ip));
        // Rules about nodes hold for all that there are, whoever is asked about.
        foreach (ClusterNode node in _byName.Values)
        {
            foreach (IpAddress address in node.Addresses)
                IdentityOf(node, address);
        }
    }

    public IEnumerable<ClusterNode> All => _byName.Values;

    public ClusterNode? Find(string name) => _byName.GetValueOrDefault(name);

    public ClusterNode? Find(IpAddress address) => _byAddress.GetValueOrDefault(address);

    public bool IsApiServer(IpAddress address) => _apiServers.Contains(address);

    /// <summary>As the other nodes see it by this address.</summary>
    public SecurityIdentity IdentityOf(ClusterNode node, IpAddress? address)
    {
        if (!_objects.Options.EnableNodeSelectorLabels && !_objects.CidrMatchesNodes)
            return node.IsApiServer ? SecurityIdentity.KubeApiServer : SecurityIdentity.RemoteNode;
        IEnumerable<KeyValuePair<string, string>> shown = !_objects.Options.EnableNodeSelectorLabels || node.Labels is null ? []
            : node.Labels.Where(l => _objects.NodeFilter.Keeps(new Label(NodeLabels.Source, l.Key, l.Value)));
        LabelSet labels = NodeLabels.ForRemoteNode(_objects.Options.ClusterName, shown, _objects.CidrMatchesNodes ? address : null, node.IsApiServer);
        if (_identities.TryGetValue(labels, out SecurityIdentity known))
            return known;
        var id = new SecurityIdentity(SecurityIdentity.RemoteNodeScope + (uint)_identities.Count + 1);
        _engine.UpsertIdentity(id, labels);
        return _identities[labels] = id;
    }

    /// <summary>The labels that the identity "host" has on the node, where it stands for the node itself.</summary>
    public LabelSet HostLabels(string name)
    {
        if (Find(name) is not { } node)
            return LabelSet.Reserved("host");
        LabelSet facts = NodeLabels.ForHost(_objects.CidrMatchesNodes ? node.Addresses : [], node.IsApiServer);
        IEnumerable<Label> own = (node.Labels ?? new Dictionary<string, string>()).Select(l => new Label(Label.Kubernetes, l.Key, l.Value));
        return LabelSet.From(facts.Concat(own));
    }

    private void Add(string name, IReadOnlyDictionary<string, string>? labels, IEnumerable<string?> texts)
    {
        ClusterNode? known = Find(name);
        ImmutableArray<IpAddress> addresses = [.. (known?.Addresses ?? []).Concat(texts.Select(Parse).OfType<IpAddress>()).Distinct()];
        var node = new ClusterNode(name, known?.Labels ?? labels, addresses, addresses.Any(_apiServers.Contains));
        _byName[name] = node;
        foreach (IpAddress address in addresses)
            _byAddress[address] = node;
    }

    private static IpAddress? Parse(string? text) => IpAddress.TryParse(text, out IpAddress address) ? address : null;
}
