// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using System.Text;
using Axoneme.Cli.Cilium;

namespace Axoneme.Cli.Tests;

/// <summary>The commands against an agent that answers with given JSON.</summary>
public sealed class CiliumTests
{
    [Fact]
    public async Task Status_prints_the_lines_that_runbooks_look_for()
    {
        (int code, string text, _) = await RunAsync("status", """
            {"cilium":{"state":"Ok","msg":"0.1.0 (v0.1.0-abc)"},"kubernetes":{"state":"Ok","msg":"1.33 (v1.33.4) [linux/amd64]"},
             "kube-proxy-replacement":{"mode":"True","deviceList":[{"name":"eth0","ip":["10.5.0.11"]}],"directRoutingDevice":"eth0"},
             "routing":{"inter-host-routing-mode":"Native","intra-host-routing-mode":"BPF"},"attach-mode":"tcx","datapath-mode":"veth",
             "masquerading":{"enabled":true,"mode":"BPF","devices":["eth0"],"snat-exclusion-cidr-v4":"10.244.0.0/16","enabledProtocols":{"ipv4":true,"ipv6":false}},
             "controllers":[{"name":"sync","status":{"success-count":3}},{"name":"bad","status":{"failure-count":2,"consecutive-failure-count":2,"last-failure-msg":"boom"}}],
             "hubble":{"state":"Ok","observer":{"current-flows":4095,"max-flows":4095,"seen-flows":100,"uptime":10000000000}},
             "ipam":{"status":"IPv4: 2/254 allocated from 10.244.1.0/24, "}}
            """);
        Assert.Equal(0, code);
        Assert.Equal(
            """
            Kubernetes:             Ok     1.33 (v1.33.4) [linux/amd64]
            KubeProxyReplacement:   True   [eth0   10.5.0.11 (Direct Routing)]
            Cilium:                 Ok     0.1.0 (v0.1.0-abc)
            IPAM:                   IPv4: 2/254 allocated from 10.244.1.0/24,
            Routing:                Network: Native   Host: BPF
            Host Routing:           BPF
            Attach Mode:            TCX
            Device Mode:            veth
            Masquerading:           BPF   [eth0]   10.244.0.0/16  [IPv4: Enabled, IPv6: Disabled]
            Controller Status:      1/2 healthy
              Name                  Last success   Last error   Count   Message
              bad                   never          never        2       boom
            Hubble:                 Ok             Current/Max Flows: 4095/4095 (100.00%), Flows/s: 10.00

            """, string.Join('\n', text.Split('\n').Select(l => l.TrimEnd())));
    }

    [Theory]
    [InlineData("""{"cilium":{"state":"Ok"}}""", "OK\n", 0)]
    [InlineData("""{"cilium":{"state":"Failure","msg":"no maps"}}""", "error in cilium: no maps\n", 1)]
    [InlineData("""{"cilium":{"state":"Ok"},"kubernetes":{"state":"Failure","msg":"gone"}}""", "error in kubernetes: gone\n", 0)]
    [InlineData("""{"cilium":{"state":"Ok"},"controllers":[{"name":"x","status":{"consecutive-failure-count":1,"last-failure-msg":"y"}}]}""", "error in controller x: y\n", 0)]
    public async Task Brief_status_is_one_line(string json, string expected, int code)
        => Assert.Equal((code, expected, ""), await RunAsync("status --brief", json));

    [Fact]
    public async Task Endpoint_list_has_a_line_per_label()
    {
        (int code, string text, _) = await RunAsync("endpoint list", """
            [{"id":872,"status":{"state":"ready","identity":{"id":27191,"labels":["k8s:app=web","k8s:tier=x"]},
              "networking":{"addressing":[{"ipv4":"10.244.1.33","ipv6":"fd00:244::21"}]},"policy":{"realized":{"policy-enabled":"egress"}}}}]
            """);
        Assert.Equal(0, code);
        Assert.Equal(
            """
            ENDPOINT   POLICY (ingress)   POLICY (egress)   IDENTITY   LABELS (source:key[=value])   IPv6           IPv4          STATUS
                       ENFORCEMENT        ENFORCEMENT
            872        Disabled           Enabled           27191      k8s:app=web                   fd00:244::21   10.244.1.33   ready
                                                                       k8s:tier=x

            """, string.Join('\n', text.Split('\n').Select(l => l.TrimEnd())));
    }

