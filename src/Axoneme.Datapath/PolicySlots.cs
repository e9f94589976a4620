// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath;

/// <summary>
/// The maps of one kind of policy. Each endpoint has a slot of an array and a pin of its own; those with one policy have the same map behind
/// both.
/// </summary>
/// <remarks>
/// A map is written only for all of its endpoints together: one that goes another way gets another map first. Who has which map, the slots say,
/// which are the programs' truth; a pin is set before its slot, so that after a crash every map in a slot belongs to an endpoint that has a pin.
/// </remarks>
/// <param name="maps">Of the node.</param>
/// <param name="array">Array of maps by endpoint id.</param>
/// <param name="prefix">Of the pins' names; the endpoint's id in five digits comes behind it.</param>
internal sealed class PolicySlots(DatapathMaps maps, BpfMap array, string prefix)
{
    // Of a pin that has not yet taken the place of the one before.
    private const string NewSuffix = "_new";

    // As the slots were when this process last looked; null before. What the programs use is looked up again before a map is written.
    private Dictionary<ushort, PolicyMap>? _slots;

    public string PathOf(ushort endpointId) => maps.Paths.Map($"{prefix}{endpointId:D5}");

    /// <summary>Endpoints that have a map.</summary>
    public IEnumerable<ushort> Pinned()
    {
        foreach (string path in Directory.EnumerateFiles(maps.Paths.Maps, prefix + "*"))
        {
            if (ushort.TryParse(Path.GetFileName(path.AsSpan())[prefix.Length..], out ushort endpoint))
                yield return endpoint;
        }
    }

    /// <summary>The entries as the kernel has them; null when the endpoint has no map, or one that is not in its slot.</summary>
    public PolicyMapEntryCollection? Read(ushort endpointId)
    {
        using BpfMap? pinned = BpfMap.TryOpenPinned(PathOf(endpointId));
        if (pinned is null || pinned.Id != SlotOf(endpointId))
            return null;
        using BpfMap<PolicyKey, PolicyEntry> map = BpfMap.OpenById(pinned.Id).As<PolicyKey, PolicyEntry>();
        return PolicyMap.Read(map);
    }

    /// <summary>
    /// What all endpoints have, each map read once. What this process believes of the maps is then as they are. Endpoints whose map is of another
    /// size than configured are left out: what replaces it is filled before it takes the slot.
    /// </summary>
    public Dictionary<ushort, PolicyMapEntryCollection> ReadAll()
    {
        Forget();
        var all = new Dictionary<ushort, PolicyMapEntryCollection>();
        foreach ((ushort endpoint, PolicyMap map) in Slots())
        {
            if (map.Pins.Contains(endpoint) && map.Capacity == maps.PolicyEntries)
                all[endpoint] = map.ReadAgain();
        }

        return all;
    }

    /// <summary>
    /// Writes what is new into the map of endpoints that are to have the same; what is to go stays until the map is in all their slots.
    /// </summary>
    /// <exception cref="SystemCallException">The kernel refused; the maps may hold a part of what is new.</exception>
    public PreparedMap Prepare(IReadOnlyCollection<ushort> endpoints, PolicyMapEntryCollection contents)
    {
        PolicyMap? present = Find(endpoints, contents);
        IReadOnlyList<PolicyKey>? stale = present?.TryWrite(contents);
        PolicyMap map = stale is null ? PolicyMap.Create(Spec, contents) : present!;
        // From here on nobody else may have it changed.
        map.Endpoints.UnionWith(endpoints);
        ushort[] unslotted = [.. endpoints.Where(endpoint => SlotOf(endpoint) != map.Id)];
        foreach (ushort endpoint in endpoints.Where(endpoint => !map.Pins.Contains(endpoint)).Union(unslotted))
            Pin(endpoint, map);
        return new PreparedMap(map, contents, stale ?? [], unslotted);
    }

    /// <summary>Puts maps into the slots that lack them: the array waits for all readers once a call, not once a map.</summary>
    public void Install(IEnumerable<PreparedMap> prepared)
    {
        (ushort Endpoint, PolicyMap Map)[] missing = [.. prepared.SelectMany(p => p.Unslotted.Select(endpoint => (endpoint, p.Map)))];
        if (missing.Length == 0)
            return;
        array.SetInner([.. missing.Select(m => (uint)m.Endpoint)], [.. missing.Select(m => m.Map.Kernel)]);
        foreach ((ushort endpoint, PolicyMap map) in missing)
            Move(endpoint, map);
    }

    /// <summary>Makes a map for the endpoint, empty, if there is none in its slot.</summary>
    public void Ensure(ushort endpointId)
    {
        if (Slots().TryGetValue(endpointId, out PolicyMap? present) && present.Id == SlotOf(endpointId))
            return;
        PolicyMap map = PolicyMap.Create(Spec, PolicyMapEntryCollection.Empty);
        Pin(endpointId, map);
        Install([new PreparedMap(map, PolicyMapEntryCollection.Empty, [], [endpointId])]);
    }

