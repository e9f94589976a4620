// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.Policy.Tests;

/// <summary>Small random clusters: few labels, ports and blocks, so that rules overlap and contradict each other all the time.</summary>
internal sealed class RandomWorld(int seed)
{
    private static readonly string[] Apps = ["web", "db", "dns"];
    private static readonly string[] Namespaces = ["blue", "green"];
    private static readonly string[] PortNames = ["http", "metrics"];
    private static readonly L4Protocol[] Protocols = [L4Protocol.Tcp, L4Protocol.Udp, L4Protocol.Icmp];
    private static readonly ushort[] Ports = [0, 1, 53, 79, 80, 81, 100, 443, 8000, 8080, 65534, 65535];

    private static readonly string[] Blocks =
    [
        "0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "10.128.0.0/9", "192.168.0.0/16",
        "::/0", "fd00::/8", "fd00:1::/32", "fd00:1::1/128",
    ];

    private static readonly IpAddress[] Outside =
    [
        .. new[] { "10.1.2.3", "10.1.2.4", "10.1.9.9", "10.2.0.1", "10.200.0.1", "192.168.1.1", "8.8.8.8", "fd00:1::1", "fd00:1::2", "fd00:2::1", "2001:db8::1" }
            .Select(IpAddress.Parse),
    ];

    private readonly Random _random = new(seed);

    // Worlds without a pass, which take another way, and worlds full of them.
    private readonly double _passes = (seed % 3) * 0.15;

    /// <summary>With one family, IPv4, the world is one identity.</summary>
    private bool DualStack => seed % 10 < 7;

    public T Pick<T>(IReadOnlyList<T> items) => items[_random.Next(items.Count)];

    public bool Chance(double probability) => _random.NextDouble() < probability;

    public int Next(int bound) => _random.Next(bound);

    public PolicyOptions Options() => new()
    {
        Enforcement = Chance(0.1) ? EnforcementMode.Always : Chance(0.05) ? EnforcementMode.Never : EnforcementMode.Default,
        AllowLocalhost = Chance(0.8),
        DualStack = DualStack,
    };

    /// <summary>A pod with this number in its own cluster: mostly here, at times in another one, and rarely without a namespace.</summary>
    public Peer Pod(uint id)
    {
        bool isRemote = id % 5 == 0;
        List<Label> labels =
        [
            new Label("k8s", "app", Pick(Apps)), new Label("k8s", PodLabels.Cluster, isRemote ? "other" : "default"),
            new Label("k8s", "instance", id.ToString()),
        ];
        if (Chance(0.95))
            labels.Add(new Label("k8s", PodLabels.Namespace, Pick(Namespaces)));
        return new Peer(
            new SecurityIdentity(isRemote ? (3u << 16) + id : id),
            LabelSet.From(labels),
            NamedPorts.From(PortNames.Where(_ => Chance(0.5)).Select(n => new NamedPort(n, Pick(Protocols[..2]), Pick(Ports)))));
    }

    /// <summary>A node with an identity of its own.</summary>
    public static Peer Node { get; } = new(
        new SecurityIdentity(SecurityIdentity.RemoteNodeScope + 1), LabelSet.Reserved("remote-node"), NamedPorts.Empty);

    private Peer World(IpAddress address) => !DualStack
        ? new Peer(SecurityIdentity.World, LabelSet.Reserved("world"), NamedPorts.Empty, address)
        : new Peer(
            address.IsV6 ? SecurityIdentity.WorldIPv6 : SecurityIdentity.WorldIPv4,
            LabelSet.Reserved(address.IsV6 ? "world-ipv6" : "world-ipv4"), NamedPorts.Empty, address);

    public Packet Packet(IReadOnlyList<Peer> pods)
    {
        Peer peer = Next(10) switch
        {
            0 => new Peer(SecurityIdentity.Host, LabelSet.Reserved("host"), NamedPorts.Empty),
            1 => Chance(0.5) ? Node : new Peer(SecurityIdentity.RemoteNode, LabelSet.Reserved("remote-node"), NamedPorts.Empty),
            < 6 => World(Pick(Outside.Where(a => DualStack || !a.IsV6).ToArray())),
            _ when pods.Count == 0 => Node,
            _ => Pick(pods),
        };
        return new Packet(peer, Pick(Protocols), Chance(0.8) ? Pick(Ports) : (ushort)Next(65536));
    }

