// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi;
using Axoneme.Kubernetes.Resources;
using Axoneme.Lab.Fabric;
using Axoneme.Lab.Pods;
using Axoneme.Network;

namespace Axoneme.Lab.Nodes;

/// <summary>The kubelet of a node: registers it, keeps its lease and readiness, runs the pods that are bound to it.</summary>
internal sealed class NodeRunner
{
    private static readonly TimeSpan LeaseInterval = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan ReadinessInterval = TimeSpan.FromMilliseconds(100);

    // Nodes take turns, so that a third node shares a zone with the first.
    private const int Zones = 2;

    private readonly int _index;
    private readonly PodHost _host;
    private readonly CniRuntime _cni;
    private readonly ConcurrentDictionary<string, PodWorker> _pods = new();

    public NodeRunner(NodeSandbox sandbox, int index, ObjectClient api, TimeProvider clock, Action<string> log)
    {
        _index = index;
        Sandbox = sandbox;
        Agent = new NodeProcess(
            sandbox,
            "agent",
            [Artifacts.Agent, $"--config-dir={NodeSandbox.FolderInside}/config", $"--k8s-kubeconfig-path={NodeSandbox.FolderInside}/kubeconfig"],
            clock);
        Proxy = new NodeProcess(sandbox, "proxy", [Artifacts.Proxy, $"--config-dir={NodeSandbox.FolderInside}/config"], clock);
        _cni = new CniRuntime(sandbox);
        _host = new PodHost(sandbox, _cni, api, clock, log)
        {
            Addresses = [LabFabric.NodeV4(index).ToString(), LabFabric.NodeV6(index).ToString()],
        };
    }

    public NodeSandbox Sandbox { get; }

    public NodeProcess Agent { get; }

    /// <summary>Lives and dies apart from the agent.</summary>
    public NodeProcess Proxy { get; }

    public string Name => Sandbox.Name;

    public int Index => _index;

    public bool IsReady { get; private set; }

    public PodWorker? FindPod(ResourceName name) => _pods.Values.FirstOrDefault(p => p.Name == name);

    /// <summary>Creates the Node object; returns the pod prefixes that the API gave it.</summary>
    public async Task<IReadOnlyList<IpPrefix>> RegisterAsync(CancellationToken cancellation)
    {
        var node = new Node
        {
            Metadata = new ObjectMeta
            {
                Name = Name,
                Labels = new Dictionary<string, string>
                {
                    ["kubernetes.io/hostname"] = Name,
                    ["kubernetes.io/os"] = "linux",
                    ["kubernetes.io/arch"] = Architecture,
                    ["topology.kubernetes.io/region"] = "lab",
                    ["topology.kubernetes.io/zone"] = $"lab-{(char)('a' + (_index % Zones))}",
                },
            },
        };
        _host.Api.Apply((JsonObject)JsonSerializer.SerializeToNode(node, KubernetesJson.Default.Node)!);
        WriteStatus(ready: false);
        RenewLease();
        while (true)
        {
            if (_host.Api.Get("nodes", null, Name)?["spec"]?["podCIDRs"] is JsonArray { Count: > 0 } prefixes)
                return [.. prefixes.Select(p => IpPrefix.Parse(p!.GetValue<string>()))];
            await Task.Delay(10, cancellation);
        }
    }

    public Task RunAsync(CancellationToken cancellation) => Task.WhenAll(
        Agent.RunAsync(cancellation), File.Exists(Artifacts.Proxy) ? Proxy.RunAsync(cancellation) : Task.CompletedTask, WatchPodsAsync(cancellation), WatchReadinessAsync(cancellation), KeepLeaseAsync(cancellation));

    private async Task WatchPodsAsync(CancellationToken cancellation)
    {
        await foreach (ObjectEvent change in _host.Api.WatchAsync("pods", null, cancellation))
        {
            if ((string?)change.Object["spec"]?["nodeName"] != Name)
                continue;
            Pod pod = change.Object.Deserialize(KubernetesJson.Lean.Pod)!;
            string uid = pod.Metadata.Uid ?? "";
            if (change.Type == "DELETED")
                _pods.GetValueOrDefault(uid)?.Terminate(0);
            else if (pod.Metadata.DeletionTimestamp is not null && _pods.TryGetValue(uid, out PodWorker? ending))
                ending.Terminate(pod.Metadata.DeletionGracePeriodSeconds ?? pod.Spec.TerminationGracePeriodSeconds ?? 30);
            else if (!_pods.ContainsKey(uid))
                Start(pod);
        }
    }

