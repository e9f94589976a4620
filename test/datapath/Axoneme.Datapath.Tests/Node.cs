// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath.Tests;

/// <summary>A pod of the node under test and its own programs, which call those that all pods share.</summary>
public sealed record Pod(ushort Id, uint Identity, IpAddress Address4, IpAddress Address6, BpfObject Programs, BpfMap<PolicyKey, PolicyEntry> Policy)
{
    public uint Interface => 1000u + Id;
    public string Mac => $"0a000000{Id:x4}";
    public string NodeMac => $"0b000000{Id:x4}";
}

/// <summary>What became of a packet.</summary>
public sealed record Outcome(TcVerdict Verdict, byte[] Bytes, IReadOnlyList<Event> Events, uint Mark = 0)
{
    /// <summary>Reason of the drop event, if there is one.</summary>
    public DropReason? Dropped => Events.Where(e => e.Type == (byte)EventType.Drop).Select(e => (DropReason?)e.Reason).SingleOrDefault();

    public Event Trace => Events.Single(e => e.Type == (byte)EventType.Trace);

    public IReadOnlyList<Event> Verdicts => [.. Events.Where(e => e.Type == (byte)EventType.PolicyVerdict)];
}

/// <summary>
/// The programs of one node with maps of their own, real in all but devices: packets go in through test runs, and the packet that
/// comes out of one program is the next one's input.
/// </summary>
public sealed partial class Node : IDisposable
{
    public const uint Uplink = 11;
    public const uint Tunnel = 12;
    public const uint World = 2;
    public const uint MaglevSlots = 251;
    private static readonly string[] LargeMaps =
        ["cilium_ct4_global", "cilium_ct6_global", "cilium_ipcache_exact", "cilium_ipcache6_exact", "cilium_lb4_reverse_sk", "cilium_lb6_reverse_sk", "cilium_lb_datagram_peers",
            "cilium_lb4_affinity", "cilium_lb6_affinity", "cilium_snat_v4_external", "cilium_snat_v6_external"];

    private readonly List<BpfObject> _objects = [];
    private readonly List<IDisposable> _owned = [];
    private readonly Dictionary<string, BpfMap> _maps = [];
    private readonly RingBufferReader _events;
    private uint _revision = 1;

    public Node(bool tunnel = false, bool perPacketLb = false, uint? uplink = Uplink, uint connections = 1024, TraceAggregation aggregation = TraceAggregation.Connections, EdgeOptions? edge = null)
    {
        Edge = edge ?? new EdgeOptions();
        TunnelMode = tunnel;
        UplinkInterface = uplink ?? 0;
        Connections = connections;
        Aggregation = aggregation;
        Host = Load(HostObject.Image, HostObject.Image.DefaultConstants<HostConstants>(), Common);
        Overlay = Load(OverlayObject.Image, OverlayObject.Image.DefaultConstants<OverlayConstants>(), Common);
        PodConstants pod = PodObject.Image.DefaultConstants<PodConstants>();
        pod.PerPacketLb = perPacketLb;
        pod.ServiceMaglev = true;
        pod.MaglevSlots = MaglevSlots;
        Shared = Load(PodObject.Image, pod, Common);
        InstallShared();
        _events = OpenEvents();
    }

    public EdgeOptions Edge { get; }

    public bool TunnelMode { get; }

    public uint UplinkInterface { get; }

    public uint Connections { get; }

    public TraceAggregation Aggregation { get; }

    public BpfObject Host { get; }

    public BpfObject Overlay { get; }

    /// <summary>The programs that all pods share.</summary>
    public BpfObject Shared { get; }

    public BpfMap<TKey, TValue> Map<TKey, TValue>(BpfMapDescriptor<TKey, TValue> map)
        where TKey : unmanaged
        where TValue : unmanaged
        => _maps[map.Spec.Name].As<TKey, TValue>();

    public Pod AddPod(ushort id, uint identity, string address4, string address6)
    {
        BpfObject programs = LoadEndpointPrograms(id);
        BpfMap policy = BpfMap.Create(Maps.CiliumPolicyMaps.Spec.Inner!);
        _owned.Add(policy);
        var pod = new Pod(id, identity, IpAddress.Parse(address4), IpAddress.Parse(address6), programs, policy.As<PolicyKey, PolicyEntry>());
        _maps[Maps.CiliumPolicyMaps.Spec.Name].SetInner(BitConverter.GetBytes((uint)id), policy);
        Configure(pod, identity);
        AddEndpoint(pod.Address4, pod, 0);
        AddEndpoint(pod.Address6, pod, 0);
        AddIdentity(address4, identity);
        AddIdentity(address6, identity);
        Enforce(pod, 0);
        return pod;
    }

