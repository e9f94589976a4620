// SPDX-License-Identifier: Apache-2.0
using System.Net.Sockets;
using System.Text;
using Axoneme.Agent.Api;
using Axoneme.Agent.Cni;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Endpoints;
using Axoneme.Agent.Ipcache;
using Axoneme.Agent.Nodes;
using Axoneme.AgentApi;
using Axoneme.Datapath;
using Axoneme.Hosting;
using Axoneme.Ipam;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Endpoint = Axoneme.Agent.Endpoints.Endpoint;

namespace Axoneme.Agent.Tests;

/// <summary>An agent's API over a control plane that reaches no API server and no kernel.</summary>
internal sealed class ApiAgent : IAsyncDisposable
{
    public static readonly LabelSet WebLabels = LabelSet.Parse("k8s:app=web", "k8s:io.kubernetes.pod.namespace=shop");
    public static readonly SecurityIdentity Web = new(27191);

    private readonly string _directory = Directory.CreateTempSubdirectory("axoneme-api-").FullName;
    private ApiServer? _server;

    private ApiAgent()
    {
        Options = new AgentOptions
        {
            NodeName = "worker-1",
            StateDirectory = _directory,
            BpfRoot = Path.Combine(_directory, "bpf"),
            HealthPort = 0,
            EnableIPv6 = true,
        };
        var config = new KubernetesConfig { Servers = [new Uri("http://127.0.0.1:1")] };
        var client = new KubernetesClient(config, new KubernetesClientOptions { Attempts = 1 });
        Control = new ControlPlane(Options, client, NullLoggerFactory.Instance);
        Sources = new ApiSources(
            Options, ["unknown-key: no such setting"], Control, new Modules(TimeProvider.System, NullLogger<Modules>.Instance))
        {
            NotReadyReason = () => NotReadyReason,
        };
        Client = new AgentClient($"unix://{SocketPath}");
    }

    public AgentOptions Options { get; }

    public ControlPlane Control { get; }

    public ApiSources Sources { get; }

    public AgentClient Client { get; }

    public string? NotReadyReason { get; set; }

    public List<ReconcilerView> Reconcilers { get; } = [];

    public string SocketPath => Path.Combine(_directory, "cilium.sock");

    public IReadOnlyList<Uri> HealthAddresses => _server!.HealthAddresses;

    public static async Task<ApiAgent> StartAsync(bool isRunning = true, Action<ApiAgent>? prepare = null)
    {
        var agent = new ApiAgent();
        prepare?.Invoke(agent);
        if (isRunning)
            agent.Run();
        agent._server = await ApiServer.StartAsync(agent.Sources, NullLoggerFactory.Instance, CancellationToken.None);
        return agent;
    }

    /// <summary>Sends the bytes as they are and returns everything that comes back until the server closes.</summary>
    /// <param name="isAll">Tells the server that nothing more will come.</param>
    public async Task<string> ExchangeAsync(byte[] request, bool isAll)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(SocketPath));
        await using var stream = new NetworkStream(socket);
        await stream.WriteAsync(request);
        if (isAll)
            socket.Shutdown(SocketShutdown.Send);
        var answer = new MemoryStream();
        await stream.CopyToAsync(answer);
        return Encoding.UTF8.GetString(answer.ToArray());
    }

    public Task<string> RequestAsync(string method, string target, string headers = "")
        => ExchangeAsync(Encoding.ASCII.GetBytes($"{method} {target} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n{headers}\r\n"), isAll: false);

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        if (_server is not null)
            await _server.DisposeAsync();
        Control.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    private void Run()
    {
        var local = new LocalNode
        {
            Name = Options.NodeName,
            IPv4 = IpAddress.Parse("172.30.0.11"),
            IPv6 = IpAddress.Parse("fd00:30::11"),
            IPv4PodRange = IpPrefix.Parse("10.244.1.0/24"),
            IPv6PodRange = IpPrefix.Parse("fd00:244:1::/64"),
        };
        var tables = new EndpointTables(Control.Ipcache);
        Control.Catalog.Add(tables.Endpoints);
        var ipam = new NodeIpam(local.PodRanges, enableV4: true, enableV6: true);
        foreach (IpAddress router in local.Routers)
            ipam.Reserve(router, "router");
        Sources.Running = new RunningNode { Local = local, Endpoints = tables, Ipam = ipam, Reconcilers = () => Reconcilers };
        tables.PublishHost(local, []);
        AddEndpoint(tables, ipam);
        Control.RemoteNodes.Table.Upsert(new RemoteNode(
            "worker-2", IpAddress.Parse("172.30.0.12"), IPv6: null, [], [IpPrefix.Parse("10.244.2.0/24")]));
    }

    private void AddEndpoint(EndpointTables tables, NodeIpam ipam)
    {
        PodAddresses addresses = ipam.Allocate("shop/web-0");
        var endpoint = new Endpoint
        {
            Id = 872,
            Attachment = new CniAttachmentId("c0ffee", "eth0"),
            NetworkNamespace = "/run/netns/web-0",
            Pod = new ResourceName("shop", "web-0"),
            HostInterface = "lxc0123456789ab",
            HostMac = MacAddress.Parse("02:00:00:00:00:01"),
            PodMac = MacAddress.Parse("02:00:00:00:00:02"),
            IPv4 = addresses.V4,
            IPv6 = addresses.V6,
            Labels = WebLabels,
            Identity = Web,
            State = EndpointState.Ready,
        };
        tables.Endpoints.Upsert(endpoint);
        tables.Addresses.Upsert(new EndpointMapEntry(addresses.V4!.Value) { EndpointId = endpoint.Id, Identity = Web, Device = 14 });
        foreach (IpAddress address in endpoint.Addresses)
        {
            Control.Ipcache.Set(new IpcacheRecord(
                IpPrefix.Single(address), Web, Node: null, IpcacheSource.LocalEndpoint, endpoint.Attachment.ToString()));
        }

        _ = Control.Policies.ChangeAsync(engine => engine.UpsertEndpoint(endpoint.Id, Web, WebLabels));
        Control.Policies.Table.Upsert(new Axoneme.Datapath.EndpointPolicy(endpoint.Id, Revision: 7) { IngressEnforced = true });
    }
}
