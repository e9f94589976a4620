// SPDX-License-Identifier: Apache-2.0
using Axoneme.Policy.Explain;

namespace Axoneme.Policy.Tests;

/// <summary>Whatever the policies are: the change that is called the smallest turns the verdict round.</summary>
public sealed class SmallestChangeTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void The_smallest_change_turns_the_verdict_round(int seed)
    {
        var random = new Random(seed);
        int allowed = 0, denied = 0, removals = 0, nodes = 0;
        for (int round = 0; round < 80; round++)
        {
            var world = new ExplainedWorld(random);
            ClusterObjects objects = world.Objects();
            (string from, string to, PortText port) = world.Question();
            Explanation before = new FlowExplainer(new ClusterModel(objects)).Explain(from, to, port);
            VerdictChange change = new SmallestChange(objects).Find(before);
            bool isPoliced = before.Paths[0].Egress.IsPoliced || before.Paths[0].Ingress.IsPoliced;
            Assert.True(change.Flips == isPoliced, $"seed {seed} round {round}: {from} -> {to} {port}");
            if (!isPoliced)
                continue;
            ClusterObjects changed = SmallestChange.Apply(objects, change);
            var model = new ClusterModel(changed);
            Assert.DoesNotContain(model.Findings, f => !f.Message.EndsWith("the host firewall is off (enable-host-firewall)", StringComparison.Ordinal)
                && !f.Message.EndsWith("the entry allows those that pods of the node have learned", StringComparison.Ordinal));
            Explanation after = new FlowExplainer(model).Explain(from, to, port);
            Assert.Equal(before.Allowed, after.Denied);
            allowed += before.Allowed ? 1 : 0;
            denied += before.Denied ? 1 : 0;
            removals += change.Changed.IsEmpty ? 0 : 1;
            nodes += change.Added.Any(a => (string?)a["kind"] == "CiliumClusterwideNetworkPolicy") ? 1 : 0;
        }

        Assert.True(nodes > 5, $"{nodes}");
        Assert.True(allowed > 5 && denied > 5 && removals > 0, $"{allowed} {denied} {removals}");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void The_smallest_change_lets_a_name_be_asked_for(int seed)
    {
        var random = new Random(seed);
        var seen = new Dictionary<NameOutcome, int>();
        for (int round = 0; round < 120; round++)
        {
            var world = new ExplainedWorld(random);
            ClusterObjects objects = world.Objects();
            (string from, string name) = world.Query();
            PortText port = PortText.Parse("53/udp");
            Explanation before = new FlowExplainer(new ClusterModel(objects)).ExplainQuestion(from, "", port, name);
            VerdictChange change = new SmallestChange(objects).Find(before);
            var model = new ClusterModel(SmallestChange.Apply(objects, change));
            Explanation after = new FlowExplainer(model).ExplainQuestion(from, "", port, name);
            seen[before.Paths[0].Question!.Outcome] = seen.GetValueOrDefault(before.Paths[0].Question!.Outcome) + 1;
            // Only a list of names can be made shorter: where there is none, nothing keeps a name from being asked for.
            Assert.True(change.Flips || before.Allowed, $"seed {seed} round {round}: {from} asks for {name}");
            Assert.True(change.Flips == (before.Allowed == after.Denied), $"seed {seed} round {round}: {from} asks for {name}");
        }

        Assert.True(seen.Count == 4 && seen.Values.All(n => n > 3), string.Join(' ', seen));
    }

    [Fact]
    public void A_denial_adds_no_more_than_the_one_that_was_asked_for()
    {
        ClusterObjects objects = new ExplainedWorld(new Random(7)).Objects() with { Options = PolicyOptions.Default };
        objects = objects with { Items = [.. objects.Items.Where(i => PolicyNames.KeyOf(i) is null)] };
        Explanation before = new FlowExplainer(new ClusterModel(objects)).Explain("shop/web-0", "shop/db-0", PortText.Parse("80"));
        ClusterObjects changed = SmallestChange.Apply(objects, new SmallestChange(objects).Find(before));
        var explainer = new FlowExplainer(new ClusterModel(changed));
        Assert.True(explainer.Explain("shop/web-0", "shop/db-0", PortText.Parse("80")).Denied);
        Assert.True(explainer.Explain("shop/web-0", "shop/db-0", PortText.Parse("81")).Allowed);
        Assert.True(explainer.Explain("shop/cart-0", "shop/db-0", PortText.Parse("80")).Allowed);
        Assert.True(explainer.Explain("stock/web-0", "shop/db-0", PortText.Parse("80")).Allowed);
    }
}
