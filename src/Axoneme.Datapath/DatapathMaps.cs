// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath;

/// <summary>
/// The pinned maps that all programs of a node share. An agent opens or creates them (<see cref="OpenOrCreate"/>); a command line or
/// a test opens what is there (<see cref="OpenPinned"/>).
/// </summary>
public sealed class DatapathMaps : IDisposable
{
    // The suffix under which a map that does not fit any more is kept, for whoever wants to look at it; the next one replaces it.
    private const string AsideSuffix = "_old";

    private readonly Dictionary<string, BpfMap> _maps = [];
    private MapMigration? _migration;

    private DatapathMaps(DatapathPaths paths) => Paths = paths;

    public DatapathPaths Paths { get; }

    public BpfMap<Ct4Key, CtEntry> Ct4 => field ??= View(Maps.CiliumCt4Global);

    public BpfMap<Ct6Key, CtEntry> Ct6 => field ??= View(Maps.CiliumCt6Global);

    public BpfMap<Ipcache4Key, IpcacheInfo> Ipcache4 => field ??= View(Maps.CiliumIpcacheExact);

    public BpfMap<Ipcache6Key, IpcacheInfo> Ipcache6 => field ??= View(Maps.CiliumIpcache6Exact);

    public BpfMap<Ipcache4Prefix, IpcacheInfo> IpcachePrefixes4 => field ??= View(Maps.CiliumIpcacheV2);

    public BpfMap<Ipcache6Prefix, IpcacheInfo> IpcachePrefixes6 => field ??= View(Maps.CiliumIpcache6V2);

    public BpfMap<Endpoint4Key, EndpointInfo> Endpoints4 => field ??= View(Maps.CiliumLxc);

    public BpfMap<Endpoint6Key, EndpointInfo> Endpoints6 => field ??= View(Maps.CiliumLxc6);

    /// <summary>Settings by endpoint id; without identity where there is no endpoint.</summary>
    public BpfMap<uint, EndpointSettings> EndpointSettings => field ??= View(Maps.CiliumEndpointSettings);

    /// <summary>Ids of the programs that all endpoints share, by <see cref="PodCall"/>.</summary>
    public BpfMap<uint, uint> PodCalls => field ??= View(Maps.CiliumCallsPod);

    public BpfMap<Lb4Key, LbService> Services4 => field ??= View(Maps.CiliumLb4ServicesV2);

    public BpfMap<Lb6Key, LbService> Services6 => field ??= View(Maps.CiliumLb6ServicesV2);

    public BpfMap<LbBackendKey, Lb4Backend> Backends4 => field ??= View(Maps.CiliumLb4BackendsV3);

    public BpfMap<LbBackendKey, Lb6Backend> Backends6 => field ??= View(Maps.CiliumLb6BackendsV3);

    public BpfMap<LbRevNatKey, Lb4RevNat> ReverseNat4 => field ??= View(Maps.CiliumLb4ReverseNat);

    public BpfMap<LbRevNatKey, Lb6RevNat> ReverseNat6 => field ??= View(Maps.CiliumLb6ReverseNat);

    /// <summary>The backends of services with session affinity, by service number.</summary>
    public BpfMap<LbAffinityMatch, byte> AffinityMatches => field ??= View(Maps.CiliumLbAffinityMatch);

    public BpfMap<LbAffinityKey, LbAffinity> Affinity4 => field ??= View(Maps.CiliumLb4Affinity);

    public BpfMap<LbAffinityKey, LbAffinity> Affinity6 => field ??= View(Maps.CiliumLb6Affinity);

    public BpfMap<Lb4SourceRange, byte> SourceRanges4 => field ??= View(Maps.CiliumLb4SourceRange);

    public BpfMap<Lb6SourceRange, byte> SourceRanges6 => field ??= View(Maps.CiliumLb6SourceRange);

    /// <summary>Maglev tables by service number; a lookup gives the table's id.</summary>
    public BpfMap<LbRevNatKey, uint> Maglev4 => field ??= View(Maps.CiliumLb4Maglev);

    public BpfMap<LbRevNatKey, uint> Maglev6 => field ??= View(Maps.CiliumLb6Maglev);

    public BpfMap<Lb4SkipKey, byte> Skipped4 => field ??= View(Maps.CiliumSkipLb4);

    public BpfMap<Lb6SkipKey, byte> Skipped6 => field ??= View(Maps.CiliumSkipLb6);

