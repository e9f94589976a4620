// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;

namespace Axoneme.Lab.ScenarioTests;

/// <summary>
/// A cluster of two nodes with the pods of workload.yaml, which the tests of a collection share. It is driven as a user drives it:
/// by the lab's command line and kubectl. Only what a test adds is its own to remove.
/// </summary>
public abstract class LabCluster(string name, string routing, params string[] settings) : IAsyncLifetime
{
    public const string OutsideV4 = "203.0.113.10";
    public const string OutsideV6 = "2001:db8::10";

    private readonly List<Process> _servers = [];
    private string _manifests = "";
    private Dictionary<string, string[]> _addresses = [];

    public string Name => name;

    public string Kubeconfig => $"{Root}-{name}/kubeconfig";

    public static string Root => Environment.GetEnvironmentVariable("AXONEME_LAB_ROOT") is { Length: > 0 } given ? given : "/run/axoneme-lab";

    public static string Artifacts { get; } = FindArtifacts();

    private static string Program => Path.Combine(Artifacts, "lab", "axoneme-lab");

    public async ValueTask InitializeAsync()
    {
        _manifests = Directory.CreateTempSubdirectory("axoneme-lab-test-").FullName;
        using (var reader = new StreamReader(typeof(LabCluster).Assembly.GetManifestResourceStream("workload.yaml")!))
            await File.WriteAllTextAsync(Path.Combine(_manifests, "workload.yaml"), await reader.ReadToEndAsync());
        try
        {
            string[] set = [.. settings.Select(s => $"--set={s}")];
            (await LabAsync(["up", "--nodes", "2", "--routing", routing, "--no-demo", "--manifests", _manifests, .. set])).Require();
            _addresses = await ReadAddressesAsync();
            await ServeAsync("outside");
            await ServeAsync("outside2");
            await ServeAsync("node", "node1");
            await ServeAsync("node", "node2");
        }
        catch (Exception e)
        {
            // xUnit does not dispose what failed to start.
            string logs = $"{await LabAsync("logs", "node1")}\n{await LabAsync("logs", "node2")}";
            await DisposeAsync();
            throw new InvalidOperationException($"{e.Message}\n{logs}", e);
        }
    }

    public async ValueTask DisposeAsync()
    {
        CommandResult down = await LabAsync("down");
        foreach (Process server in _servers)
            server.Dispose();
        Directory.Delete(_manifests, recursive: true);
        GC.SuppressFinalize(this);
        down.Require();
    }

    /// <summary>A <c>lab</c> command on this lab.</summary>
    public Task<CommandResult> LabAsync(params string[] arguments) => Command.RunAsync(Program, ["--name", name, .. arguments]);

    public Task<CommandResult> NodeAsync(string node, params string[] command) => LabAsync(["node", node, "--", .. command]);

    public Task<CommandResult> ExecAsync(string pod, params string[] command) => LabAsync(["exec", pod, "--", .. command]);

    /// <summary>A command somewhere in the lab.</summary>
    /// <param name="from">"exec POD", "node NODE", "outside", "outside2" or "router".</param>
    public Task<CommandResult> RunAsync(string from, params string[] command) => LabAsync([.. from.Split(' '), "--", .. command]);