    [Fact]
    public async Task Service_list_has_a_line_per_backend()
    {
        (_, string text, _) = await RunAsync("service list", """
            [{"spec":{"id":1,"frontend-address":{"ip":"10.96.0.10","port":53,"protocol":"UDP"},"flags":{"type":"ClusterIP"},
              "backend-addresses":[{"ip":"10.244.1.20","port":53,"protocol":"UDP","state":"active"},{"ip":"fd00::1","port":53,"protocol":"UDP","state":"terminating"}]}}]
            """);
        Assert.Equal(
            """
            ID   Frontend            Service Type   Backend
            1    10.96.0.10:53/UDP   ClusterIP      1 => 10.244.1.20:53/UDP (active)
                                                    2 => [fd00::1]:53/UDP (terminating)

            """, text);
    }

    [Theory]
    [InlineData("identity list", """[{"id":2,"labels":["reserved:world"]},{"id":1,"labels":["reserved:host"]}]""", "ID   LABELS\n1    reserved:host\n2    reserved:world\n")]
    [InlineData("node list", """{"self":"c/a","nodes":[{"name":"c/a","source":"x","primary-address":{"ipv4":{"ip":"10.5.0.1","alloc-range":"10.244.0.0/24"}}}]}""",
        "Name   IPv4 Address   Endpoint CIDR   IPv6 Address   Endpoint CIDR   Source\nc/a    10.5.0.1       10.244.0.0/24                                  local\n")]
    [InlineData("map list", """{"maps":[{"path":"/sys/fs/bpf/tc/globals/cilium_ipcache_v2","entries":57,"errors":2},{"path":"/x/cilium_ct4_global","entries":9}]}""",
        "Name                Num entries   Num errors   Cache enabled\ncilium_ct4_global   9             0            false\ncilium_ipcache_v2   57            2            true\n")]
    [InlineData("policy get -o jsonpath='{.revision}'", """{"policy":"[]","revision":7}""", "7\n")]
    [InlineData("version -o jsonpath={$.Daemon.Version}", """{"cilium":{"state":"Ok","msg":"1.2.3 (v1.2.3-x)"}}""", "1.2.3\n")]
    [InlineData("tables nodes", """{"name":"nodes","revision":3,"columns":["Name","Value"],"rows":[["a","b"]]}""", "Name   Value\na      b\n")]
    [InlineData("-o json identity get world", """{"id":2,"labels":["reserved:world"]}""", "[\n  {\n    \"id\": 2,\n    \"labels\": [\n      \"reserved:world\"\n    ]\n  }\n]\n")]
    [InlineData("ip list -n", """[{"cidr":"10.244.2.7/32","identity":27191,"metadata":{"source":"k8s"}}]""",
        "IP              IDENTITY   SOURCE\n10.244.2.7/32   27191      k8s\n")]
    [InlineData("metrics list -p pressure|delay", """[{"name":"cilium_bpf_map_pressure","labels":{"map_name":"lxc"},"value":0.25},{"name":"cilium_policy","value":3},{"name":"cilium_x_seconds_delay","value":1,"buckets":[{"bound":0.005,"count":90},{"bound":1,"count":100},{"count":100}]}]""",
        "Metric                    Labels         Value\ncilium_bpf_map_pressure   map_name=lxc   0.250000\ncilium_x_seconds_delay                   2.778ms / 5ms / 900.5ms\n")]
    [InlineData("lrp list", """[{"name":"dns","namespace":"kube-system","lrp-type":"svc","frontend-type":"clusterIP + all svc ports","service-id":"kube-system/kube-dns","frontend-mappings":[{"frontend-address":{"ip":"10.96.0.10","port":53,"protocol":"UDP"},"backends":[{"pod-id":"kube-system/node-local-dns","backend-address":{"ip":"10.244.1.9","port":53,"protocol":"UDP"}}]}]}]""",
        "LRP namespace   LRP name   FrontendType                Matching Service\nkube-system     dns        clusterIP + all svc ports   kube-system/kube-dns\n|               10.96.0.10:53/UDP -> 10.244.1.9:53/UDP(kube-system/node-local-dns)\n")]
    public async Task Layout_is(string arguments, string json, string expected)
        => Assert.Equal((0, expected, ""), await RunAsync(arguments, json));