    /// <summary>The pod with an empty policy of rules on trial in place of the one in force; see <see cref="PolicyStateFlags.EgressShadowed"/>.</summary>
    public Pod AddShadow(Pod pod)
    {
        BpfMap shadow = BpfMap.Create(Maps.CiliumPolicyShadow.Spec.Inner!);
        _owned.Add(shadow);
        _maps[Maps.CiliumPolicyShadow.Spec.Name].SetInner(BitConverter.GetBytes((uint)pod.Id), shadow);
        return pod with { Policy = shadow.As<PolicyKey, PolicyEntry>() };
    }

    /// <summary>Writes the pod's settings; identity 0 is what is left of a removed pod.</summary>
    public void Configure(Pod pod, uint identity)
        => Map(Maps.CiliumEndpointSettings).Update(
            pod.Id,
            new EndpointSettings { Identity = identity, Ip4 = (uint)pod.Address4.Number, Ip6 = Ip6(pod.Address6) });

    /// <summary>An address of the node itself.</summary>
    public void AddHostAddress(string address)
    {
        var info = new EndpointInfo { Identity = 1, Flags = (ushort)EndpointFlags.Host };
        WriteEndpoint(IpAddress.Parse(address), info);
        AddIdentity(address, 1);
    }

    /// <summary>An address or prefix with its identity; behind another node if one is given.</summary>
    public void AddIdentity(string prefix, uint identity, string? node = null)
    {
        var info = new IpcacheInfo { Identity = identity };
        if (node is not null)
        {
            IpAddress address = IpAddress.Parse(node);
            info.Flags = (uint)IpcacheFlags.Remote | (address.IsV6 ? (uint)IpcacheFlags.NodeIpv6 : 0);
            address.WriteBytes(info.NodeAddr.Bytes);
        }

        string[] parts = prefix.Split('/');
        IpAddress ip = IpAddress.Parse(parts[0]);
        switch (ip.IsV6, parts.Length)
        {
            case (false, 1):
                Map(Maps.CiliumIpcacheExact).Update(new Ipcache4Key { Addr = (uint)ip.Number }, info);
                break;
            case (true, 1):
                Map(Maps.CiliumIpcache6Exact).Update(new Ipcache6Key { Addr = Ip6(ip) }, info);
                break;
            case (false, _):
                Map(Maps.CiliumIpcacheV2).Update(new Ipcache4Prefix { PrefixLen = uint.Parse(parts[1]), Addr = (uint)ip.Number }, info);
                break;
            case (true, _):
                Map(Maps.CiliumIpcache6V2).Update(new Ipcache6Prefix { PrefixLen = uint.Parse(parts[1]), Addr = Ip6(ip) }, info);
                break;
        }
    }

    /// <summary>Sets what is enforced, under a new revision.</summary>
    public void Enforce(Pod pod, PolicyStateFlags flags)
        => Map(Maps.CiliumPolicyState).Update(pod.Id, new PolicyState { Revision = _revision++, Flags = (uint)flags });

    /// <summary>Adds entries; identity 0, protocol null and port null are wildcards. Takes effect on established connections by a revision.</summary>
    /// <returns>The key of the identity's own entry.</returns>
    public static PolicyKey Rule(Pod pod, TrafficDirection direction, uint identity, byte? protocol = null, ushort? port = null, bool deny = false, uint? precedence = null, uint? cookie = null)
    {
        foreach (uint aggregate in identity == 0 ? new uint[] { 11, 12, 13, 14 } : [])
            Entry(pod, direction, aggregate, protocol, port, deny, precedence, cookie);
        return Entry(pod, direction, identity, protocol, port, deny, precedence, cookie);
    }

    /// <summary>Adds one entry; identity 0 is then whoever has no class.</summary>
    public static PolicyKey Entry(Pod pod, TrafficDirection direction, uint identity, byte? protocol = null, ushort? port = null, bool deny = false, uint? precedence = null, uint? cookie = null)
    {
        uint length = port is not null ? 64u : protocol is not null ? 48u : 40u;
        var key = new PolicyKey { PrefixLen = length, Identity = identity, Direction = (byte)direction, Protocol = protocol ?? 0, Port = port ?? 0 };
        pod.Policy.Update(key, new PolicyEntry
        {
            Precedence = precedence ?? (deny ? 255u : 1u),
            Flags = deny ? (byte)PolicyFlags.Deny : (byte)0,
            PrefixLen = (byte)(length - 40),
            // A denial without rules means that none decides.
            Cookie = cookie ?? (deny ? 1u : 0),
        });
        return key;
    }

