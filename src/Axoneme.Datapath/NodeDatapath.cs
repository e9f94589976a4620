// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Netlink;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>
/// The node's part of the datapath: maps, devices and the programs on them. Starting it on a node where an earlier run left all of that
/// takes everything over and replaces the programs atomically, so traffic goes on; disposing it leaves everything at work.
/// </summary>
public sealed class NodeDatapath : IDisposable
{
    private readonly Dictionary<BpfObjectImage, (byte[] Constants, BpfObject Object)> _loaded = [];
    private readonly NodeDevices _devices;
    private readonly ProxyRouting _proxy;
    private readonly ProgramConstants _constants;
    private bool _isStarted;

    private NodeDatapath(DatapathOptions options, DatapathReport report)
    {
        Options = options;
        Report = report;
        Paths = new DatapathPaths(options.BpfRoot);
        Netlink = RouteNetlink.Open(options.HostNamespace);
        _devices = new NodeDevices(options, Netlink);
        _proxy = new ProxyRouting(options, Netlink);
        _constants = new ProgramConstants(options, _devices);
        if (BpfFileSystem.Ensure(options.BpfRoot))
            report.AddCreated($"mount {options.BpfRoot}");
        Maps = DatapathMaps.OpenOrCreate(Paths, options.MapSizes, report, options.DistributedLru);
        Endpoints = new EndpointDatapath(this);
    }

    public DatapathOptions Options { get; }

    public DatapathPaths Paths { get; }

    /// <summary>What the start created, adopted and repaired.</summary>
    public DatapathReport Report { get; private set; }

    public DatapathMaps Maps { get; }

    /// <summary>The host namespace's socket.</summary>
    public RouteNetlink Netlink { get; }

    public EndpointDatapath Endpoints { get; }

    /// <summary>Index of cilium_host.</summary>
    public int HostDevice => _devices.Host.Index;

    public MacAddress HostMac => _devices.Host.Mac ?? default;

    /// <summary>Index of cilium_vxlan; 0 in native mode.</summary>
    public int TunnelDevice => _devices.Tunnel?.Index ?? 0;

    /// <summary>Of pods' devices, in bytes.</summary>
    public int DeviceMtu => _devices.Mtu;

    /// <summary>Of pods' default routes, in bytes: less than the device's where packets are encapsulated.</summary>
    public int RouteMtu => _devices.RouteMtu;

    /// <summary>Uplinks on which services are balanced before the stack.</summary>
    public IReadOnlyList<string> AcceleratedDevices { get; private set; } = [];

    /// <summary>Brings the node's datapath up or takes it over.</summary>
    /// <exception cref="SystemCallException">The kernel refused something; what was done until then stays and is taken over next time.</exception>
    /// <exception cref="InvalidOperationException">A device of the options does not exist.</exception>
    public static NodeDatapath Start(DatapathOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        var node = new NodeDatapath(options, new DatapathReport());
        try
        {
            node.Ensure(node.Report);
            return node;
        }
        catch
        {
            node.Dispose();
            throw;
        }
    }

    /// <summary>Looks over devices, addresses, settings and attachments again and puts right what others changed.</summary>
    public DatapathReport Repair()
    {
        var report = new DatapathReport();
        Ensure(report);
        return report;
    }

    public void Dispose()
    {
        foreach ((_, (_, BpfObject loaded)) in _loaded)
            loaded.Dispose();
        Maps.Dispose();
        Netlink.Dispose();
    }

    /// <summary>Removes everything that any run has made on this node: attachments, devices, routes, maps. Endpoints' devices as well.</summary>
    public void Uninstall()
    {
        foreach (ushort endpoint in Endpoints.Pinned())
            BpfFileSystem.DeleteFolder(Paths.EndpointFolder(endpoint));
        BpfFileSystem.DeleteFolder(Paths.Objects);
        _devices.Remove();
        _proxy.Remove();
        foreach (Route route in Netlink.ListRoutes(table: 0).Where(r => r.Protocol == RouteProtocol.Axoneme))
            Netlink.DeleteRoute(route);
        BpfFileSystem.DeleteFolder(Paths.Maps);
    }

    /// <summary>The settings of an object as this node's options give them.</summary>
    internal T ConstantsFor<T>(BpfObjectImage image)
        where T : unmanaged, IBpfConstants
        => _constants.For<T>(image);

