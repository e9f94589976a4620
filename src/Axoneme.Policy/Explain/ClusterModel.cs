// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

/// <summary>
/// The agent's policy engine, filled from objects: every pod has its identity, every policy is translated as on a node. Endpoints join it when
/// they are asked about. Not thread-safe.
/// </summary>
public sealed class ClusterModel
{
    private readonly Dictionary<LabelSet, SecurityIdentity> _identities = [];
    private readonly Dictionary<(SecurityIdentity, NamedPorts), ushort> _endpoints = [];
    private readonly Dictionary<ResourceName, ClusterPod> _pods = [];
    private readonly Dictionary<IpAddress, ClusterPod> _podsByAddress = [];
    private readonly ClusterNodes _nodes;
    private readonly EndResolver _ends;
    private readonly HashSet<SecurityIdentity> _taken = [];
    private readonly Dictionary<string, SecurityIdentity> _byNames = [];
    private uint _nextIdentity = IdentityNumbering.Default.First;
    private uint _nextName = SecurityIdentity.LocalCidrScope + 0x80_0000;
    private LabelSet _host = LabelSet.Reserved("host");
    private bool _changed = true;

    public ClusterModel(ClusterObjects objects)
    {
        ArgumentNullException.ThrowIfNull(objects);
        Objects = objects;
        Engine = new PolicyEngine(objects.Options);
        foreach (CiliumIdentity identity in objects.Of<CiliumIdentity>())
        {
            if (uint.TryParse(identity.Metadata.Name, out uint number) && identity.SecurityLabels is { Count: > 0 } labels)
            {
                _identities.TryAdd(PodLabels.FromSecurityLabels(labels), new SecurityIdentity(number));
                _taken.Add(new SecurityIdentity(number));
            }
        }

        _nodes = new ClusterNodes(objects, Engine);
        _ends = new EndResolver(this);
        AddPods();
        AddIdentities();
        AddPolicies();
    }

    public ClusterObjects Objects { get; }

    public PolicyEngine Engine { get; }

    /// <summary>By name; workloads that have no pods are among them.</summary>
    public IReadOnlyDictionary<ResourceName, ClusterPod> Pods => _pods;

    public IEnumerable<ClusterNode> Nodes => _nodes.All;

    /// <summary>Policies that are not in force, or do less than they say, each with the reason.</summary>
    public IReadOnlyList<PolicyStatus> Findings { get; private set; } = [];

    public ClusterPod? FindPod(IpAddress address) => _podsByAddress.GetValueOrDefault(address);

    public ClusterNode? FindNode(string name) => _nodes.Find(name);

    public ClusterNode? FindNode(IpAddress address) => _nodes.Find(address);

    public bool IsApiServer(IpAddress address) => _nodes.IsApiServer(address);

    /// <summary>As the other nodes see the node by this address.</summary>
    public SecurityIdentity IdentityOf(ClusterNode node, IpAddress? address)
    {
        SecurityIdentity identity = _nodes.IdentityOf(node, address);
        _changed = true;
        return identity;
    }

    public LabelSet LabelsOf(SecurityIdentity identity) => Engine.FindIdentity(identity)?.Labels ?? LabelSet.Empty;

    /// <summary>The endpoint that stands for the pod. Its policy is that of the pod's node until another end is asked about.</summary>
    public ushort EndpointOf(ClusterPod pod)
    {
        ArgumentNullException.ThrowIfNull(pod);
        LookFrom(pod.Node);
        return EndpointOf(pod.Identity, pod.Labels, pod.Ports);
    }

    /// <summary>The endpoint that stands for the node, until another end is asked about.</summary>
    /// <param name="node">Name; of a node that is not known nothing but that it is one.</param>
    public ushort EndpointOfNode(string node)
    {
        LookFrom(node);
        return EndpointOf(SecurityIdentity.Host, _host, NamedPorts.Empty);
    }

    private ushort EndpointOf(SecurityIdentity identity, LabelSet labels, NamedPorts ports)
    {
        if (_endpoints.TryGetValue((identity, ports), out ushort known))
            return known;
        ushort id = checked((ushort)(_endpoints.Count + 1));
        _endpoints[(identity, ports)] = id;
        Engine.UpsertEndpoint(id, identity, labels, ports);
        _changed = true;
        return id;
    }

    // The identity "host" is another node on each node.
    private void LookFrom(string node)
    {
        LabelSet labels = _nodes.HostLabels(node);
        if (labels.Equals(_host))
            return;
        _host = labels;
        Engine.UpsertIdentity(SecurityIdentity.Host, labels);
        _changed = true;
    }

    /// <summary>The policy of the endpoint with everything that was said so far.</summary>
    public EndpointPolicy PolicyOf(ushort endpoint)
    {
        if (_changed)
            Engine.Commit();
        _changed = false;
        return Engine.FindEndpoint(endpoint)!;
    }

    /// <summary>The identity that packets to or from an address outside have on a node.</summary>
    public SecurityIdentity IdentityOf(IpAddress address)
    {
        IpPrefix? longest = null;
        SecurityIdentity found = Objects.Options.DualStack
            ? (address.IsV6 ? SecurityIdentity.WorldIPv6 : SecurityIdentity.WorldIPv4) : SecurityIdentity.World;
        IEnumerable<KeyValuePair<IpPrefix, SecurityIdentity>> learnt = Objects.Addresses.Select(a => KeyValuePair.Create(a.Prefix, a.Identity));
        foreach ((IpPrefix prefix, SecurityIdentity identity) in Engine.Prefixes.Concat(learnt))
        {
            if (prefix.Contains(address) && (longest is null || prefix.Length >= longest.Value.Length))
                (longest, found) = (prefix, identity);
        }

        return found;
    }