    /// <summary>Asks the echo servers behind an address who they are and whom they see, each time over a new socket.</summary>
    /// <param name="sourcePort">The client's own port, 0 for any.</param>
    public async Task<IReadOnlyList<Witness>> WhoAsync(string from, string host, int port, int count = 1, string protocol = "tcp", int sourcePort = 0)
    {
        string answers = (await RunAsync(from, "axl", "who", host, $"{port}", $"{count}", protocol, $"{sourcePort}")).Require();
        return [.. answers.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Split(' ')).Select(
            f => new Witness(f[0], f[1][..f[1].LastIndexOf(':')].Trim('[', ']')))];
    }

    /// <summary>The addresses that a service has: cluster, load balancer and external ones by their JSON path.</summary>
    public async Task<string[]> ServiceAddressesAsync(string service, string path)
        => (await KubectlAsync("", "get", "service", "-n", service.Split('/')[0], service.Split('/')[1], "-o", $"jsonpath={path}")).Require()
            .Split(' ', StringSplitOptions.RemoveEmptyEntries);

    public Process Start(params string[] arguments) => Command.Start(Program, ["--name", name, .. arguments]);

    public Task<CommandResult> KubectlAsync(string input, params string[] arguments)
        => Command.RunAsync("kubectl", ["--kubeconfig", Kubeconfig, .. arguments], input);

    public async Task<string> ApplyAsync(string manifest) => (await KubectlAsync(manifest, "apply", "-f", "-")).Require();

    /// <summary>Applies objects until the end of a test.</summary>
    public async Task<IAsyncDisposable> WithAsync(string manifest)
    {
        var applied = new Applied(this, manifest);
        await ApplyAsync(manifest);
        return applied;
    }

    /// <summary>Makes the addresses of pods known that a test has added.</summary>
    public async Task RefreshAddressesAsync() => _addresses = await ReadAddressesAsync();

    public string V4(string pod) => _addresses[pod].First(a => !a.Contains(':'));

    public string V6(string pod) => _addresses[pod].First(a => a.Contains(':'));

    /// <summary>Connections to a pod by both families, with a payload that comes back.</summary>
    public string[] Tcp(string pod, int port = 7) => [$"axl tcp {V4(pod)} {port} 10", $"axl tcp {V6(pod)} {port} 10"];

    public string[] Udp(string pod) => [$"axl udp {V4(pod)} 7 10", $"axl udp {V6(pod)} 7 10"];

    public static string NodeV4(int node) => $"172.30.0.1{node}";

    public static string NodeV6(int node) => $"fd00:30::1{node}";

    /// <summary>Tries commands at one place of the lab, all at the same time, until each has the outcome that it should have.</summary>
    /// <param name="from">"exec POD", "node NODE" or "outside".</param>
    /// <param name="work">Commands that must come to succeed.</param>
    /// <param name="blocked">Commands that must come to get no answer; another failure is not good enough.</param>
    /// <param name="refused">
    /// Commands that must come to be told that nobody is there. A socket of the cluster may be told without a packet, and then by another error.
    /// </param>
    public async Task ExpectAsync(
        string from, IReadOnlyList<string> work, IReadOnlyList<string>? blocked = null, IReadOnlyList<string>? refused = null)
    {
        const string functions = """
            end=$(($(date +%s) + 30))
            late() { [ "$(date +%s)" -ge $end ]; }
            works() { until out=$("$@" 2>&1); do if late; then echo "should work: $*: $out"; return; fi; sleep 0.2; done; }
            blocked() { while out=$("$@" 2>&1); [ -n "${out##*no answer*}" ] && [ -n "${out##*TimedOut*}" ]; do
              if late; then echo "should get no answer: $*: $out"; return; fi; sleep 0.2; done; }
            refused() { while out=$("$@" 2>&1); [ -n "${out##*refused*}" ] && { [ "$outside" ] || [ -n "${out##*No route to host*}" ]; }; do
              if late; then echo "should be refused: $*: $out"; return; fi; sleep 0.2; done; }

            """;
        string script = functions + (from.StartsWith("outside", StringComparison.Ordinal) ? "outside=1\n" : "outside=\n") + string.Concat(work.Select(c => $"works {c} &\n"))
            + string.Concat((blocked ?? []).Select(c => $"blocked {c} &\n")) + string.Concat((refused ?? []).Select(c => $"refused {c} &\n")) + "wait\n";
        CommandResult result = await LabAsync([.. from.Split(' '), "--", "sh", "-c", script]);
        Assert.True(result.Status == 0 && result.Output.Length == 0 && result.Error.Length == 0, $"from {from}: {result.Output}{result.Error}");
    }

    private async Task ServeAsync(params string[] place)
    {
        Process server = Start([.. place, "--", "axl", "echo"]);
        _servers.Add(server);
        await ExpectAsync(string.Join(' ', place), ["axl tcp 127.0.0.1 7 1"]);
        Assert.False(server.HasExited, "the echo server ended at once");
    }

    private async Task<Dictionary<string, string[]>> ReadAddressesAsync()
    {
        const string path = """jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}{range .status.podIPs[*]} {.ip}{end}{"\n"}{end}""";
        string table = (await KubectlAsync("", "get", "pods", "-A", "-o", path)).Require();
        return table.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Split(' ')).ToDictionary(f => f[0], f => f[1..]);
    }

    private static string FindArtifacts()
    {
        string? root = Environment.GetEnvironmentVariable("AXONEME_ROOT") ?? AppContext.BaseDirectory;
        while (root is not null && !File.Exists(Path.Combine(root, "axoneme.slnx")))
            root = Path.GetDirectoryName(root);
        string artifacts = Path.Combine(root ?? "/", "artifacts");
        return File.Exists(Path.Combine(artifacts, "lab", "axoneme-lab"))
            ? artifacts : throw new InvalidOperationException($"{artifacts} holds no lab: ./axoneme builds it");
    }

    private sealed class Applied(LabCluster lab, string manifest) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
            => (await lab.KubectlAsync(manifest, "delete", "--ignore-not-found", "--timeout=30s", "-f", "-")).Require();
    }
}