    /// <summary>Runs in the host namespace; attaching to devices needs that.</summary>
    internal T InHost<T>(Func<T> work) => Options.HostNamespace is { } host ? host.Run(work) : work();

    private void Ensure(DatapathReport report)
    {
        _devices.Ensure(report);
        _proxy.Ensure(report);
        new DeviceTable(Maps, Netlink, Options).Ensure(_devices.Uplinks, _devices.Tunnel);
        LoadPrograms();
        // As near to the exchange as can be: what comes after that is added afterwards, and is missed until then.
        Maps.CopyRest();
        AddPolicyClasses(report);
        InstallPodPrograms(report);
        AttachDevices(report);
        AttachSockets(report);
        RemoveStaleDevices(report);
        AccelerateDevices(report);
        FinishMigration();
    }

    private void AddPolicyClasses(DatapathReport report)
    {
        try
        {
            if (new PolicyTarget(Maps).AddClasses() is > 0 and int count)
                report.AddRepaired($"policy maps of {count} endpoints knew no classes of identities");
        }
        catch (SystemCallException e)
        {
            // A map that is full: its endpoint gets the rest with its policy.
            report.AddRefused($"classes of identities in the policy maps of before: {e.Message}");
        }
    }

    // Verification takes hundreds of milliseconds, and programs of two ages should not work side by side for so long.
    private void LoadPrograms()
    {
        LoadOnce<PodConstants>(PodObject.Image);
        LoadOnce<HostConstants>(HostObject.Image);
        if (Options.IsTunnel)
            LoadOnce<OverlayConstants>(OverlayObject.Image);
        if (Options.SocketLoadBalancing)
            LoadOnce<SockConstants>(SockObject.Image);
        if (Options.Services.Acceleration != AccelerationMode.None)
            LoadOnce<XdpConstants>(XdpObject.Image);
    }

    // Where the endpoints' own programs still call those of the run before, the repair that comes after their adoption ends it.
    private void FinishMigration()
    {
        if (!Maps.HasReplacedCalls || _isStarted)
            Maps.FinishMigration();
        _isStarted = true;
    }

    // Each write replaces a program for all endpoints at once. The pin of the array keeps the programs at work while no agent is.
    private void InstallPodPrograms(DatapathReport report)
    {
        BpfObject pod = LoadOnce<PodConstants>(PodObject.Image);
        Install(PodObject.FromPod, PodCall.FromPod);
        Install(PodObject.ToPod, PodCall.ToPod);

        void Install(string program, PodCall slot)
        {
            bool existed = Maps.PodCalls.TryLookup((uint)slot, out _);
            pod.Program(program).SetTailCall(Maps.PodCalls.Map, (uint)slot);
            Note(report, $"{program} of all endpoints", existed ? LinkOutcome.Adopted : LinkOutcome.Created);
        }
    }

    private void AttachDevices(DatapathReport report)
    {
        BpfObject host = LoadOnce<HostConstants>(HostObject.Image);
        BpfObject? overlay = Options.IsTunnel ? LoadOnce<OverlayConstants>(OverlayObject.Image) : null;
        InHost(() =>
        {
            foreach (Link uplink in _devices.Uplinks)
            {
                Attach(report, uplink, host.Program(HostObject.FromNetdev), TcDirection.Ingress);
                Attach(report, uplink, host.Program(HostObject.ToNetdev), TcDirection.Egress);
            }

            Attach(report, _devices.Host, host.Program(HostObject.FromHost), TcDirection.Egress);
            if (overlay is not null)
                Attach(report, _devices.Tunnel!, overlay.Program(OverlayObject.FromOverlay), TcDirection.Ingress);
            return true;
        });
    }

    // After everything else, which works by then: a device that cannot is an error.
    private void AccelerateDevices(DatapathReport report)
    {
        var acceleration = new FrameAcceleration(Paths, Options.Services.Acceleration);
        if (Options.Services.Acceleration == AccelerationMode.None)
        {
            acceleration.Remove(_devices.Uplinks);
            AcceleratedDevices = [];
            return;
        }

        BpfProgram program = LoadOnce<XdpConstants>(XdpObject.Image).Program(XdpObject.FromWire);
        AcceleratedDevices = InHost(() => acceleration.Ensure(report, program, _devices.Uplinks));
    }