    [Theory]
    [InlineData("status --nope", "unknown flag: --nope")]
    [InlineData("frobnicate", "unknown command")]
    [InlineData("endpoint", "usage")]
    [InlineData("status -H unix:///nonexistent.sock", "the agent does not listen on /nonexistent.sock; is cilium-agent running on this node?")]
    [InlineData("status -H http://x", "is not an agent address")]
    [InlineData("endpoint list -o xml", "unknown output format")]
    [InlineData("metrics list -p (", "invalid pattern")]
    [InlineData("lrp get", "usage: cilium lrp list")]
    public async Task Bad_input_is_a_clear_error(string arguments, string expected)
    {
        var errors = new StringWriter();
        int code = await CiliumCommand.RunAsync(arguments.Split(' '), new StringWriter(), errors, TestContext.Current.CancellationToken);
        Assert.Equal(1, code);
        Assert.Contains(expected, errors.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(404, "\"endpoint 5 not found\"", "endpoint 5 not found")]
    [InlineData(500, """{"message":"broken"}""", "broken")]
    [InlineData(200, "not json", "not what was asked for")]
    public async Task Agent_that_refuses_is_quoted(int status, string body, string expected)
    {
        (int code, _, string errors) = await RunAsync("endpoint get 5", body, status);
        Assert.Equal(1, code);
        Assert.Contains(expected, errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Dump_of_tables_is_one_object()
    {
        (int code, string text, _) = await RunAsync("statedb dump -o jsonpath={.nodes.rows[1][0]}", request => request.Contains("/tables/nodes ", StringComparison.Ordinal)
            ? """{"name":"nodes","revision":3,"columns":["Name"],"rows":[["a"],["b"]]}""" : """[{"name":"nodes","objects":2,"revision":3,"initialized":true}]""");
        Assert.Equal((0, "b\n"), (code, text));
    }

    private static Task<(int Code, string Output, string Errors)> RunAsync(string arguments, string json, int status = 200)
        => RunAsync(arguments, _ => json, status);

    private static async Task<(int Code, string Output, string Errors)> RunAsync(string arguments, Func<string, string> answer, int status = 200)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var end = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        Task serving = ServeAsync(listener, answer, status, end.Token);
        var output = new StringWriter();
        var errors = new StringWriter();
        string[] all = ["-H", $"tcp://{listener.LocalEndpoint}", .. arguments.Split(' ')];
        int code = await CiliumCommand.RunAsync(all, output, errors, TestContext.Current.CancellationToken);
        await end.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => serving);
        return (code, output.ToString(), errors.ToString());
    }

    private static async Task ServeAsync(TcpListener listener, Func<string, string> answer, int status, CancellationToken cancellation)
    {
        byte[] buffer = new byte[8192];
        while (true)
        {
            using Socket client = await listener.AcceptSocketAsync(cancellation);
            int length = await client.ReceiveAsync(buffer, cancellation);
            byte[] body = Encoding.UTF8.GetBytes(answer(Encoding.ASCII.GetString(buffer, 0, length)));
            byte[] head = Encoding.ASCII.GetBytes(
                $"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {body.Length}\r\nConnection: close\r\n\r\n");
            await client.SendAsync((byte[])[.. head, .. body], cancellation);
            client.Shutdown(SocketShutdown.Send);
        }
    }
}
