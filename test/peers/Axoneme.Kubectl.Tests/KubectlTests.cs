// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;

namespace Axoneme.Kubectl.Tests;

public sealed class KubectlTests(KubectlFixture cluster)
{
    private const string Current = KubectlFixture.Current;
    private const string Old = KubectlFixture.Old;

    private static string Workload(string ns) => $$$"""
        apiVersion: v1
        kind: Namespace
        metadata: {name: {{{ns}}}}
        ---
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web, namespace: {{{ns}}}}
        spec:
          replicas: 2
          selector: {matchLabels: {app: web}}
          template:
            metadata: {labels: {app: web}}
            spec:
              terminationGracePeriodSeconds: 1
              containers:
              - {name: c, image: 'echo:1', ports: [{containerPort: 8080, name: http}]}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: web, namespace: {{{ns}}}}
        spec:
          selector: {app: web}
          ports: [{port: 80, targetPort: http}]
        ---
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: deny, namespace: {{{ns}}}}
        spec: {podSelector: {}, policyTypes: [Ingress]}
        ---
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: allow, namespace: {{{ns}}}}
        spec:
          endpointSelector: {matchLabels: {app: web}}
          ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: '8080', protocol: TCP}]}]}]

        """;

    [Theory]
    [InlineData(Current)]
    [InlineData(Old)]
    public async Task A_workload_is_applied_rolled_scaled_described_and_deleted(string version)
    {
        string ns = version == Old ? "work-old" : "work-new";
        string[] n = ["-n", ns];
        Assert.Contains("deployment.apps/web created", await cluster.OkAsync(version, Workload(ns), "apply", "-f", "-"));
        Assert.Contains("deployment.apps/web unchanged", await cluster.OkAsync(version, Workload(ns), "apply", "-f", "-"));
        Assert.Contains("successfully rolled out", await cluster.OkAsync(version, null, ["rollout", "status", "deployment/web", "--timeout=30s", .. n]));
        await cluster.OkAsync(version, Workload(ns).Replace("echo:1", "echo:2"), "apply", "-f", "-");
        Assert.Contains("successfully rolled out", await cluster.OkAsync(version, null, ["rollout", "status", "deployment/web", "--timeout=30s", .. n]));
        Assert.Equal("echo:2", await cluster.OkAsync(version, null, ["get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}", .. n]));
        await cluster.OkAsync(version, null, ["scale", "deployment", "web", "--replicas=3", .. n]);
        Assert.Contains("successfully rolled out", await cluster.OkAsync(version, null, ["rollout", "status", "deployment/web", "--timeout=30s", .. n]));
        Assert.Contains("3/3", await cluster.OkAsync(version, null, ["get", "deployments", "-o", "wide", .. n]));
        await cluster.OkAsync(version, null, ["rollout", "restart", "deployment/web", .. n]);
        await cluster.OkAsync(version, null, ["wait", "--for=condition=Available", "deployment/web", "--timeout=30s", .. n]);
        Assert.Contains("8080", await cluster.OkAsync(version, null, ["describe", "service", "web", .. n]));
        Assert.Contains("MinimumReplicasAvailable", await cluster.OkAsync(version, null, ["describe", "deployment", "web", .. n]));
        Assert.Contains("deny", await cluster.OkAsync(version, null, ["describe", "networkpolicy", .. n]));
        Assert.Contains("allow", await cluster.OkAsync(version, null, ["get", "cnp", .. n]));
        await cluster.OkAsync(version, null, ["delete", "deployment", "web", "--timeout=30s", .. n]);
        await cluster.OkAsync(version, null, "delete", "namespace", ns, "--timeout=30s");
        Assert.Null(cluster.Objects.Get("namespaces", null, ns));
    }

    [Theory]
    [InlineData(Current)]
    [InlineData(Old)]
    public async Task Every_kind_is_listed_in_every_format(string version)
    {
        string[] kinds =
        [
            "namespaces", "nodes", "pods", "deployments", "replicasets", "daemonsets", "services", "endpoints", "endpointslices", "configmaps", "secrets",
            "serviceaccounts", "networkpolicies", "leases", "events", "customresourcedefinitions", "ciliumnetworkpolicies", "ciliumnodes",
            "ciliumendpoints", "ciliumidentities",
        ];
        foreach (string kind in kinds)
        {
            await cluster.OkAsync(version, null, "get", kind, "-A", "-o", "wide");
            string json = await cluster.OkAsync(version, null, "get", kind, "-A", "-o", "json");
            Assert.Equal("List", (string)JsonNode.Parse(json)!["kind"]!);
        }
        await cluster.OkAsync(version, null, "get", "services,configmaps", "-A", "-o", "yaml", "-l", "component=apiserver");
        Assert.Equal("service/kubernetes\n", await cluster.OkAsync(version, null, "get", "services", "-o", "name", "--field-selector=metadata.name=kubernetes"));
        Assert.Contains("node-a", await cluster.OkAsync(version, null, "describe", "nodes"));
        Assert.Contains("yes", await cluster.OkAsync(version, null, "auth", "can-i", "create", "pods"));
        Assert.Contains("FIELDS", await cluster.OkAsync(version, null, "explain", "networkpolicy.spec"));
        Assert.Contains("ciliumnodes", await cluster.OkAsync(version, null, "api-resources"));
        Assert.Contains("running at", await cluster.OkAsync(version, null, "cluster-info"));
    }

