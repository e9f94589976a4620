// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Text.Json.Nodes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy.Explain;

namespace Axoneme.Policy.Tests;

/// <summary>Whatever was recorded: suggested policies let it pass, and the rehearsal of them drops nothing that was let pass.</summary>
public sealed class SuggestionTests
{
    private static readonly string[] Applications = ["web", "cart", "db"];
    private static readonly string[] Spaces = ["shop", "stock"];
    private static readonly string[] Names = ["api.example.com", "cdn.example.net"];

    [Theory]
    [InlineData(1, false)]
    [InlineData(2, false)]
    [InlineData(3, true)]
    public void Everything_recorded_stays_allowed(int seed, bool kubernetes)
    {
        var random = new Random(seed);
        for (int round = 0; round < 30; round++)
        {
            var history = new FlowHistory();
            for (int i = random.Next(1, 40); i > 0; i--)
                history.Add(Flow(random));
            var options = new SuggestionOptions { Namespace = "shop", Kubernetes = kubernetes };
            var objects = new ClusterObjects { Items = [.. Pods()] };
            Suggestion suggestion = new PolicySuggester(objects, options).Suggest(history);
            Assert.Empty(suggestion.Refused);
            Assert.True(kubernetes || suggestion.LeftOut.IsEmpty);
            if (kubernetes)
                continue;
            var rehearsal = new Rehearsal(objects, objects.With(suggestion.Policies.Select(p => (Resource)PolicyManifest.ToCilium(p))));
            Assert.Empty(rehearsal.Findings);
            Assert.Equal(0, rehearsal.Run(history).Count(RehearsedChange.Dropped));
        }
    }

    [Fact]
    public void Nothing_else_is_allowed()
    {
        var history = new FlowHistory();
        history.Add(new RecordedFlow(Pod("shop", "web"), Pod("shop", "db"), L4Protocol.Tcp, 5432) { Verdict = RecordedVerdict.Passed });
        var objects = new ClusterObjects { Items = [.. Pods()] };
        ImmutableArray<JsonObject> policies = new PolicySuggester(objects, new SuggestionOptions { Namespace = "shop" }).Suggest(history).Policies;
        var explainer = new FlowExplainer(new ClusterModel(objects.With(policies.Select(p => (Resource)PolicyManifest.ToCilium(p)))));
        Assert.True(explainer.Explain("shop/web-0", "shop/db-0", PortText.Parse("5432")).Allowed);
        Assert.True(explainer.Explain("shop/web-0", "shop/db-0", PortText.Parse("5433")).Denied);
        Assert.True(explainer.Explain("shop/web-0", "shop/cart-0", PortText.Parse("5432")).Denied);
        Assert.True(explainer.Explain("stock/web-0", "shop/db-0", PortText.Parse("5432")).Denied);
        Assert.True(explainer.Explain("shop/cart-0", "stock/db-0", PortText.Parse("5432")).Allowed);
    }

    private static RecordedFlow Flow(Random random)
    {
        RecordedEnd pod = Pod(Pick(random, Spaces), Pick(random, Applications));
        RecordedEnd other = random.Next(5) switch
        {
            0 => Reserved(random.Next(2) == 0 ? SecurityIdentity.RemoteNode : SecurityIdentity.Host),
            1 => Outside($"198.51.{random.Next(3)}.{random.Next(12)}", []),
            2 => Outside($"203.0.113.{random.Next(4)}", [Pick(random, Names)]),
            _ => Pod(Pick(random, Spaces), Pick(random, Applications)),
        };
        L4Protocol protocol = random.Next(5) switch { 0 => L4Protocol.Udp, 1 => L4Protocol.Icmp, _ => L4Protocol.Tcp };
        ushort port = protocol == L4Protocol.Icmp ? (ushort)8 : (ushort)(random.Next(4) == 0 ? random.Next(1, 65536) : 80);
        bool outwards = random.Next(2) == 0;
        return new RecordedFlow(outwards ? pod : other, outwards ? other : pod, protocol, port)
        {
            Verdict = RecordedVerdict.Passed,
            SourcePort = (ushort)random.Next(1024, 65536),
        };
    }

    private static IEnumerable<Resource> Pods()
        => from space in Spaces
           from application in Applications
           select (Resource)new Pod
           {
               Metadata = new ObjectMeta { Name = $"{application}-0", Namespace = space, Labels = new Dictionary<string, string> { ["app"] = application } },
           };

    private static RecordedEnd Pod(string space, string application)
    {
        var labels = LabelSet.Parse($"k8s:app={application}", $"k8s:{PodLabels.Namespace}={space}", $"k8s:{PodLabels.Cluster}=default");
        return new RecordedEnd(space, $"{application}-0", "", null, new SecurityIdentity(1000), labels, []);
    }

    private static RecordedEnd Outside(string address, ImmutableArray<string> names)
        => new("", "", "", IpAddress.Parse(address), SecurityIdentity.WorldIPv4, LabelSet.Reserved("world-ipv4"), names);

    private static RecordedEnd Reserved(SecurityIdentity identity)
        => new("", "", "", IpAddress.Parse("192.0.2.1"), identity, LabelSet.Reserved(SecurityIdentity.ReservedNames[identity.Value]), []);

    private static string Pick(Random random, string[] items) => items[random.Next(items.Length)];
}
