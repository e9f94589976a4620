// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy.Explain;

namespace Axoneme.Policy.Tests;

/// <summary>Small random clusters of API objects, with policies of every kind that contradict each other, and questions about them.</summary>
internal sealed class ExplainedWorld(Random random)
{
    private static readonly string[] Applications = ["web", "cart", "db"];
    private static readonly string[] Spaces = ["shop", "stock"];
    private static readonly string[] Nodes = ["n1", "n2", "n3"];
    private static readonly string[] Outside = ["203.0.113.9", "198.51.100.7", "2001:db8::1"];
    private static readonly string[] Names = ["api.example.com", "www.example.com", "example.org"];
    private static readonly string[] Ports = ["80/tcp", "5432/tcp", "53/udp", "8/icmp", "128/icmpv6"];

    public ClusterObjects Objects()
    {
        IEnumerable<Resource> pods =
            from space in Spaces
            from application in Applications
            select Pod(space, application);
        IEnumerable<Resource> policies = Enumerable.Range(0, random.Next(1, 6)).Select(Policy);
        return new ClusterObjects
        {
            Items = [.. pods, .. NameServers(), .. Nodes.Select(Node), ApiServer(), .. policies],
            Options = PolicyOptions.Default with
            {
                EnableHostFirewall = random.Next(4) > 0,
                EnableNodeSelectorLabels = true,
                AllowLocalhost = random.Next(4) > 0,
            },
            CidrMatchesNodes = random.Next(3) == 0,
        };
    }

    /// <summary>Without one of the policies, and with another one.</summary>
    public ClusterObjects Change(ClusterObjects objects)
    {
        Resource[] policies = [.. objects.Items.Where(i => PolicyNames.KeyOf(i) is not null)];
        Resource gone = policies[random.Next(policies.Length)];
        return objects.Without(gone.Definition.Kind, gone.ResourceName)!.With(Policy(99));
    }

    /// <summary>A pod of an application, and a name.</summary>
    public (string From, string Name) Query() => (PodName(), Pick(Names));

    /// <summary>Two ends, not twice the same, of which one at least may have a policy, and a port.</summary>
    public (string From, string To, PortText Port) Question()
    {
        string policed = random.Next(3) == 0 ? $"node/{Pick(Nodes)}" : PodName();
        bool outwards = random.Next(2) == 0;
        string other = random.Next(6) switch
        {
            0 => "world",
            1 => Pick(Outside),
            2 => $"node/{Pick(Nodes)}",
            3 when outwards => Pick(Names),
            _ => PodName(),
        };
        if (other == policed)
            return Question();
        PortText port = PortText.Parse(Pick(Ports));
        return outwards ? (policed, other, port) : (other, policed, port);
    }

    private static Pod Pod(string space, string application) => Read($$$"""
        {'metadata': {'name': '{{{application}}}-0', 'namespace': '{{{space}}}', 'labels': {'app': '{{{application}}}'}},
         'spec': {'nodeName': '{{{(application == "db" ? "n2" : "n1")}}}', 'containers': [{'name': 'c', 'ports': [
            {'name': 'http', 'containerPort': {{{(space == "shop" ? 80 : 8080)}}}}, {'name': 'sql', 'containerPort': 5432}]}]}}
        """, KubernetesJson.Default.Pod);

    private static Node Node(string name) => Read($$$"""
        {'metadata': {'name': '{{{name}}}', 'labels': {'kubernetes.io/hostname': '{{{name}}}', 'pool': '{{{(name == "n3" ? "core" : "edge")}}}'}},
         'status': {'addresses': [{'type': 'InternalIP', 'address': '192.168.0.{{{name[1]}}}'}]}}
        """, KubernetesJson.Default.Node);

    private static EndpointSlice ApiServer() => Read("""
        {'metadata': {'name': 'kubernetes', 'namespace': 'default', 'labels': {'kubernetes.io/service-name': 'kubernetes'}},
         'addressType': 'IPv4', 'endpoints': [{'addresses': ['192.168.0.3']}]}
        """, KubernetesJson.Default.EndpointSlice);

    private static IEnumerable<Resource> NameServers()
    {
        yield return Read("""
            {'metadata': {'name': 'dns-0', 'namespace': 'kube-system', 'labels': {'k8s-app': 'kube-dns'}}, 'spec': {'nodeName': 'n2', 'containers': []}}
            """, KubernetesJson.Default.Pod);
        yield return Read("""
            {'metadata': {'name': 'kube-dns', 'namespace': 'kube-system'},
             'spec': {'selector': {'k8s-app': 'kube-dns'}, 'ports': [{'port': 53, 'protocol': 'UDP'}]}}
            """, KubernetesJson.Default.Service);
    }

    // Questions for some names, to the servers or to anyone.
    private CiliumNetworkPolicy Questions(int number)
    {
        string servers = random.Next(3) == 0 ? "" : "'toEndpoints': [{'matchLabels': {'k8s-app': 'kube-dns', 'k8s:io.kubernetes.pod.namespace': 'kube-system'}}], ";
        string names = random.Next(4) == 0 ? "" : $$$""", 'rules': {'dns': [{'matchPattern': '{{{Pick(["*", "*.example.com", "example.*"])}}}'}]}""";
        return Read($$$"""
            {'metadata': {'name': 'q{{{number}}}', 'namespace': '{{{Pick(Spaces)}}}'}, 'spec': {'endpointSelector': {{{Selector()}}},
             'egress': [{ {{{servers}}} 'toPorts': [{'ports': [{'port': '53', 'protocol': 'ANY'}]{{{names}}}}]}]}}
            """, KubernetesJson.Default.CiliumNetworkPolicy);
    }