    public BpfMap<Nat4Key, Nat4Entry> Nat4 => field ??= View(Maps.CiliumSnatV4External);

    public BpfMap<Nat6Key, Nat6Entry> Nat6 => field ??= View(Maps.CiliumSnatV6External);

    /// <summary>By tries: how many connections needed so many more ports; the last element counts those that got none.</summary>
    public BpfPerCpuMap<uint, uint> NatRetries4 => field ??= this[Maps.CiliumSnatV4AllocRetries.Spec.Name].AsPerCpu<uint, uint>();

    public BpfPerCpuMap<uint, uint> NatRetries6 => field ??= this[Maps.CiliumSnatV6AllocRetries.Spec.Name].AsPerCpu<uint, uint>();

    public BpfMap<Masq4Prefix, byte> MasqueradeExceptions4 => field ??= View(Maps.CiliumIpmasqV4);

    public BpfMap<Masq6Prefix, byte> MasqueradeExceptions6 => field ??= View(Maps.CiliumIpmasqV6);

    /// <summary>The devices that lead out of the node, by index.</summary>
    public BpfMap<uint, DeviceInfo> Devices => field ??= View(Maps.CiliumDevices);

    public BpfMap<uint, PolicyState> PolicyStates => field ??= View(Maps.CiliumPolicyState);

    public BpfPerCpuMap<uint, Metric> Metrics => field ??= this[Maps.CiliumMetrics.Spec.Name].AsPerCpu<uint, Metric>();

    public BpfPerCpuMap<uint, ulong> LostEvents => field ??= this[Maps.CiliumEventsLost.Spec.Name].AsPerCpu<uint, ulong>();

    /// <summary>Array of policy maps by endpoint id.</summary>
    public BpfMap PolicyMaps => this[Maps.CiliumPolicyMaps.Spec.Name];

    /// <summary>Likewise, of the policies on trial.</summary>
    public BpfMap ShadowPolicyMaps => this[Maps.CiliumPolicyShadow.Spec.Name];

    /// <summary>Entries that each endpoint's policy map is to have.</summary>
    public uint PolicyEntries { get; private init; } = Maps.CiliumPolicyMaps.Spec.Inner!.MaxEntries;

    /// <summary>Array of ring buffers by processor.</summary>
    public BpfMap Events => this[Maps.CiliumEvents.Spec.Name];

    /// <summary>The map of that name.</summary>
    public BpfMap this[string name]
        => _maps.TryGetValue(name, out BpfMap? map) ? map : throw new InvalidOperationException($"map {name} is not pinned in {Paths.Maps}");

    /// <summary>Whether programs of running endpoints still work on maps that were replaced; adopting the endpoints ends that.</summary>
    internal bool HasReplacedCalls { get; private set; }

    /// <summary>
    /// Opens every declared map, or creates it. One of another size, with other flags or of a layout that can be converted is replaced with its
    /// entries (<see cref="MapMigration"/>); any other is set aside under its name with "_old", and the report says in what it differed. Programs
    /// in the array of shared programs are tied to the maps they were loaded with, so it is replaced with a map that was set aside: the programs
    /// of running endpoints go on with what they know until each endpoint is adopted.
    /// </summary>
    public static DatapathMaps OpenOrCreate(
        DatapathPaths paths, ImmutableDictionary<string, uint> sizes, DatapathReport report, bool distributedLru = false)
        => OpenOrCreate(paths, spec => Adjust(spec, sizes, distributedLru), report, new MapMigration(paths, MapLayouts.Changes, report));

    internal static DatapathMaps OpenOrCreate(
        DatapathPaths paths, Func<BpfMapSpec, BpfMapSpec> adjust, DatapathReport report, MapMigration migration)
    {
        ArgumentNullException.ThrowIfNull(paths);
        ArgumentNullException.ThrowIfNull(report);
        Directory.CreateDirectory(paths.Maps);
        BpfMapSpec policy = adjust(Maps.CiliumPolicyMaps.Spec.Inner! with { Name = MapSizing.PolicyMaps });
        var maps = new DatapathMaps(paths) { _migration = migration, PolicyEntries = policy.MaxEntries };
        try
        {
            BpfMapSpec calls = Maps.CiliumCallsPod.Spec;
            foreach (BpfMapSpec spec in Maps.All.Where(m => m.PinByName && m != calls).Select(adjust))
                maps._maps[spec.Name] = maps.OpenOrReplace(spec, paths.Map(spec.Name), report);
            if (maps.HasReplacedCalls && File.Exists(paths.Map(calls.Name)))
                SetAside(calls.Name, paths.Map(calls.Name), report, "its programs work on other maps");
            maps._maps[calls.Name] = maps.OpenOrReplace(calls, paths.Map(calls.Name), report);
            maps.CreateRings();
            return maps;
        }
        catch
        {
            maps.Dispose();
            throw;
        }
    }