/// <summary>Who answered, and the client's address as it saw it.</summary>
public sealed record Witness(string Pod, string Client);

public sealed class NativeLab() : LabCluster("test-native", "native", "localRedirectPolicies.enabled=true", "loadBalancer.serviceTopology=true");

public sealed class VxlanLab() : LabCluster("test-vxlan", "vxlan", "enable-node-selector-labels=true");

/// <summary>Everything that policies can say besides the usual, and small maps for it.</summary>
public sealed class PolicyLab() : LabCluster(
    "test-policy", "native", "bpf.policyMapMax=256", "enable-node-selector-labels=true", "enable-k8s-cluster-network-policy=true",
    "enable-k8s-admin-network-policy=true")
{
    /// <summary>A command of <c>cilium</c> or <c>hubble</c> on a node, until what it prints is right.</summary>
    public Task<string> ShowsAsync(string node, string command, Func<string, bool> holds)
        => Eventually.IsAsync($"{command} on {node}", async () => (await NodeAsync(node, command.Split(' '))).Require(), holds);

    /// <summary>Ends an agent and waits for its next life, in which it reads its configuration again.</summary>
    public async Task RestartAgentAsync(string node)
    {
        int started = await ReadyCountAsync(node);
        (await LabAsync("agent", node, "restart")).Require();
        await Eventually.IsAsync("the agent is back", () => ReadyCountAsync(node), n => n > started);
    }

    private async Task<int> ReadyCountAsync(string node) => (await LabAsync("logs", node)).Require().Split("Ready: node").Length - 1;
}

[CollectionDefinition(Name)]
public sealed class PolicyCollection : ICollectionFixture<PolicyLab>
{
    public const string Name = "policy";
}

/// <summary>Everything that concerns packets beyond the cluster the other way round than usual.</summary>
public sealed class DsrLab() : LabCluster("test-dsr", "native", "loadBalancer.mode=dsr", "loadBalancer.algorithm=maglev", "bpf.masquerade=true");

[CollectionDefinition(Name)]
public sealed class DsrCollection : ICollectionFixture<DsrLab>
{
    public const string Name = "dsr";
}

public sealed class DriverLab() : LabCluster("test-xdp", "native", "loadBalancer.acceleration=native");

/// <summary>
/// TCP answered directly and the rest not, pods that go out with their node's address but to some destinations, and an operator without patience that
/// packs endpoints into slices.
/// </summary>
public sealed class HybridLab() : LabCluster(
    "test-hybrid", "native", "loadBalancer.mode=hybrid", "bpf.masquerade=true", "ipMasqAgent.enabled=true", $"ip-masq-agent-config-path={ExceptionFile}",
    "operator.identityGCInterval=1s", "operator.identityHeartbeatTimeout=2s", "operator.endpointGCInterval=1s", "ciliumEndpointSlice.enabled=true")
{
    /// <summary>What ip-masq-agent's configuration map would hold.</summary>
    public static string ExceptionFile { get; } = Path.Combine(Path.GetTempPath(), $"axoneme-masq-{Environment.ProcessId}");
}

/// <summary>Policies for nodes, which have little time to prove themselves; people come to the nodes by the port of the echo servers.</summary>
public sealed class HostFirewallLab() : LabCluster(
    "test-hostfw", "native", "hostFirewall.enabled=true", "hostFirewall.confirmTimeout=6s", "hostFirewall.managementPorts=7");

/// <summary>Likewise, with a tunnel between the nodes.</summary>
public sealed class VxlanHostFirewallLab() : LabCluster(
    "test-vxhostfw", "vxlan", "hostFirewall.enabled=true", "hostFirewall.confirmTimeout=6s", "hostFirewall.managementPorts=7");

[CollectionDefinition(Name)]
public sealed class VxlanHostFirewallCollection : ICollectionFixture<VxlanHostFirewallLab>
{
    public const string Name = "vxhostfw";
}

[CollectionDefinition(Name)]
public sealed class HostFirewallCollection : ICollectionFixture<HostFirewallLab>
{
    public const string Name = "hostfw";
}

[CollectionDefinition(Name)]
public sealed class HybridCollection : ICollectionFixture<HybridLab>
{
    public const string Name = "hybrid";
}

[CollectionDefinition(Name)]
public sealed class DriverCollection : ICollectionFixture<DriverLab>
{
    public const string Name = "xdp";
}

[CollectionDefinition(Name)]
public sealed class NativeCollection : ICollectionFixture<NativeLab>
{
    public const string Name = "native";
}

[CollectionDefinition(Name)]
public sealed class VxlanCollection : ICollectionFixture<VxlanLab>
{
    public const string Name = "vxlan";
}
