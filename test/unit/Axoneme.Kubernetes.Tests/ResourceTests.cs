// SPDX-License-Identifier: Apache-2.0
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Kubernetes.Tests;

public sealed class ResourceTests
{
    [Fact]
    public void Omitted_and_empty_lists_of_a_policy_stay_apart()
    {
        const string Text = """
            {"apiVersion":"cilium.io/v2","kind":"CiliumNetworkPolicy","metadata":{"name":"p","namespace":"n"},"spec":{"endpointSelector":{},"ingress":[{},{"fromEndpoints":[]},{"fromEndpoints":[{}]}],"ingressDeny":[{"fromEntities":["world"]}],"egress":[{"toCIDRSet":[{"cidr":"10.0.0.0/8","except":["10.1.0.0/16"]}],"toPorts":[{"ports":[{"port":"80","endPort":90,"protocol":"TCP"}],"rules":{"http":[{"path":"/x"}]}}],"icmps":[{"fields":[{"family":"IPv6","type":"EchoRequest"},{"type":8}]}]},{"toFQDNs":[{"matchPattern":"*.x"}]},{"toServices":[{"k8sService":{"serviceName":"s","namespace":"n"}}]}],"enableDefaultDeny":{"egress":false}}}
            """;
        CiliumNetworkPolicy policy = JsonSerializer.Deserialize(Text, Kinds.CiliumNetworkPolicies.TypeInfo)!;
        IReadOnlyList<IngressRule> ingress = policy.Spec!.Ingress!;
        Assert.Null(ingress[0].FromEndpoints);
        Assert.Empty(ingress[1].FromEndpoints!);
        Assert.Single(ingress[2].FromEndpoints!);
        Assert.Equal((null, false), (policy.Spec.EnableDefaultDeny!.Ingress, policy.Spec.EnableDefaultDeny.Egress));
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(Text), JsonNode.Parse(JsonSerializer.Serialize(policy, Kinds.CiliumNetworkPolicies.TypeInfo!))));
    }

    [Fact]
    public void Every_kind_writes_its_own_version_and_name_and_reads_itself_back()
    {
        FieldInfo[] fields = [.. typeof(Kinds).GetFields(BindingFlags.Public | BindingFlags.Static)];
        Assert.True(fields.Length >= 20);
        foreach (FieldInfo field in fields)
        {
            var kind = (ResourceKind)field.GetValue(null)!;
            var typeInfo = (JsonTypeInfo)kind.GetType().GetProperty("TypeInfo")!.GetValue(kind)!;
            var empty = (Resource)JsonSerializer.Deserialize("{}", typeInfo)!;
            Assert.Same(kind, empty.Definition);
            JsonNode written = JsonNode.Parse(JsonSerializer.Serialize(empty, typeInfo))!;
            Assert.Equal((kind.ApiVersion, kind.Kind), ((string?)written["apiVersion"], (string?)written["kind"]));
            Assert.Null(written["definition"]);
        }
    }

    [Fact]
    public void Times_numbers_and_quantities_keep_the_form_that_servers_want()
    {
        var at = new DateTimeOffset(2030, 1, 2, 3, 4, 5, 67, TimeSpan.FromHours(1));
        var lease = new Lease { Metadata = new() { Name = "l", CreationTimestamp = at }, Spec = new() { RenewTime = at } };
        string json = JsonSerializer.Serialize(lease, Kinds.Leases.TypeInfo!);
        Assert.Contains("\"creationTimestamp\":\"2030-01-02T02:04:05Z\"", json, StringComparison.Ordinal);
        Assert.Contains("\"renewTime\":\"2030-01-02T02:04:05.067000Z\"", json, StringComparison.Ordinal);
        Assert.Equal(at, JsonSerializer.Deserialize(json, Kinds.Leases.TypeInfo)!.Spec.RenewTime);
        Assert.True(new IntOrString("80").TryGetNumber(out int port) && port == 80);
        Assert.False(new IntOrString("http").TryGetNumber(out _));
        (string Text, decimal Value)[] quantities = [("500m", 0.5m), ("2", 2), ("64Mi", 64 << 20), ("1e3", 1000), ("1.5Gi", 1610612736), ("3k", 3000)];
        foreach ((string text, decimal value) in quantities)
            Assert.True(new Quantity(text).TryGetValue(out decimal actual) && actual == value, text);
        foreach (string bad in new[] { "", "x", "Mi", "1 2", "9e28Ei" })
            Assert.False(new Quantity(bad).TryGetValue(out _), bad);
    }

    [Fact]
    public void Managed_fields_are_kept_by_the_full_context_and_skipped_by_the_lean_one()
    {
        string text = Samples.Service("a", 1);
        Assert.NotNull(JsonSerializer.Deserialize(text, KubernetesJson.Default.Service)!.Metadata.ManagedFields);
        Service lean = JsonSerializer.Deserialize(text, Kinds.Services.TypeInfo)!;
        Assert.DoesNotContain("managedFields", JsonSerializer.Serialize(lean, Kinds.Services.TypeInfo!), StringComparison.Ordinal);
        Assert.Equal("80", lean.Spec.Ports![0].Port.ToString());
    }

    [Theory]
    [InlineData("""{}""", true)]
    [InlineData("""{"matchLabels":{"app":"web"}}""", true)]
    [InlineData("""{"matchLabels":{"app":"db"}}""", false)]
    [InlineData("""{"matchLabels":{"gone":""}}""", false)]
    [InlineData("""{"matchExpressions":[{"key":"app","operator":"In","values":["web","db"]}]}""", true)]
    [InlineData("""{"matchExpressions":[{"key":"app","operator":"In","values":[]}]}""", false)]
    [InlineData("""{"matchExpressions":[{"key":"gone","operator":"NotIn","values":["x"]}]}""", true)]
    [InlineData("""{"matchExpressions":[{"key":"app","operator":"NotIn","values":["web"]}]}""", false)]
    [InlineData("""{"matchExpressions":[{"key":"app","operator":"Exists"},{"key":"gone","operator":"DoesNotExist"}]}""", true)]
    [InlineData("""{"matchExpressions":[{"key":"app","operator":"DoesNotExist"}]}""", false)]
    [InlineData("""{"matchExpressions":[{"key":"app","operator":"Typo"}]}""", false)]
    public void Selectors_match_as_the_API_does(string selector, bool expected)
    {
        LabelSelector parsed = JsonSerializer.Deserialize(selector, KubernetesJson.Default.LabelSelector)!;
        Assert.Equal(expected, parsed.Matches(new Dictionary<string, string> { ["app"] = "web", ["tier"] = "x" }));
    }
}
