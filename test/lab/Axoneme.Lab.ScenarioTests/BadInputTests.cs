// SPDX-License-Identifier: Apache-2.0
using System.Net.Sockets;
using System.Text.Json.Nodes;

namespace Axoneme.Lab.ScenarioTests;

/// <summary>Mistakes get an answer that names them, and harm nothing else.</summary>
[Collection(NativeCollection.Name)]
public sealed class BadInputTests(NativeLab lab)
{
    private static readonly string Lab = Path.Combine(LabCluster.Artifacts, "lab", "axoneme-lab");

    [Fact]
    public async Task Helm_values_that_are_not_known_are_refused_by_path_before_anything_is_made()
    {
        string file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, "bpf:\n  monitorAggregation: medium\n  noSuchThing: 1\nipv6:\n  enabled: perhaps\n");
            CommandResult up = await Command.RunAsync(Lab, ["--name", "test-refused", "up", "--values", file]);
            Assert.Equal(1, up.Status);
            Assert.Contains("bpf.noSuchThing (line 3)", up.Error);
            Assert.Contains("ipv6.enabled (line 5)", up.Error);
            Assert.False(Directory.Exists($"{LabCluster.Root}-test-refused"));
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Theory]
    [InlineData("{apiVersion: v1, kind: Pod, metadata: {name: broken}, spec: {containers: []}}", "spec.containers")]
    [InlineData("{apiVersion: v1, kind: Service, metadata: {name: broken}, spec: {ports: [{port: 70000}]}}", "spec.ports[0].port")]
    [InlineData("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: broken}, spec: {podSelector: {}, ingress: [{ports: [{port: 0}]}]}}", "port")]
    [InlineData("{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: broken}, spec: {endpointSelector: {}, ingress: [{fromCIDR: [10.0.0.0/33]}]}}", "fromCIDR[0]")]
    [InlineData("{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: broken}, spec: {endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: '99999'}]}]}]}}", "ports[0].port")]
    public async Task Broken_manifests_are_refused_with_the_field(string manifest, string field)
    {
        CommandResult apply = await lab.KubectlAsync(manifest, "apply", "-f", "-");
        Assert.NotEqual(0, apply.Status);
        Assert.Contains(field, apply.Error);
    }

    [Theory]
    [InlineData("{", 6)]
    [InlineData("[]", 6)]
    [InlineData("""{"cniVersion":"9.9.9","name":"cilium","type":"cilium-cni"}""", 1)]
    public async Task A_malformed_cni_configuration_gets_an_error_document(string config, int code)
    {
        CommandResult add = await PluginAsync(config, "CNI_CONTAINERID=c1", "CNI_NETNS=/proc/self/ns/net");
        Assert.NotEqual(0, add.Status);
        Assert.Equal(code, (int)JsonNode.Parse(add.Output)!["code"]!);
    }

    [Theory]
    [InlineData("CNI_CONTAINERID=../../etc", "CNI_NETNS=/proc/self/ns/net", "CNI_CONTAINERID")]
    [InlineData("CNI_CONTAINERID=c1", "CNI_NETNS=/no/such/file", "/no/such/file")]
    [InlineData("CNI_CONTAINERID=c1", "CNI_NETNS=/etc/passwd", "/etc/passwd")]
    public async Task A_malformed_cni_environment_gets_an_error_document(string container, string netns, string named)
    {
        CommandResult add = await PluginAsync("""{"cniVersion":"1.0.0","name":"cilium","type":"cilium-cni"}""", container, netns);
        Assert.NotEqual(0, add.Status);
        JsonNode error = JsonNode.Parse(add.Output)!;
        Assert.Contains(named, $"{error["msg"]} {error["details"]}");
    }

    [Fact]
    public async Task Garbage_on_the_agents_sockets_harms_nobody()
    {
        string holder = (await File.ReadAllTextAsync($"{LabCluster.Root}-{lab.Name}/nodes/node1/holder.pid")).Trim();
        var random = new Random(1);
        foreach (string name in (string[])["cni.sock", "cilium.sock", "hubble.sock"])
            for (int i = 0; i < 20; i++)
            {
                byte[] garbage = new byte[random.Next(1, 3000)];
                random.NextBytes(garbage);
                using var socket = new Socket(AddressFamily.Unix, name == "cni.sock" ? SocketType.Seqpacket : SocketType.Stream, ProtocolType.Unspecified);
                await socket.ConnectAsync(new UnixDomainSocketEndPoint($"/proc/{holder}/root/run/cilium/{name}"));
                await socket.SendAsync(garbage);
            }

        CommandResult status = await PluginAsync("""{"cniVersion":"1.1.0","name":"cilium","type":"cilium-cni"}""", "CNI_COMMAND=STATUS");
        Assert.True(status.Status == 0, status.ToString());
        (await lab.NodeAsync("node1", "cilium", "endpoint", "list")).Require();
        (await lab.NodeAsync("node1", "hubble", "status")).Require();
    }

    [Fact]
    public async Task An_agent_without_a_usable_kubeconfig_names_the_file()
    {
        CommandResult agent = await lab.NodeAsync("node1", Path.Combine(LabCluster.Artifacts, "agent", "cilium-agent"), "--config-dir=/run/axoneme/config",
            "--k8s-kubeconfig-path=/etc/passwd", "--state-dir=/run/axoneme/unused");
        Assert.Equal(1, agent.Status);
        Assert.Contains("/etc/passwd", agent.Error);
        CommandResult missing = await lab.NodeAsync("node1", Path.Combine(LabCluster.Artifacts, "agent", "cilium-agent"), "--config-dir=/run/axoneme/config",
            "--k8s-kubeconfig-path=/no/such/file", "--state-dir=/run/axoneme/unused");
        Assert.Equal(1, missing.Status);
        Assert.Contains("/no/such/file", missing.Error);
    }

    [Fact]
    public async Task Without_root_the_lab_says_what_to_type()
    {
        CommandResult reachable = await Command.RunAsync("setpriv", ["--reuid", "65534", "--regid", "65534", "--clear-groups", "test", "-x", Lab]);
        Assert.SkipUnless(reachable.Status == 0, $"other users cannot reach {Lab}");
        CommandResult up = await Command.RunAsync("setpriv", ["--reuid", "65534", "--regid", "65534", "--clear-groups", Lab, "up"]);
        Assert.Equal(1, up.Status);
        Assert.Contains("sudo ./axoneme lab up", up.Error);
    }

    private Task<CommandResult> PluginAsync(string config, params string[] environment)
        => Command.RunAsync(Lab,
            ["--name", lab.Name, "node", "node1", "--", "env", "CNI_COMMAND=ADD", "CNI_IFNAME=eth0", "CNI_PATH=/", .. environment,
                Path.Combine(LabCluster.Artifacts, "cni", "cilium-cni")], config);
}