    private Resource Policy(int number) => random.Next(9) switch
    {
        7 or 8 => Questions(number),
        0 => Tier(number),
        1 => Kubernetes(number),
        2 or 3 => Read(
            $$$"""{'metadata': {'name': 'p{{{number}}}'}, 'spec': {'nodeSelector': {{{NodeSelector()}}}, {{{Rules(forNodes: true)}}}}}""",
            KubernetesJson.Default.CiliumClusterwideNetworkPolicy),
        _ => Read(
            $$$"""{'metadata': {'name': 'p{{{number}}}', 'namespace': '{{{Pick(Spaces)}}}'}, 'spec': {'endpointSelector': {{{Selector()}}}, {{{Rules(forNodes: false)}}}}}""",
            KubernetesJson.Default.CiliumNetworkPolicy),
    };

    private ClusterNetworkPolicy Tier(int number)
    {
        bool isIngress = random.Next(2) == 0;
        string peer = isIngress || random.Next(2) == 0
            ? $$$"""'namespaces': {'matchLabels': {'kubernetes.io/metadata.name': '{{{Pick(Spaces)}}}'}}"""
            : Pick(["'networks': ['203.0.113.0/24']", "'nodes': {'matchLabels': {'pool': 'edge'}}"]);
        string ports = random.Next(2) == 0 ? "" : ", 'protocols': [{'tcp': {'destinationPort': {'number': 80}}}, {'destinationNamedPort': 'sql'}]";
        return Read($$$"""
            {'metadata': {'name': 't{{{number}}}'}, 'spec': {'tier': '{{{Pick(["Admin", "Baseline"])}}}', 'priority': {{{number}}}, 'subject': {'namespaces': {}},
             '{{{(isIngress ? "ingress" : "egress")}}}': [{'action': '{{{Pick(["Accept", "Deny", "Pass"])}}}', '{{{(isIngress ? "from" : "to")}}}': [{ {{{peer}}} }]{{{ports}}}}]}}
            """, KubernetesJson.Default.ClusterNetworkPolicy);
    }

    private NetworkPolicy Kubernetes(int number) => Read($$$"""
        {'metadata': {'name': 'k{{{number}}}', 'namespace': '{{{Pick(Spaces)}}}'}, 'spec': {'podSelector': {{{Selector()}}},
         'ingress': [{'from': [{'podSelector': {{{Selector()}}}, 'namespaceSelector': {}}], 'ports': [{'port': '{{{Pick(["http", "sql"])}}}'}]}]}}
        """, KubernetesJson.Default.NetworkPolicy);

    private string Rules(bool forNodes)
    {
        bool isIngress = random.Next(2) == 0;
        bool isDeny = random.Next(5) < 2;
        string prefix = isIngress ? "from" : "to";
        string endpoint = $$$"""{'matchLabels': {'app': '{{{Pick(Applications)}}}', 'k8s:io.kubernetes.pod.namespace': '{{{Pick(Spaces)}}}'}}""";
        string peers = random.Next(isIngress || isDeny ? 6 : 7) switch
        {
            0 => $"'{prefix}Entities': ['{Pick(["world", "host", "remote-node", "kube-apiserver", "cluster", "all"])}']",
            1 => $"'{prefix}CIDR': ['{Pick(["203.0.113.0/24", "0.0.0.0/0", "2001:db8::/32", "192.168.0.0/24"])}']",
            2 => $"'{prefix}Endpoints': [{endpoint}]",
            3 => $"'{prefix}Endpoints': []",
            4 => $"'{prefix}Endpoints': [{{}}]",
            5 => $"'{prefix}Nodes': [{NodeSelector()}]",
            _ => $$$"""'toFQDNs': [{'matchPattern': '{{{Pick(["*.example.com", "api.example.com", "example.*"])}}}'}]""",
        };
        string port = Pick(forNodes ? ["80", "5432", "53"] : ["80", "5432", "53", "http", "sql"]);
        string ports = random.Next(4) switch
        {
            0 => ", 'icmps': [{'fields': [{'type': 8, 'family': 'IPv4'}, {'type': 128, 'family': 'IPv6'}]}]",
            1 => $$$""", 'toPorts': [{'ports': [{'port': '{{{port}}}', 'protocol': '{{{Pick(["TCP", "UDP", "ANY"])}}}'}]}]""",
            _ => "",
        };
        string open = random.Next(4) == 0 ? $", 'enableDefaultDeny': {{'{(isIngress ? "ingress" : "egress")}': false}}" : "";
        return $"'{(isIngress ? "ingress" : "egress")}{(isDeny ? "Deny" : "")}': [{{{peers}{ports}}}]{open}";
    }

    private string Selector() => random.Next(3) == 0 ? "{}" : $$$"""{'matchLabels': {'app': '{{{Pick(Applications)}}}'}}""";

    private string NodeSelector() => Pick(["{}", "{'matchLabels': {'pool': 'edge'}}", "{'matchLabels': {'kubernetes.io/hostname': 'n3'}}"]);

    private string PodName() => $"{Pick(Spaces)}/{Pick(Applications)}-0";

    private string Pick(string[] items) => items[random.Next(items.Length)];

    private static T Read<T>(string json, JsonTypeInfo<T> type) => JsonSerializer.Deserialize(json.Replace('\'', '"'), type)!;
}