    [Theory]
    [InlineData(Current)]
    [InlineData(Old)]
    public async Task Objects_are_created_patched_labelled_and_replaced(string version)
    {
        string name = "c-" + version.Replace(".", "");
        await cluster.OkAsync(version, null, "create", "configmap", name, "--from-literal=a=1");
        await cluster.OkAsync(version, null, "label", "configmap", name, "tier=x");
        await cluster.OkAsync(version, null, "annotate", "configmap", name, "note=y");
        await cluster.OkAsync(version, null, "patch", "configmap", name, "-p", """{"data":{"b":"2"}}""");
        await cluster.OkAsync(version, null, "patch", "configmap", name, "--type=merge", "-p", """{"data":{"a":null}}""");
        await cluster.OkAsync(version, null, "patch", "configmap", name, "--type=json", "-p", """[{"op":"add","path":"/data/c","value":"3"}]""");
        JsonNode value = JsonNode.Parse(await cluster.OkAsync(version, null, "get", "configmap", name, "-o", "json"))!;
        Assert.Equal(("x", "y", "2", "3"), ((string)value["metadata"]!["labels"]!["tier"]!, (string)value["metadata"]!["annotations"]!["note"]!,
            (string)value["data"]!["b"]!, (string)value["data"]!["c"]!));
        value["data"]!["b"] = "9";
        await cluster.OkAsync(version, value.ToJsonString(), "replace", "-f", "-");
        (int code, _, string error) = await cluster.KubectlAsync(version, value.ToJsonString(), "replace", "-f", "-");
        Assert.NotEqual(0, code);
        Assert.Contains("the object has been modified", error);
        await cluster.OkAsync(version, null, "create", "secret", "generic", name, "--from-literal=p=q");
        await cluster.OkAsync(version, null, "create", "serviceaccount", name);
        await cluster.OkAsync(version, null, "create", "deployment", name, "--image=echo", "--replicas=0", "--port=80");
        await cluster.OkAsync(version, null, "create", "service", "nodeport", name, "--tcp=80:8080");
        await cluster.OkAsync(version, null, "delete", "deployment,service", name);
        await cluster.OkAsync(version, null, "delete", "configmap,secret,serviceaccount", name);
    }

    [Theory]
    [InlineData(Current)]
    [InlineData(Old)]
    public async Task Server_side_apply_and_dry_runs_work(string version)
    {
        string name = "ssa-" + version.Replace(".", "");
        string manifest = $"# YAML, not JSON\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}, data: {{a: '1'}}}}";
        Assert.Contains("server dry run", await cluster.OkAsync(version, manifest, "apply", "--dry-run=server", "-f", "-"));
        Assert.Null(cluster.Objects.Get("configmaps", "default", name));
        Assert.Contains("serverside-applied", await cluster.OkAsync(version, manifest, "apply", "--server-side", "-f", "-"));
        (int code, _, string error) = await cluster.KubectlAsync(version, manifest.Replace("'1'", "'2'"), "apply", "--server-side", "--field-manager=other", "-f", "-");
        Assert.NotEqual(0, code);
        Assert.Contains(".data.a", error);
        await cluster.OkAsync(version, manifest.Replace("'1'", "'2'"), "apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-");
        Assert.Equal("2", (string)cluster.Objects.Get("configmaps", "default", name)!["data"]!["a"]!);
    }

    [Theory]
    [InlineData(Current)]
    [InlineData(Old)]
    public async Task Invalid_manifests_are_refused_with_the_field(string version)
    {
        (int code, _, string error) = await cluster.KubectlAsync(
            version, "# YAML, not JSON\n{apiVersion: v1, kind: Service, metadata: {name: bad}, spec: {ports: [{port: 70000}]}}", "apply", "-f", "-");
        Assert.NotEqual(0, code);
        Assert.Contains("spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive", error);
        (code, _, error) = await cluster.KubectlAsync(
            version, "# YAML, not JSON\n{apiVersion: v1, kind: Service, metadata: {name: bad}, spec: {port: [{port: 70}]}}", "apply", "-f", "-");
        Assert.NotEqual(0, code);
        Assert.Contains("unknown field", error);
        (code, _, error) = await cluster.KubectlAsync(version, null, "get", "pod", "nobody");
        Assert.Equal((1, "Error from server (NotFound): pods \"nobody\" not found"), (code, error.Trim()));
    }
}
