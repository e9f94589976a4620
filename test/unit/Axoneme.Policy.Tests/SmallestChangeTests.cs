// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy.Explain;

namespace Axoneme.Policy.Tests;

/// <summary>Whatever the policies are: the change that is called the smallest turns the verdict round.</summary>
public sealed class SmallestChangeTests
{
    private static readonly string[] Applications = ["web", "cart", "db"];
    private static readonly string[] Spaces = ["shop", "stock"];
    private static readonly string[] Ends = ["world", "host", "203.0.113.9", "198.51.100.7", "2001:db8::1"];
    private static readonly string[] Ports = ["80/tcp", "5432/tcp", "53/udp", "8/icmp"];

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void The_smallest_change_turns_the_verdict_round(int seed)
    {
        var random = new Random(seed);
        int allowed = 0, denied = 0, removals = 0;
        for (int round = 0; round < 100; round++)
        {
            ClusterObjects objects = World(random);
            var explainer = new FlowExplainer(new ClusterModel(objects));
            string pod = Pod(random);
            bool outwards = random.Next(2) == 0;
            string other = random.Next(2) == 0 ? Pod(random) : Pick(random, Ends);
            if (other == pod)
                continue;
            (string from, string to) = outwards ? (pod, other) : (other, pod);
            PortText port = PortText.Parse(Pick(random, Ports));
            Explanation before = explainer.Explain(from, to, port);
            VerdictChange change = new SmallestChange(objects).Find(before);
            Assert.True(change.Flips, $"seed {seed} round {round}: {from} -> {to} {port}");
            ClusterObjects changed = SmallestChange.Apply(objects, change);
            var model = new ClusterModel(changed);
            Assert.Empty(model.Findings);
            Explanation after = new FlowExplainer(model).Explain(from, to, port);
            Assert.Equal(before.Allowed, after.Denied);
            allowed += before.Allowed ? 1 : 0;
            denied += before.Denied ? 1 : 0;
            removals += change.Changed.IsEmpty ? 0 : 1;
        }

        Assert.True(allowed > 5 && denied > 5 && removals > 0, $"{allowed} {denied} {removals}");
    }

    [Fact]
    public void A_denial_adds_no_more_than_the_one_that_was_asked_for()
    {
        ClusterObjects objects = World(new Random(7)) with { Options = PolicyOptions.Default };
        objects = objects with { Items = [.. objects.Items.Where(i => i is not CiliumNetworkPolicy)] };
        Explanation before = new FlowExplainer(new ClusterModel(objects)).Explain("shop/web-0", "shop/db-0", PortText.Parse("80"));
        ClusterObjects changed = SmallestChange.Apply(objects, new SmallestChange(objects).Find(before));
        var explainer = new FlowExplainer(new ClusterModel(changed));
        Assert.True(explainer.Explain("shop/web-0", "shop/db-0", PortText.Parse("80")).Denied);
        Assert.True(explainer.Explain("shop/web-0", "shop/db-0", PortText.Parse("81")).Allowed);
        Assert.True(explainer.Explain("shop/cart-0", "shop/db-0", PortText.Parse("80")).Allowed);
        Assert.True(explainer.Explain("stock/web-0", "shop/db-0", PortText.Parse("80")).Allowed);
    }

    private static ClusterObjects World(Random random)
    {
        IEnumerable<Resource> pods =
            from space in Spaces
            from application in Applications
            select (Resource)new Pod
            {
                Metadata = new ObjectMeta { Name = $"{application}-0", Namespace = space, Labels = new Dictionary<string, string> { ["app"] = application } },
                Spec = new PodSpec { NodeName = "n1" },
            };
        IEnumerable<Resource> policies = Enumerable.Range(0, random.Next(1, 5)).Select(i => (Resource)Policy(random, i));
        return new ClusterObjects { Items = [.. pods, .. policies] };
    }

    private static CiliumNetworkPolicy Policy(Random random, int number)
    {
        string direction = random.Next(2) == 0 ? "ingress" : "egress";
        bool isDeny = random.Next(5) < 2;
        string endpoint = "{'matchLabels': {'app': '" + Pick(random, Applications) + "', 'k8s:io.kubernetes.pod.namespace': '" + Pick(random, Spaces) + "'}}";
        string peers = random.Next(5) switch
        {
            0 => Named(direction, "Entities", $"'{Pick(random, ["world", "host", "cluster", "all"])}'"),
            1 => Named(direction, "CIDR", $"'{Pick(random, ["203.0.113.0/24", "0.0.0.0/0", "2001:db8::/32"])}'"),
            2 => Named(direction, "Endpoints", endpoint),
            3 => Named(direction, "Endpoints", ""),
            _ => Named(direction, "Endpoints", "{}"),
        };
        string port = "{'port': '" + Pick(random, ["80", "5432", "53"]) + "', 'protocol': '" + Pick(random, ["TCP", "UDP", "ANY"]) + "'}";
        string ports = random.Next(2) == 0 ? "" : ", 'toPorts': [{'ports': [" + port + "]}]";
        string subject = random.Next(3) == 0 ? "{}" : "{'matchLabels': {'app': '" + Pick(random, Applications) + "'}}";
        string rule = "'" + direction + (isDeny ? "Deny" : "") + "': [{" + peers + ports + "}]";
        string json = "{'metadata': {'name': 'p" + number + "', 'namespace': '" + Pick(random, Spaces) + "'}, 'spec': {'endpointSelector': " + subject + ", " + rule + "}}";
        return JsonSerializer.Deserialize(json.Replace('\'', '"'), KubernetesJson.Default.CiliumNetworkPolicy)!;
    }

    private static string Named(string direction, string kind, string items) => $"'{(direction == "ingress" ? "from" : "to")}{kind}': [{items}]";

    private static string Pod(Random random) => $"{Pick(random, Spaces)}/{Pick(random, Applications)}-0";

    private static string Pick(Random random, string[] items) => items[random.Next(items.Length)];
}