    /// <summary>The identity of an address that a lookup of the name gives.</summary>
    public SecurityIdentity IdentityOfName(string name) => IdentityOfNames([name], address: null);

    /// <summary>An end as it was recorded: the pod of that name if there is one, and otherwise one with the recorded labels.</summary>
    public TrafficEnd EndOf(RecordedEnd end)
    {
        ArgumentNullException.ThrowIfNull(end);
        if (end.IsPod)
        {
            if (_pods.TryGetValue(new ResourceName(end.Namespace, end.Pod), out ClusterPod? present) && !present.HostNetwork)
                return _ends.OfPod(present) with { Address = end.Address };
            return _ends.OfPod(Adopt(end));
        }

        if (end.IsOutside && end.Address is { } address)
        {
            SecurityIdentity identity = end.Names.IsEmpty ? IdentityOf(address) : IdentityOfNames(end.Names, address);
            return new TrafficEnd { Kind = TrafficEndKind.Address, Name = end.Name, Address = address, Identity = identity };
        }

        return new TrafficEnd { Kind = TrafficEndKind.Entity, Name = end.Name, Address = end.Address, Identity = end.Identity };
    }

    private ClusterPod Adopt(RecordedEnd end)
    {
        SecurityIdentity identity = IdentityFor(end.Labels);
        if (Engine.FindIdentity(identity) is null)
        {
            Engine.UpsertIdentity(identity, end.Labels);
            _changed = true;
        }

        Dictionary<string, string> own = end.Labels.Where(l => l.Source == Label.Kubernetes && !PodReader.IsDerived(l.Key)).ToDictionary(l => l.Key, l => l.Value);
        NamedPorts ports = Engine.FindIdentity(identity)?.Ports ?? NamedPorts.Empty;
        var name = new ResourceName(end.Namespace, end.Pod.Length > 0 ? end.Pod : end.Workload);
        return new ClusterPod(name, own, end.Labels, identity, ports, "", HostNetwork: false, end.Address is { } address ? [address] : []);
    }

    // One identity for the set of patterns in use that match, and the narrowest block around the address, as on a node.
    private SecurityIdentity IdentityOfNames(IReadOnlyCollection<string> names, IpAddress? address)
    {
        string[] matching =
        [
            .. Engine.Names.Patterns.Where(p => names.Any(n => p.Matches(n))).Select(p => p.Text).Distinct().Order(StringComparer.Ordinal),
        ];
        SecurityIdentity around = address is { } known ? IdentityOf(known)
            : Objects.Options.DualStack ? SecurityIdentity.WorldIPv4 : SecurityIdentity.World;
        if (matching.Length == 0)
            return around;
        string key = $"{around.Value} {string.Join(' ', matching)}";
        if (_byNames.TryGetValue(key, out SecurityIdentity held))
            return held;
        var id = new SecurityIdentity(_nextName++);
        Engine.UpsertIdentity(id, LabelSet.From(matching.Select(p => new Label(FqdnSelector.LabelSource, p, "")).Concat(LabelsOf(around))));
        _changed = true;
        return _byNames[key] = id;
    }

    private SecurityIdentity IdentityFor(LabelSet labels)
    {
        if (_identities.TryGetValue(labels, out SecurityIdentity known))
            return known;
        while (!_taken.Add(new SecurityIdentity(_nextIdentity)))
            _nextIdentity++;
        return _identities[labels] = new SecurityIdentity(_nextIdentity);
    }

    private void AddPods()
    {
        foreach (ClusterPod pod in PodReader.Read(Objects, IdentityFor))
        {
            _pods[pod.Name] = pod;
            if (pod.HostNetwork)
                continue;
            foreach (IpAddress address in pod.Addresses)
                _podsByAddress[address] = pod;
        }
    }

    private void AddIdentities()
    {
        foreach ((LabelSet labels, SecurityIdentity id) in _identities)
            Engine.UpsertIdentity(id, labels);
        foreach (IGrouping<SecurityIdentity, ClusterPod> pods in _pods.Values.GroupBy(p => p.Identity))
            Engine.UpsertIdentity(pods.Key, pods.First().Labels, NamedPorts.From(pods.SelectMany(p => p.Ports.Ports)));
        foreach (KnownAddress address in Objects.Addresses)
        {
            // The numbers are those of the agent, where blocks and names get theirs from one range.
            if (CidrLabels.Find(address.Labels) != address.Prefix || !Engine.RestorePrefix(address.Prefix, address.Identity))
                Engine.UpsertIdentity(address.Identity, address.Labels);
        }
    }

    private void AddPolicies()
    {
        var repository = new PolicyRepository(Engine, new ObjectServices(Objects));
        var findings = new List<PolicyStatus>();
        if (Objects.Options.EnableHostFirewall && Objects.Management.ToDocument() is { } management)
            Engine.UpsertPolicy(management);
        foreach (CiliumCIDRGroup group in Objects.Of<CiliumCIDRGroup>())
            repository.Upsert(group, out _);
        foreach (Resource item in Objects.Items)
        {
            PolicyStatus? status = item switch
            {
                NetworkPolicy policy => repository.Upsert(policy),
                CiliumNetworkPolicy policy => repository.Upsert(policy),
                CiliumClusterwideNetworkPolicy policy => repository.Upsert(policy),
                ClusterNetworkPolicy policy => repository.Upsert(policy),
                AdminNetworkPolicy policy => repository.Upsert(policy),
                BaselineAdminNetworkPolicy policy => repository.Upsert(policy),
                _ => null,
            };
            if (status is { Message.Length: > 0 })
                findings.Add(status);
        }

        Findings = findings;
    }
}