    private void Start(Pod pod)
    {
        var worker = new PodWorker(_host, pod);
        _pods[worker.Uid] = worker;
        if (pod.Metadata.DeletionTimestamp is not null)
            worker.Terminate(0);
        _ = Task.Run(async () =>
        {
            try
            {
                await worker.RunAsync();
            }
            catch (Exception e)
            {
                // One pod's trouble is not the node's.
                _host.Log($"pod {worker.Name}: {e}");
            }
            finally
            {
                _pods.TryRemove(worker.Uid, out _);
                worker.Dispose();
            }
        });
    }

    private async Task WatchReadinessAsync(CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
        {
            if (_cni.IsReady != IsReady)
                WriteStatus(IsReady = !IsReady);
            await Task.Delay(ReadinessInterval, _host.Clock, cancellation);
        }
    }

    private async Task KeepLeaseAsync(CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
        {
            RenewLease();
            await Task.Delay(LeaseInterval, _host.Clock, cancellation);
        }
    }

    private void RenewLease()
    {
        string now = _host.Clock.GetUtcNow().ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'");
        _host.Api.Apply(new JsonObject
        {
            ["apiVersion"] = "coordination.k8s.io/v1",
            ["kind"] = "Lease",
            ["metadata"] = new JsonObject { ["name"] = Name, ["namespace"] = "kube-node-lease" },
            ["spec"] = new JsonObject { ["holderIdentity"] = Name, ["leaseDurationSeconds"] = 40, ["renewTime"] = now },
        });
    }

    private static string Architecture
        => System.Runtime.InteropServices.RuntimeInformation.OSArchitecture == System.Runtime.InteropServices.Architecture.Arm64 ? "arm64" : "amd64";

    private void WriteStatus(bool ready)
    {
        DateTimeOffset now = _host.Clock.GetUtcNow();
        var capacity = new JsonObject { ["cpu"] = Environment.ProcessorCount.ToString(), ["memory"] = "4Gi", ["pods"] = "110" };
        NodeStatus status = new()
        {
            Addresses =
            [
                .. _host.Addresses.Select(a => new NodeAddress { Type = "InternalIP", Address = a }),
                new NodeAddress { Type = "Hostname", Address = Name },
            ],
            Conditions =
            [
                Healthy("MemoryPressure", now), Healthy("DiskPressure", now), Healthy("PIDPressure", now),
                new Condition
                {
                    Type = "Ready", Status = ready ? "True" : "False", Reason = ready ? "KubeletReady" : "KubeletNotReady",
                    Message = ready ? "the lab's node runner is ready" : "no CNI configuration yet: the agent is not ready",
                    LastHeartbeatTime = now, LastTransitionTime = now,
                },
            ],
            NodeInfo = new NodeSystemInfo
            {
                KernelVersion = File.ReadAllText("/proc/sys/kernel/osrelease").Trim(),
                OperatingSystem = "linux",
                Architecture = Architecture,
                OsImage = "Axoneme lab",
                ContainerRuntimeVersion = "axoneme://0.1.0",
                KubeletVersion = "v1.33.0",
                KubeProxyVersion = "",
                MachineID = Name,
                SystemUUID = Name,
                BootID = File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim(),
            },
        };
        JsonObject json = (JsonObject)JsonSerializer.SerializeToNode(new Node { Status = status }, KubernetesJson.Default.Node)!["status"]!;
        json["capacity"] = capacity;
        json["allocatable"] = capacity.DeepClone();
        _host.Api.Modify("nodes", null, Name, live => live["status"] = json.DeepClone(), "status");
    }

    private static Condition Healthy(string type, DateTimeOffset now)
        => new() { Type = type, Status = "False", Reason = "Kubelet", LastHeartbeatTime = now, LastTransitionTime = now };
}
