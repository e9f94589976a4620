// SPDX-License-Identifier: Apache-2.0
using System.Reflection;
using Axoneme.Agent.Configuration;
using Axoneme.AgentApi;
using Axoneme.Bpf;
using Axoneme.Hosting;
using Axoneme.Hubble;
using Axoneme.Kubernetes;
using Axoneme.Network;
using Maps = Axoneme.Datapath.Abi.Maps;

namespace Axoneme.Agent.Api;

/// <summary>How the agent is doing, part by part.</summary>
internal sealed class StatusReport(ApiSources sources)
{
    private readonly KubernetesVersion _version = new(sources.Control.Client);
    private readonly ControllerViews _controllers = new(sources);
    private readonly DatapathStatus _datapath = new(sources);
    private readonly NodeViews _nodes = new(sources);

    /// <summary>Such as <c>0.1.0 (v0.1.0-46d40ab)</c>: clients take the first word for the version.</summary>
    public static string ProductVersion { get; } = ReadVersion();

    public string? NotReadyReason => sources.NotReadyReason();

    public string? KubernetesProblem => sources.Control.Cluster.Problem;

    /// <summary>Only what tells good from bad.</summary>
    public StatusResponse Brief() => new()
    {
        Kvstore = new ComponentStatus(ComponentStatus.Disabled),
        Kubernetes = Kubernetes(),
        Cilium = Cilium(),
        Controllers = [.. _controllers.All().Where(c => c.Status.ConsecutiveFailureCount > 0)],
    };

    public async Task<StatusResponse> FullAsync(CancellationToken cancellation)
    {
        await _version.RefreshAsync(cancellation);
        ClusterNodes nodes = _nodes.Cluster();
        return new StatusResponse
        {
            Kvstore = new ComponentStatus(ComponentStatus.Disabled),
            Kubernetes = Kubernetes(),
            Cilium = Cilium(),
            CniFile = CniFile(),
            CniChaining = new CniChaining("none"),
            Ipam = Ipam(),
            AttachMode = "tcx",
            DatapathMode = "veth",
            ConfiguredDatapathMode = "veth",
            Routing = _datapath.Routing(),
            Masquerading = _datapath.Masquerading(),
            KubeProxyReplacement = _datapath.KubeProxyReplacement(),
            BandwidthManager = new BandwidthManagerStatus(Enabled: false),
            HostFirewall = HostFirewall(),
            Encryption = new EncryptionStatus("Disabled"),
            IPv4BigTcp = new BigTcpStatus(Enabled: false),
            IPv6BigTcp = new BigTcpStatus(Enabled: false),
            Proxy = Proxy(),
            ClockSource = _datapath.Clock(),
            ServiceProblems = _datapath.ServiceProblems() is { Count: > 0 } problems ? problems : null,
            BpfMaps = _datapath.MapSizes(),
            NodeMonitor = NodeMonitor(sources.Running),
            Hubble = Hubble(),
            HubbleMetrics = new ComponentStatus(ComponentStatus.Disabled),
            IdentityRange = new IdentityRange(sources.Options.Numbering.First, sources.Options.Numbering.Last),
            Cluster = new ClusterStatus(new ComponentStatus(ComponentStatus.Disabled), nodes.Nodes, nodes.Self),
            Controllers = _controllers.All(),
            Modules = _controllers.Modules(),
        };
    }

    public static NodeMonitorStatus NodeMonitor(RunningNode? running)
    {
        if (running?.Events is not { } events)
            return new NodeMonitorStatus(0, 0, 0);
        BpfMapSpec map = Maps.CiliumEvents.Spec;
        int pageBytes = Environment.SystemPageSize;
        return new NodeMonitorStatus(
            Math.Min(ProcessorSet.PossibleCount, map.MaxEntries), map.Inner!.MaxEntries / pageBytes, pageBytes, (long)events.Lost);
    }

    private ComponentStatus Cilium()
    {
        if (NotReadyReason is { } reason)
            return new ComponentStatus(ComponentStatus.Failure, $"{ProductVersion}: {reason}");
        ControllerStatus[] failing = [.. _controllers.Reconcilers().Where(c => c.Status.ConsecutiveFailureCount > 0)];
        return failing.Length == 0
            ? new ComponentStatus(ComponentStatus.Ok, ProductVersion)
            : new ComponentStatus(
                ComponentStatus.Warning,
                $"{ProductVersion}: {string.Join("; ", failing.Select(c => $"{c.Name}: {c.Status.LastFailureMsg}"))}");
    }

