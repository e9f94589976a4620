// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;

namespace Axoneme.Lab.ScenarioTests;

/// <summary>
/// What the objects of policies say about themselves. The API refuses what its schema forbids, so the schema is made to forbid nothing, as another
/// version's may: what a policy means is for the agents to judge.
/// </summary>
[Collection(PolicyCollection.Name)]
public sealed class PolicyStatusTests(PolicyLab lab)
{
    private const string Friend = "exec guarded/friend";
    private const string Stranger = "exec guarded/stranger";
    private const string Server = "guarded/server";
    private const string Valid = "{endpointSelector: {matchLabels: {app: server}}, ingress: [{fromEndpoints: [{matchLabels: {app: friend}}]}]}";

    private static string Policy(string spec)
        => $"{{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {{name: judged, namespace: guarded}}, spec: {spec}}}";

    private static readonly (string Ingress, string Finding)[] Mistakes =
    [
        ("{toPorts: [{ports: [{port: '70000', protocol: TCP}]}]}", "spec.ingress[0].toPorts[0].ports[0].port"),
        ("{toPorts: [{ports: [{port: '7', protocol: TPC}]}]}", "spec.ingress[0].toPorts[0].ports[0].protocol"),
        ("{fromCIDR: [10.0.0.0/33]}", "spec.ingress[0].fromCIDR[0]"),
        ("{fromEndpoints: [{matchExpressions: [{key: app, operator: Like, values: [a]}]}]}", "spec.ingress[0].fromEndpoints[0]"),
        ("{fromEntities: [nobody]}", "spec.ingress[0].fromEntities[0]"),
    ];

    [Fact]
    public async Task A_mistake_is_named_in_the_condition_and_the_version_before_stays_in_force()
    {
        string definition = (await lab.KubectlAsync("", "get", "crd", "ciliumnetworkpolicies.cilium.io", "-o", "json")).Require();
        string schema = JsonNode.Parse(definition)!["spec"]!["versions"]![0]!["schema"]!["openAPIV3Schema"]!["properties"]!["spec"]!.ToJsonString();
        await SetSchemaAsync("{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":true}");
        try
        {
            await using IAsyncDisposable policy = await lab.WithAsync(Policy(Valid));
            await Task.WhenAll(lab.ExpectAsync(Friend, lab.Tcp(Server)), lab.ExpectAsync(Stranger, [], lab.Tcp(Server)));
            await Eventually.IsAsync("valid", ConditionAsync, c => c.StartsWith("True", StringComparison.Ordinal));
            foreach ((string ingress, string finding) in Mistakes)
            {
                await ApplyAsync($"{{endpointSelector: {{}}, ingress: [{ingress}]}}");
                string condition = await Eventually.IsAsync($"a condition about {finding}", ConditionAsync, c => c.StartsWith("False", StringComparison.Ordinal) && c.Contains(finding));
                Assert.Contains("generation 1 stays in force", condition);
            }

            Assert.Matches("CiliumNetworkPolicy guarded/judged +False +6 +1 ", (await lab.NodeAsync("node2", "cilium", "policy", "list")).Require());
            await Task.WhenAll(lab.ExpectAsync(Friend, lab.Tcp(Server)), lab.ExpectAsync(Stranger, [], lab.Tcp(Server)));

            // What nobody knows is no mistake: an allowing rule that has it allows nothing, and the other rules go on.
            await ApplyAsync("{endpointSelector: {matchLabels: {app: server}}, ingress: [{fromEndpoints: [{matchLabels: {app: friend}}], whenFullMoon: true}, "
                + "{fromEndpoints: [{matchLabels: {app: stranger}}]}]}");
            await Eventually.IsAsync("a warning", ConditionAsync, c => c.StartsWith("True", StringComparison.Ordinal) && c.Contains("spec.ingress[0].whenFullMoon"));
            await Task.WhenAll(lab.ExpectAsync(Friend, [], lab.Tcp(Server)), lab.ExpectAsync(Stranger, lab.Tcp(Server)));
        }
        finally
        {
            await SetSchemaAsync(schema);
        }
    }

    [Fact]
    public async Task Policies_of_tiers_say_what_is_wrong_with_them_too()
    {
        const string Header = "{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: tiered}, spec: {tier: Admin, priority: 1, "
            + "subject: {pods: {podSelector: {matchLabels: {app: server}}}}, ingress: [{action: Deny, from: [{pods: {podSelector: {matchLabels: {app: stranger}}}}]";
        await using IAsyncDisposable policy = await lab.WithAsync(Header + "}]}}");
        await lab.ExpectAsync(Stranger, [], lab.Tcp(Server));
        await lab.ApplyAsync(Header + ", protocols: [{tcp: {destinationPort: {range: {start: 9, end: 8}}}}]}]}}");
        string condition = await Eventually.IsAsync("the condition", TierConditionAsync, c => c.StartsWith("False", StringComparison.Ordinal));
        Assert.Contains("spec.ingress[0].protocols[0]", condition);
        Assert.Contains("9 to 8 is no range of ports", condition);
        await Task.WhenAll(lab.ExpectAsync(Stranger, [], lab.Tcp(Server)), lab.ExpectAsync(Friend, lab.Tcp(Server)));
    }

    private Task<string> ConditionAsync() => ConditionAsync("cnp", "-n", "guarded", "judged");

    private Task<string> TierConditionAsync() => ConditionAsync("clusternetworkpolicies", "tiered");

    private async Task<string> ConditionAsync(params string[] policy) => (await lab.KubectlAsync("", ["get", .. policy, "-o",
        "jsonpath={.status.conditions[?(@.type==\"Valid\")].status} {.status.conditions[?(@.type==\"Valid\")].message}"])).Require();

    private async Task ApplyAsync(string spec) => (await lab.KubectlAsync(Policy(spec), "apply", "--validate=false", "-f", "-")).Require();

    private async Task SetSchemaAsync(string spec) => (await lab.KubectlAsync("", "patch", "crd", "ciliumnetworkpolicies.cilium.io", "--type=json", "-p",
        $"[{{\"op\":\"replace\",\"path\":\"/spec/versions/0/schema/openAPIV3Schema/properties/spec\",\"value\":{spec}}}]")).Require();
}