    public void AddService(string frontend, ushort reverseNat, byte protocol, params string[] backends)
    {
        (IpAddress address, ushort port) = Packet.Endpoint(frontend);
        for (int slot = 1; slot <= backends.Length; slot++)
        {
            uint id = (reverseNat * 100u) + (uint)slot;
            WriteBackend(id, protocol, backends[slot - 1]);
            WriteSlot(address, port, (ushort)slot, protocol, new LbService { Backend = id });
        }

        if (address.IsV6)
            Map(Maps.CiliumLb6ReverseNat).Update(new LbRevNatKey { Index = reverseNat }, new Lb6RevNat { Addr = Ip6(address), Port = port });
        else
            Map(Maps.CiliumLb4ReverseNat).Update(new LbRevNatKey { Index = reverseNat }, new Lb4RevNat { Addr = (uint)address.Number, Port = port });
        WriteSlot(address, port, 0, protocol, new LbService { Count = (ushort)backends.Length, RevNat = reverseNat });
    }

    /// <summary>Puts a Maglev table into its place; it lives as long as the node.</summary>
    public void AddMaglevTable(ushort reverseNat, bool isV6, LbMaglevPair[] pairs)
    {
        BpfMapSpec spec = (isV6 ? Maps.CiliumLb6Maglev : Maps.CiliumLb4Maglev).Spec;
        BpfMap table = BpfMap.Create(spec.Inner! with { MaxEntries = (uint)pairs.Length });
        _owned.Add(table);
        for (uint i = 0; i < pairs.Length; i++)
            table.As<uint, LbMaglevPair>().Update(i, pairs[i]);
        _maps[spec.Name].SetInner(BitConverter.GetBytes(reverseNat), table);
    }

    public Outcome Send(Pod pod, Packet packet, uint segment = 0) => Run(pod.Programs.Program(EndpointObject.EndpointEgress), packet.ToBytes(), segment: segment);

    /// <summary>What the host stack sends to the pod.</summary>
    public Outcome Receive(Pod pod, Packet packet, uint mark = 0) => Run(pod.Programs.Program(EndpointObject.EndpointIngress), packet.ToBytes(), mark);

    /// <summary>The node itself as an endpoint, with nothing enforced.</summary>
    public Pod AddHost(string hostAddress)
    {
        BpfMap policy = BpfMap.Create(Maps.CiliumPolicyMaps.Spec.Inner!);
        _owned.Add(policy);
        IpAddress address = IpAddress.Parse(hostAddress);
        var host = new Pod(Edge.HostEndpoint, 1, address, address, Host, policy.As<PolicyKey, PolicyEntry>());
        _maps[Maps.CiliumPolicyMaps.Spec.Name].SetInner(BitConverter.GetBytes((uint)host.Id), policy);
        Enforce(host, 0);
        return host;
    }

    public Outcome FromNetwork(Packet packet) => Run(Host.Program(HostObject.FromNetdev), packet.ToBytes());

    public Outcome FromHost(Packet packet) => Run(Host.Program(HostObject.FromHost), packet.ToBytes());

    /// <param name="at">Device of the calling thread's namespace that the packet is at; 0: the loopback device.</param>
    public Outcome Run(BpfProgram program, byte[] frame, uint mark = 0, uint segment = 0, uint at = 0)
    {
        byte[] output = new byte[frame.Length + 256];
        var context = new SkBuffContext { Mark = mark, SegmentSize = segment, Interface = at };
        BpfTestRunResult result = program.TestRun(frame, output, ref context);
        var events = new List<Event>();
        _events.Drain((_, record) => events.Add(MemoryMarshal.Read<Event>(record)));
        return new Outcome((TcVerdict)result.ReturnValue, output[..result.OutputLength], events, context.Mark);
    }

    public void Dispose()
    {
        _events.Dispose();
        _owned.ForEach(item => item.Dispose());
        _objects.ForEach(item => item.Dispose());
    }

    /// <summary>Packets counted under a reason, on all processors.</summary>
    public ulong Counted(byte reason, MetricDirection direction)
    {
        var values = new Metric[ProcessorSet.PossibleCount];
        using BpfPerCpuMap<uint, Metric> metrics = BpfMap.OpenById(_maps["cilium_metrics"].Id).AsPerCpu<uint, Metric>();
        metrics.TryLookup(((uint)direction << 8) | reason, values);
        return values.Aggregate(0ul, (sum, value) => sum + value.Packets);
    }