    private KubernetesStatus Kubernetes()
    {
        string? problem = KubernetesProblem ?? _version.Problem;
        return new KubernetesStatus(
            problem is null ? ComponentStatus.Ok : ComponentStatus.Failure,
            problem ?? _version.Text,
            [
                .. sources.Control.Cluster.Watches
                    .Where(watch => watch.Phase != ReflectorPhase.KindMissing)
                    .Select(watch => $"{(watch.Kind.Group.Length == 0 ? "core/" : "")}{watch.Kind.ApiVersion}::{watch.Kind.Kind}"),
            ]);
    }

    private HostFirewallStatus HostFirewall()
        => sources.Options.HostFirewall.Enabled
            ? new HostFirewallStatus("Enabled", sources.Running?.Datapath?.Options.Devices ?? sources.Options.Devices, sources.Running?.HostFirewall?.Status)
            : new HostFirewallStatus("Disabled");

    private ComponentStatus CniFile()
    {
        if (sources.Options.CniConfigFile is not { } file)
            return new ComponentStatus(ComponentStatus.Disabled, "not managed by the agent");
        return File.Exists(file)
            ? new ComponentStatus(ComponentStatus.Ok, $"{file} is in place")
            : new ComponentStatus(ComponentStatus.Failure, $"{file} is not written yet");
    }

    private IpamStatus? Ipam()
    {
        if (sources.Running?.Ipam is not { } ipam)
            return null;
        IReadOnlyList<KeyValuePair<IpAddress, string>> owners = ipam.Owners();
        List<string> v4 = [.. owners.Where(o => o.Key.IsV4).Select(o => o.Key.ToString())];
        List<string> v6 = [.. owners.Where(o => o.Key.IsV6).Select(o => o.Key.ToString())];
        string[] lines = [.. new[] { Allocated("IPv4", v4.Count, ipam.V4Cidr), Allocated("IPv6", v6.Count, ipam.V6Cidr) }.OfType<string>()];
        return new IpamStatus
        {
            Ipv4 = v4,
            Ipv6 = v6,
            Status = string.Join(", ", lines),
            Allocations = owners.ToDictionary(owner => owner.Key.ToString(), owner => owner.Value),
        };
    }

    // As many as the pool hands out: all of the block but its first and its last.
    private static string? Allocated(string family, int count, IpPrefix? block)
    {
        if (block is not { } range)
            return null;
        int hostBits = range.Address.BitCount - range.Length;
        UInt128 capacity = (hostBits == 128 ? UInt128.MaxValue : UInt128.One << hostBits) - 2;
        return $"{family}: {count}/{capacity} allocated from {range}";
    }

    private ProxyStatus Proxy()
    {
        if (!sources.Options.Dns.EnableProxy || sources.Running is not { Names.Link: { } link } running)
            return new ProxyStatus();
        string rules = $"{link.EndpointCount} endpoints with rules for names{Remembered(link.Counters)}";
        return new ProxyStatus
        {
            Ip = link.Port == 0 ? null : running.Local.Routers.Select(r => r.ToString()).FirstOrDefault(),
            PortRange = link.Port == 0 ? null : $"{link.Port}",
            TotalPorts = link.Port == 0 ? 0 : 1,
            TotalRedirects = link.EndpointCount,
            Dns = link switch
            {
                { IsConnected: true } => $"OK, port {link.Port}, {rules}",
                { Port: 0 } => $"Missing: what the policies of pods would send to it is denied; {rules}",
                _ => $"Not connected, last seen on port {link.Port}, where DNS of pods is still sent; {rules}",
            },
        };
    }

    private static string Remembered(DnsProxy.Counters? counters) => counters is null
        ? ""
        : $", {counters.Names} names remembered in {Math.Ceiling(counters.NameBytes / 1024.0):0} KiB" + (counters.EvictedNames > 0 ? $", {counters.EvictedNames} forgotten for want of room" : "");

    private HubbleStatus Hubble()
    {
        if (!sources.Options.EnableHubble)
            return new HubbleStatus(ComponentStatus.Disabled);
        if (sources.Running?.Observer is not { } observer)
            return new HubbleStatus(ComponentStatus.Warning, "not started yet");
        ObserverCounters counters = observer.Counters;
        return new HubbleStatus(
            ComponentStatus.Ok,
            Observer: new HubbleObserverStatus(counters.CurrentFlows, counters.MaxFlows, counters.SeenFlows, (long)counters.Uptime.TotalNanoseconds));
    }

    private static string ReadVersion()
    {
        string version = AgentVersion.Text;
        string? informational = typeof(StatusReport).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion;
        string commit = informational?.Split('+') is [_, { Length: >= 8 } sha] ? $"-{sha[..8]}" : "";
        return $"{version} (v{version}{commit})";
    }
}