    /// <summary>Adds what came into replaced maps since they were copied; shortly before new programs take over.</summary>
    internal void CopyRest() => _migration?.CopyRest();

    /// <summary>Adds the rest and lets go of the replaced maps, when no program works on them any more.</summary>
    internal void FinishMigration() => _migration?.Finish();

    /// <summary>Opens the maps that are pinned; those that are not fail when they are used.</summary>
    public static DatapathMaps OpenPinned(DatapathPaths paths)
    {
        ArgumentNullException.ThrowIfNull(paths);
        var maps = new DatapathMaps(paths);
        foreach (BpfMapSpec spec in Maps.All)
        {
            if (BpfMap.TryOpenPinned(paths.Map(spec.Name)) is { } map)
                maps._maps[spec.Name] = map;
        }

        return maps;
    }

    /// <summary>Makes an object use these maps instead of its own.</summary>
    public void Reuse(BpfObject target, BpfObjectImage image)
    {
        ArgumentNullException.ThrowIfNull(target);
        ArgumentNullException.ThrowIfNull(image);
        foreach (BpfMapSpec spec in image.Maps.Values.Where(m => m.PinByName))
        {
            BpfMap map = this[spec.Name];
            if (map.Spec.MaxEntries != spec.MaxEntries)
                target.SetMaxEntries(spec.Name, map.Spec.MaxEntries);
            if (map.Spec.Flags != spec.Flags)
                target.SetMapFlags(spec.Name, map.Spec.Flags);
            target.Reuse(spec.Name, map);
        }
    }

    public void Dispose()
    {
        foreach (BpfMap map in _maps.Values)
            map.Dispose();
    }

    private static BpfMapSpec Adjust(BpfMapSpec declared, ImmutableDictionary<string, uint> sizes, bool distributedLru)
    {
        bool isLru = declared.Type is BpfMapType.LruHash or BpfMapType.LruPerCpuHash;
        return declared with
        {
            MaxEntries = sizes.GetValueOrDefault(declared.Name, declared.MaxEntries),
            Flags = isLru && distributedLru ? declared.Flags | BpfMapFlags.NoCommonLru : declared.Flags,
        };
    }

    private BpfMap OpenOrReplace(BpfMapSpec spec, string path, DatapathReport report)
    {
        bool existed = File.Exists(path);
        try
        {
            BpfMap map = BpfMap.OpenOrCreatePinned(spec, path);
            if (existed)
                report.AddAdopted($"map {spec.Name}");
            else
                report.AddCreated($"map {spec.Name}");
            return map;
        }
        catch (BpfMapMismatchException e)
        {
            if (!_migration!.TryReplace(spec, path, e.Differences))
            {
                SetAside(spec.Name, path, report, string.Join("; ", e.Differences));
                HasReplacedCalls = true;
            }

            return BpfMap.OpenOrCreatePinned(spec, path);
        }
    }

    private static void SetAside(string name, string path, DatapathReport report, string reason)
    {
        File.Delete(path + AsideSuffix);
        File.Move(path, path + AsideSuffix);
        report.AddRepaired($"map {name} was replaced: {reason}");
    }

    private void CreateRings()
    {
        BpfMapSpec ring = Maps.CiliumEvents.Spec.Inner! with { Name = "cilium_ring" };
        int processors = Math.Min(ProcessorSet.PossibleCount, (int)Events.Spec.MaxEntries);
        for (uint cpu = 0; cpu < processors; cpu++)
        {
            ReadOnlySpan<byte> key = MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in cpu));
            using BpfMap? existing = Events.TryOpenInner(key);
            if (existing is not null)
                continue;
            using BpfMap created = BpfMap.Create(ring);
            Events.SetInner(key, created);
        }
    }

    // Views share the descriptor of the map in the dictionary, which owns it.
    private BpfMap<TKey, TValue> View<TKey, TValue>(BpfMapDescriptor<TKey, TValue> descriptor)
        where TKey : unmanaged
        where TValue : unmanaged
        => this[descriptor.Spec.Name].As<TKey, TValue>();
}