    public BpfObject LoadEndpointPrograms(ushort id)
    {
        EndpointConstants constants = EndpointObject.Image.DefaultConstants<EndpointConstants>();
        constants.EndpointId = id;
        return Load(EndpointObject.Image, constants, Common);
    }

    public BpfObject LoadSocketPrograms(SockConstants constants) => Load(SockObject.Image, constants, constants => constants);

    public BpfObject LoadFrameProgram(XdpConstants constants) => Load(XdpObject.Image, constants, constants => constants);

    public static Ip6Addr Ip6(IpAddress address)
    {
        var value = default(Ip6Addr);
        address.WriteBytes(value.Bytes);
        return value;
    }

    private T Common<T>(T constants)
        where T : unmanaged, INodeConstants
    {
        constants.UplinkIfindex = UplinkInterface;
        constants.TunnelIfindex = TunnelMode ? Tunnel : 0;
        constants.TraceAggregation = (byte)Aggregation;
        return (T)Edge.Apply(constants);
    }

    private BpfObject Load<T>(BpfObjectImage image, T constants, Func<T, T> adjust)
        where T : unmanaged, IBpfConstants
    {
        BpfObject loaded = image.Open();
        _objects.Add(loaded);
        loaded.SetConstants(adjust(constants));
        foreach (BpfMapSpec map in image.Maps.Values)
        {
            if (LargeMaps.Contains(map.Name))
                loaded.SetMaxEntries(map.Name, Connections);
            if (_maps.TryGetValue(map.Name, out BpfMap? shared))
                loaded.Reuse(map.Name, shared);
        }

        loaded.Load();
        foreach (string name in image.Maps.Keys.Where(name => !_maps.ContainsKey(name)))
            _maps[name] = loaded.Map(name);
        return loaded;
    }

    private void InstallShared()
    {
        BpfMap calls = BpfMap.Create(Maps.CiliumCallsPod.Spec);
        _owned.Add(calls);
        _maps[calls.Name] = calls;
        Shared.Program(PodObject.FromPod).SetTailCall(calls, (uint)PodCall.FromPod);
        Shared.Program(PodObject.ToPod).SetTailCall(calls, (uint)PodCall.ToPod);
    }

    private RingBufferReader OpenEvents()
    {
        var rings = new BpfMap[ProcessorSet.PossibleCount];
        for (int cpu = 0; cpu < rings.Length; cpu++)
        {
            rings[cpu] = BpfMap.Create(Maps.CiliumEvents.Spec.Inner! with { MaxEntries = 65536 });
            _owned.Add(rings[cpu]);
            _maps["cilium_events"].SetInner(BitConverter.GetBytes(cpu), rings[cpu]);
        }

        return new RingBufferReader(rings);
    }

    private void AddEndpoint(IpAddress address, Pod pod, EndpointFlags flags)
    {
        var info = new EndpointInfo { Ifindex = pod.Interface, Identity = pod.Identity, Id = pod.Id, Flags = (ushort)flags };
        Convert.FromHexString(pod.Mac).CopyTo((Span<byte>)info.Mac.Bytes);
        Convert.FromHexString(pod.NodeMac).CopyTo((Span<byte>)info.NodeMac.Bytes);
        WriteEndpoint(address, info);
    }

    private void WriteEndpoint(IpAddress address, in EndpointInfo info)
    {
        if (address.IsV6)
            Map(Maps.CiliumLxc6).Update(new Endpoint6Key { Addr = Ip6(address) }, info);
        else
            Map(Maps.CiliumLxc).Update(new Endpoint4Key { Addr = (uint)address.Number }, info);
    }

    private void WriteBackend(uint id, byte protocol, string endpoint)
    {
        (IpAddress address, ushort port) = Packet.Endpoint(endpoint);
        if (address.IsV6)
            Map(Maps.CiliumLb6BackendsV3).Update(new LbBackendKey { Id = id }, new Lb6Backend { Addr = Ip6(address), Port = port, Protocol = protocol });
        else
            Map(Maps.CiliumLb4BackendsV3).Update(new LbBackendKey { Id = id }, new Lb4Backend { Addr = (uint)address.Number, Port = port, Protocol = protocol });
    }

    private void WriteSlot(IpAddress address, ushort port, ushort slot, byte protocol, in LbService service)
    {
        if (address.IsV6)
            Map(Maps.CiliumLb6ServicesV2).Update(new Lb6Key { Addr = Ip6(address), Port = port, Slot = slot, Protocol = protocol }, service);
        else
            Map(Maps.CiliumLb4ServicesV2).Update(new Lb4Key { Addr = (uint)address.Number, Port = port, Slot = slot, Protocol = protocol }, service);
    }
}
