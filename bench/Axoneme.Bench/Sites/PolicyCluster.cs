// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;

namespace Axoneme.Bench.Sites;

/// <summary>
/// A large cluster as a node's policy engine sees it: 100 namespaces of 100 workloads, one identity each, fifty policies a namespace, and 250
/// endpoints here, each of another workload. What a namespace has is what people write: isolation, names, monitoring from everywhere, a team
/// across namespaces, the outside but for some blocks, and otherwise one workload to another.
/// </summary>
internal sealed class PolicyCluster
{
    public const int Namespaces = 100;
    public const int Workloads = 100;
    public const int Endpoints = 250;
    public const int PoliciesPerNamespace = 50;
    public const int Policies = Namespaces * PoliciesPerNamespace;
    public const int Identities = Namespaces * Workloads;
    private const int Teams = 10;
    private const uint FirstIdentity = 256;
    private const ushort WorkloadPort = 8000;

    /// <summary>In the order in which they are listed.</summary>
    public IReadOnlyList<Resource> Objects { get; } =
        [.. Enumerable.Range(0, Namespaces).SelectMany(ns => Enumerable.Range(0, PoliciesPerNamespace).Select(i => Policy(ns, i, WorkloadPort)))];

    public static (SecurityIdentity Id, LabelSet Labels) Identity(int index)
        => (new SecurityIdentity(FirstIdentity + (uint)index), LabelsOf(index / Workloads % Namespaces, index % Workloads));

    /// <summary>The identity of a local endpoint; the first is endpoint 1.</summary>
    public static int IdentityOf(ushort endpoint) => (endpoint - 1) * (Identities / Endpoints);

    /// <summary>A policy for one workload that has an endpoint here, which opens the port to another workload.</summary>
    public static CiliumNetworkPolicy OpenPort(ushort endpoint, ushort port)
    {
        int identity = IdentityOf(endpoint);
        return Between(identity / Workloads, $"open-{endpoint}", identity % Workloads, (identity + 1) % Workloads, port);
    }

    private static LabelSet LabelsOf(int ns, int workload) => LabelSet.From(
    [
        new Label(Label.Kubernetes, "app", $"app-{workload}"),
        new Label(Label.Kubernetes, "team", $"team-{(ns + workload) % Teams}"),
        new Label(Label.Kubernetes, PodLabels.Namespace, NameOf(ns)),
        new Label(Label.Kubernetes, PodLabels.NamespaceLabelPrefix + "kubernetes.io/metadata.name", NameOf(ns)),
        new Label(Label.Kubernetes, PodLabels.NamespaceLabelPrefix + "department", $"department-{ns % Teams}"),
        new Label(Label.Kubernetes, PodLabels.Cluster, "default"),
        new Label(Label.Kubernetes, PodLabels.ServiceAccount, "default"),
    ]);

    private static Resource Policy(int ns, int index, ushort port) => index switch
    {
        0 => Kubernetes(ns, "isolate", new NetworkPolicySpec { PodSelector = new LabelSelector(), PolicyTypes = ["Ingress", "Egress"] }),
        1 => Kubernetes(ns, "monitoring", new NetworkPolicySpec
        {
            Ingress = [new() { From = [new() { NamespaceSelector = new LabelSelector() }], Ports = [new() { Protocol = "TCP", Port = 9100, EndPort = 9199 }] }],
        }),
        2 => Kubernetes(ns, "department", new NetworkPolicySpec
        {
            Ingress =
            [
                new()
                {
                    From = [new() { NamespaceSelector = Labels("department", $"department-{ns % Teams}") }],
                    Ports = [new() { Protocol = "TCP", Port = 443 }],
                },
            ],
        }),
        3 => Kubernetes(ns, "blocks", new NetworkPolicySpec
        {
            PolicyTypes = ["Egress"],
            Egress = [new() { To = [new() { IpBlock = new IPBlock { Cidr = $"10.{ns}.0.0/16", Except = [$"10.{ns}.1.0/24", $"10.{ns}.2.0/24"] } }] }],
        }),
        4 => Cilium(ns, "names", new PolicyRule
        {
            EndpointSelector = new LabelSelector(),
            Egress =
            [
                new() { ToEndpoints = [Labels("app", "app-0", ("io.kubernetes.pod.namespace", NameOf(0)))], ToPorts = [Ports("UDP", 53), Ports("TCP", 53)] },
                new() { ToEntities = ["world"], ToPorts = [Ports("TCP", 443)] },
            ],
            EgressDeny = [new() { ToCIDR = ["169.254.169.254/32"] }],
        }),
        5 => Cilium(ns, "neighbours", new PolicyRule
        {
            EndpointSelector = new LabelSelector(),
            Ingress = [new() { FromEndpoints = [new LabelSelector()], ToPorts = [Ports("TCP", 8080)] }],
        }),
        6 => Cilium(ns, "cluster", new PolicyRule
        {
            EndpointSelector = Labels("team", "team-1"),
            Ingress = [new() { FromEntities = ["cluster"], ToPorts = [Ports("TCP", 9443)] }],
        }),
        _ => Between(ns, $"policy-{index}", index * 2 % Workloads, (index * 3) % Workloads, (ushort)(port + index)),
    };

    private static CiliumNetworkPolicy Between(int ns, string name, int subject, int peer, ushort port) => Cilium(ns, name, new PolicyRule
    {
        EndpointSelector = Labels("app", $"app-{subject}"),
        Ingress = [new() { FromEndpoints = [Labels("app", $"app-{peer}")], ToPorts = [Ports("TCP", port)] }],
        Egress = [new() { ToEndpoints = [Labels("app", $"app-{(peer + 1) % Workloads}")], ToPorts = [Ports("TCP", port)] }],
    });

    private static NetworkPolicy Kubernetes(int ns, string name, NetworkPolicySpec spec) => new() { Metadata = MetaOf(ns, name), Spec = spec };

    private static CiliumNetworkPolicy Cilium(int ns, string name, PolicyRule spec) => new() { Metadata = MetaOf(ns, name), Spec = spec };

    private static ObjectMeta MetaOf(int ns, string name)
        => new() { Name = name, Namespace = NameOf(ns), Uid = $"00000000-0000-0000-0000-{ns:D4}{(uint)name.GetHashCode(StringComparison.Ordinal) % 100_000_000:D8}" };

    private static string NameOf(int ns) => $"namespace-{ns}";

    private static PortRule Ports(string protocol, ushort port) => new() { Ports = [new PortProtocol { Port = $"{port}", Protocol = protocol }] };

    private static LabelSelector Labels(string key, string value, params (string Key, string Value)[] more)
        => new() { MatchLabels = more.Append((Key: key, Value: value)).ToDictionary(p => p.Key, p => p.Value) };
}