    // The verifier takes tens of milliseconds, and repairs come round all the time: what has the same constants is loaded once.
    private BpfObject LoadOnce<T>(BpfObjectImage image)
        where T : unmanaged, IBpfConstants
    {
        T constants = _constants.For<T>(image);
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in constants));
        if (_loaded.TryGetValue(image, out (byte[] Constants, BpfObject Object) known))
        {
            if (bytes.SequenceEqual(known.Constants))
                return known.Object;
            known.Object.Dispose();
        }

        BpfObject loaded = Load(image, constants);
        _loaded[image] = (bytes.ToArray(), loaded);
        return loaded;
    }

    /// <summary>An object with these constants that works on the node's maps.</summary>
    internal BpfObject Load<T>(BpfObjectImage image, T constants)
        where T : unmanaged, IBpfConstants
    {
        BpfObject loaded = image.Open();
        try
        {
            loaded.SetConstants(constants);
            Maps.Reuse(loaded, image);
            loaded.Load();
            return loaded;
        }
        catch
        {
            loaded.Dispose();
            throw;
        }
    }

    private void Attach(DatapathReport report, Link device, BpfProgram program, TcDirection direction)
    {
        string folder = Paths.DeviceLinks(device.Name);
        Directory.CreateDirectory(folder);
        Note(report, $"{program.Name} on {device.Name}",
            PinnedLinks.EnsureTcx(Path.Combine(folder, program.Name), program, device.Index, direction));
    }

    private void AttachSockets(DatapathReport report)
    {
        if (!Options.SocketLoadBalancing)
        {
            BpfFileSystem.DeleteFolder(Paths.SocketLinks);
            return;
        }

        BpfObject sockets = LoadOnce<SockConstants>(SockObject.Image);
        Directory.CreateDirectory(Paths.SocketLinks);
        foreach ((string name, BpfAttachType type, bool isV6) in SocketHooks)
        {
            string pin = Path.Combine(Paths.SocketLinks, name);
            // IPv6 hooks serve IPv4 as well: sockets of both families connect through them.
            if (isV6 ? Options.EnableIPv6 || Options.EnableIPv4 : Options.EnableIPv4)
                Note(report, $"{name} on {Options.CgroupRoot}",
                    PinnedLinks.EnsureCgroup(pin, sockets.Program(name), Options.CgroupRoot, type));
            else
                File.Delete(pin);
        }
    }

    private static readonly (string Name, BpfAttachType Type, bool IsV6)[] SocketHooks =
    [
        (SockObject.SockConnect4, BpfAttachType.CgroupInet4Connect, false),
        (SockObject.SockSendmsg4, BpfAttachType.CgroupUdp4SendMessage, false),
        (SockObject.SockRecvmsg4, BpfAttachType.CgroupUdp4ReceiveMessage, false),
        (SockObject.SockGetpeername4, BpfAttachType.CgroupInet4GetPeerName, false),
        (SockObject.SockPostBind4, BpfAttachType.CgroupInet4PostBind, false),
        (SockObject.SockConnect6, BpfAttachType.CgroupInet6Connect, true),
        (SockObject.SockSendmsg6, BpfAttachType.CgroupUdp6SendMessage, true),
        (SockObject.SockRecvmsg6, BpfAttachType.CgroupUdp6ReceiveMessage, true),
        (SockObject.SockGetpeername6, BpfAttachType.CgroupInet6GetPeerName, true),
        (SockObject.SockPostBind6, BpfAttachType.CgroupInet6PostBind, true),
    ];

    // Pins of devices that the options no longer name, or that are gone.
    private void RemoveStaleDevices(DatapathReport report)
    {
        HashSet<string> wanted = [.. _devices.Uplinks.Append(_devices.Host).Select(l => Paths.DeviceLinks(l.Name))];
        if (_devices.Tunnel is { } tunnel)
            wanted.Add(Paths.DeviceLinks(tunnel.Name));
        foreach (string folder in Directory.EnumerateDirectories(Paths.Devices))
        {
            if (wanted.Contains(Path.Combine(folder, "links")))
                continue;
            BpfFileSystem.DeleteFolder(folder);
            report.AddRepaired($"links of {Path.GetFileName(folder)} were removed");
        }
    }

    internal static void Note(DatapathReport report, string what, LinkOutcome outcome)
    {
        switch (outcome)
        {
            case LinkOutcome.Created:
                report.AddCreated(what);
                break;
            case LinkOutcome.Adopted:
                report.AddAdopted(what);
                break;
            case LinkOutcome.Replaced:
                report.AddRepaired($"{what} was attached elsewhere");
                break;
        }
    }
}