    /// <summary>Whether the endpoint has a map.</summary>
    public bool Has(ushort endpointId) => Slots().ContainsKey(endpointId);

    /// <summary>Idempotent.</summary>
    public void Remove(ushort endpointId)
    {
        uint slot = endpointId;
        array.TryDelete(MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in slot)));
        File.Delete(PathOf(endpointId));
        if (_slots is null || !_slots.Remove(endpointId, out PolicyMap? map))
            return;
        map.Endpoints.Remove(endpointId);
        map.Pins.Remove(endpointId);
        DisposeIfUnused(map);
    }

    private BpfMapSpec Spec
        => (array.Spec.Inner ?? Maps.CiliumPolicyMaps.Spec.Inner!) with { Name = prefix.TrimEnd('_'), MaxEntries = maps.PolicyEntries };

    /// <summary>
    /// A map to write to: best the one that has it all, else one that only these endpoints have. Null when each is somebody else's as well.
    /// </summary>
    private PolicyMap? Find(IReadOnlyCollection<ushort> endpoints, PolicyMapEntryCollection contents)
    {
        Dictionary<ushort, PolicyMap> slots = Slots();
        if (slots.Values.FirstOrDefault(map => ReferenceEquals(map.Contents, contents) && map.Capacity == maps.PolicyEntries) is { } same)
            return same;
        HashSet<ushort> group = [.. endpoints];
        return endpoints
            .Select(endpoint => slots.GetValueOrDefault(endpoint))
            .OfType<PolicyMap>()
            .Distinct()
            .Where(map => map.Capacity == maps.PolicyEntries && map.Endpoints.IsSubsetOf(group) && map.Endpoints.All(e => SlotOf(e) == map.Id))
            .MaxBy(map => (map.Contents is not null, map.Endpoints.Count));
    }

    // An old map keeps its pin until the new one, complete, takes it: an endpoint is never without.
    private void Pin(ushort endpointId, PolicyMap map)
    {
        string path = PathOf(endpointId);
        File.Delete(path + NewSuffix);
        map.Kernel.Pin(path + NewSuffix);
        File.Move(path + NewSuffix, path, overwrite: true);
        if (_slots?.GetValueOrDefault(endpointId) is { } before)
            before.Pins.Remove(endpointId);
        map.Pins.Add(endpointId);
    }

    private void Move(ushort endpointId, PolicyMap map)
    {
        Dictionary<ushort, PolicyMap> slots = Slots();
        if (slots.TryGetValue(endpointId, out PolicyMap? before) && before != map)
        {
            before.Endpoints.Remove(endpointId);
            before.Pins.Remove(endpointId);
            DisposeIfUnused(before);
        }

        slots[endpointId] = map;
        map.Endpoints.Add(endpointId);
    }

    private static void DisposeIfUnused(PolicyMap map)
    {
        if (map.Endpoints.Count == 0)
            map.Dispose();
    }

    private uint SlotOf(uint endpointId)
    {
        Span<uint> id = stackalloc uint[1];
        return array.TryLookup(MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in endpointId)), MemoryMarshal.AsBytes(id)) ? id[0] : 0;
    }

    // Keeps the maps themselves, which know what was written to them, and asks the kernel anew who has them.
    private void Forget()
    {
        if (_slots is null)
            return;
        Dictionary<uint, PolicyMap> known = _slots.Values.Distinct().ToDictionary(map => map.Id);
        _slots = Scan(known);
        foreach (PolicyMap map in known.Values)
            DisposeIfUnused(map);
    }

    private Dictionary<ushort, PolicyMap> Slots() => _slots ??= Scan([]);

    private Dictionary<ushort, PolicyMap> Scan(Dictionary<uint, PolicyMap> known)
    {
        foreach (PolicyMap map in known.Values)
        {
            map.Endpoints.Clear();
            map.Pins.Clear();
        }

        var slots = new Dictionary<ushort, PolicyMap>();
        foreach (ushort endpoint in Pinned())
        {
            uint id = SlotOf(endpoint);
            if (id == 0)
                continue;
            ref PolicyMap? map = ref CollectionsMarshal.GetValueRefOrAddDefault(known, id, out _);
            map ??= PolicyMap.Open(id);
            slots[endpoint] = map;
            map.Endpoints.Add(endpoint);
            using BpfMap? pinned = BpfMap.TryOpenPinned(PathOf(endpoint));
            if (pinned?.Id == id)
                map.Pins.Add(endpoint);
        }

        return slots;
    }
}

/// <summary>A map with what is new in it, before it is in all slots of those who are to have it.</summary>
/// <param name="Contents">What it has when <paramref name="Stale"/> is deleted.</param>
/// <param name="Stale">To be deleted when it is.</param>
/// <param name="Unslotted">Endpoints whose slots have something else.</param>
internal sealed record PreparedMap(PolicyMap Map, PolicyMapEntryCollection Contents, IReadOnlyList<PolicyKey> Stale, IReadOnlyList<ushort> Unslotted)
{
    public void DeleteStale() => Map.Delete(Stale, Contents);
}