    public PolicyDocument Document(int number)
    {
        var key = new PolicyObjectKey(PolicyKind.CiliumNetworkPolicy, "blue", $"policy-{number}");
        int count = 1 + Next(4);
        bool shadow = Chance(0.1);
        return new PolicyDocument(key, [.. Enumerable.Range(0, count).Select(i => Rule(key, i) with { Shadow = shadow })]);
    }

    private NetworkRule Rule(PolicyObjectKey key, int index) => new()
    {
        Subject = LabelSelector(),
        Direction = Chance(0.5) ? TrafficDirection.Ingress : TrafficDirection.Egress,
        Action = Chance(_passes) ? RuleAction.Pass : Chance(0.3) ? RuleAction.Deny : RuleAction.Allow,
        DefaultDeny = Chance(0.7),
        Tier = Chance(0.8 - _passes) ? PolicyTier.Normal : Chance(0.5) ? PolicyTier.Admin : PolicyTier.Baseline,
        Order = (ushort)(Chance(0.8) ? 0 : Next(3)),
        Peers = Chance(0.2) ? null : [.. Enumerable.Range(0, Next(3)).SelectMany(_ => PeerSelectors())],
        Ports = Chance(0.2) ? [L4Match.AllPorts(L4Protocol.Any)] : [.. Enumerable.Range(0, 1 + Next(3)).Select(_ => Match())],
        Origin = new RuleOrigin(key, "uid", $"spec.rules[{index}]", LabelSet.Empty),
    };

    private LabelsSelector LabelSelector() => Next(5) switch
    {
        0 => new LabelsSelector(LabelRequirement.Exists("k8s", PodLabels.Namespace)),
        1 => new LabelsSelector(LabelRequirement.Equal("any", PodLabels.Namespace, Pick(Namespaces))),
        2 => new LabelsSelector(
            LabelRequirement.Equal("k8s", PodLabels.Namespace, Pick(Namespaces)),
            new LabelRequirement("any", "app", Chance(0.5) ? LabelOperator.NotIn : LabelOperator.In, Pick(Apps), Pick(Apps))),
        3 => new LabelsSelector(
            LabelRequirement.Exists("k8s", "app"), new LabelRequirement("k8s", "instance", LabelOperator.NotIn, "256", "257")),
        _ => new LabelsSelector(LabelRequirement.Equal("k8s", "app", Pick(Apps))),
    };

    private IEnumerable<IdentitySelector> PeerSelectors()
    {
        switch (Next(5))
        {
            case 0:
                return Entities.Find(Pick(["world", "cluster", "cluster-mesh", "host", "remote-node", "none", "world-ipv6"]), "default")!;
            case 1 or 2:
                IpPrefix block = Pick(Blocks.Select(IpPrefix.Parse).Where(b => DualStack || !b.IsV6).ToArray());
                IEnumerable<IpPrefix> inside = Blocks.Select(IpPrefix.Parse).Where(b => b != block && block.Contains(b));
                return [new CidrSelector(block, inside.Where(_ => Chance(0.25)))];
            case 3:
                return [ClassSelector()];
            default:
                return [LabelSelector()];
        }
    }

    // What all pods, of this cluster or of any, have.
    private LabelsSelector ClassSelector() => Next(4) switch
    {
        0 => new LabelsSelector(),
        1 => new LabelsSelector(LabelRequirement.Exists("k8s", PodLabels.Namespace), LabelRequirement.Equal("k8s", PodLabels.Cluster, "default")),
        2 => new LabelsSelector(LabelRequirement.Exists("any", PodLabels.Namespace)),
        _ => new LabelsSelector(LabelRequirement.Equal("k8s", PodLabels.Cluster, "other")),
    };

    private L4Match Match()
    {
        L4Protocol protocol = Pick(Protocols);
        if (Chance(0.15))
            return L4Match.Named(Chance(0.3) ? L4Protocol.Any : Pick(Protocols[..2]), Pick(PortNames));
        if (Chance(0.2))
            return L4Match.AllPorts(protocol);
        ushort first = Pick(Ports);
        ushort last = Chance(0.5) ? first : Pick(Ports);
        return first <= last ? new L4Match(protocol, first, last) : new L4Match(protocol, last, first);
    }
}
