// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>
/// The maps of one kind of policy: one for each endpoint, in the endpoint's slot of an array, and pinned under a name of its own.
/// </summary>
/// <param name="array">Array of maps by endpoint id.</param>
/// <param name="prefix">Of the pins' names; the endpoint's id in five digits comes behind it.</param>
internal sealed class PolicySlots(DatapathMaps maps, BpfMap array, string prefix)
{
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
    public ImmutableDictionary<PolicyMapKey, PolicyMapEntry>? Read(ushort endpointId)
    {
        using BpfMap? pinned = BpfMap.TryOpenPinned(PathOf(endpointId));
        uint slot = endpointId;
        using BpfMap? used = array.TryOpenInner(MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in slot)));
        if (pinned is null || used is null || pinned.Id != used.Id)
            return null;
        using BpfMap<PolicyKey, PolicyEntry> map = BpfMap.OpenById(used.Id).As<PolicyKey, PolicyEntry>();
        return map.Entries().Select(e => PolicyCodec.Decode(e.Key, e.Value)).ToImmutableDictionary(e => e.Key);
    }

    /// <summary>Whether the endpoint's map has room for as many entries as is configured.</summary>
    public bool IsOfConfiguredSize(ushort endpointId)
    {
        using BpfMap? pinned = BpfMap.TryOpenPinned(PathOf(endpointId));
        return pinned?.Spec.MaxEntries == maps.PolicyEntries;
    }

    /// <summary>Writes what is new; what is to go stays until the map is in its slot.</summary>
    /// <param name="before">What the map has if it is in its slot; null if that is not known.</param>
    public PreparedSlot Prepare(
        ushort endpointId, ImmutableDictionary<PolicyMapKey, PolicyMapEntry>? before, ImmutableDictionary<PolicyMapKey, PolicyMapEntry> after)
    {
        BpfMapSpec spec = SpecOf(endpointId);
        BpfMap<PolicyKey, PolicyEntry> map = OpenOrReplace(spec, PathOf(endpointId)).As<PolicyKey, PolicyEntry>();
        try
        {
            bool isInSlot = IsInSlot(endpointId, map.Map);
            (Dictionary<PolicyKey, PolicyEntry> upserts, List<PolicyKey> stale) =
                before is not null && isInSlot ? Compare(before, after) : Compare(map, after);
            // Old and new entries together may not fit where either does, and old kernels replace no entry of a full trie.
            if (upserts.Count > 0 && after.Count + stale.Count >= maps.PolicyEntries)
            {
                map.Dispose();
                map = Renew(spec, PathOf(endpointId)).As<PolicyKey, PolicyEntry>();
                (upserts, stale, isInSlot) = (after.Values.ToDictionary(e => PolicyCodec.Encode(e.Key), PolicyCodec.Encode), [], false);
            }

            map.UpdateBatch(upserts.Keys.ToArray(), upserts.Values.ToArray());
            return new PreparedSlot(endpointId, map, stale, NeedsSlot: !isInSlot);
        }
        catch
        {
            map.Dispose();
            throw;
        }
    }

    /// <summary>Makes a map for the endpoint, empty, if there is none in its slot.</summary>
    public void Ensure(ushort endpointId)
    {
        using BpfMap map = OpenOrReplace(SpecOf(endpointId), PathOf(endpointId));
        if (!IsInSlot(endpointId, map))
            array.SetInner([(uint)endpointId], [map]);
    }

    /// <summary>Puts new maps into their slots: the array waits for all readers once a call, not once a map.</summary>
    public void Install(IEnumerable<PreparedSlot> prepared)
    {
        PreparedSlot[] unslotted = [.. prepared.Where(p => p.NeedsSlot)];
        if (unslotted.Length > 0)
            array.SetInner([.. unslotted.Select(p => (uint)p.EndpointId)], [.. unslotted.Select(p => p.Map.Map)]);
    }

    /// <summary>Idempotent.</summary>
    public void Remove(ushort endpointId)
    {
        uint slot = endpointId;
        array.TryDelete(MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in slot)));
        File.Delete(PathOf(endpointId));
    }

    // Reading a trie back costs a system call an entry; between two versions that we wrote ourselves the difference is known.
    private static (Dictionary<PolicyKey, PolicyEntry> Upserts, List<PolicyKey> Stale) Compare(
        ImmutableDictionary<PolicyMapKey, PolicyMapEntry> before, ImmutableDictionary<PolicyMapKey, PolicyMapEntry> after)
    {
        var upserts = new Dictionary<PolicyKey, PolicyEntry>();
        foreach ((PolicyMapKey key, PolicyMapEntry entry) in after)
        {
            if (!before.TryGetValue(key, out PolicyMapEntry? old) || old != entry)
                upserts[PolicyCodec.Encode(key)] = PolicyCodec.Encode(entry);
        }

        return (upserts, [.. before.Keys.Where(key => !after.ContainsKey(key)).Select(PolicyCodec.Encode)]);
    }

    private static (Dictionary<PolicyKey, PolicyEntry> Upserts, List<PolicyKey> Stale) Compare(
        BpfMap<PolicyKey, PolicyEntry> map, ImmutableDictionary<PolicyMapKey, PolicyMapEntry> after)
    {
        Dictionary<PolicyKey, PolicyEntry> upserts = after.Values.ToDictionary(e => PolicyCodec.Encode(e.Key), PolicyCodec.Encode);
        var stale = new List<PolicyKey>();
        foreach ((PolicyKey key, PolicyEntry entry) in map.Entries())
        {
            if (!upserts.TryGetValue(key, out PolicyEntry want))
                stale.Add(key);
            else if (want == entry)
                upserts.Remove(key);
        }

        return (upserts, stale);
    }

    private BpfMapSpec SpecOf(ushort endpointId)
        => (array.Spec.Inner ?? Maps.CiliumPolicyMaps.Spec.Inner!) with { Name = $"cilium_policy_v2_{endpointId:D5}", MaxEntries = maps.PolicyEntries };

    private bool IsInSlot(uint slot, BpfMap map)
    {
        Span<uint> id = stackalloc uint[1];
        return array.TryLookup(MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in slot)), MemoryMarshal.AsBytes(id)) && id[0] == map.Id;
    }

    private static BpfMap OpenOrReplace(BpfMapSpec spec, string path)
    {
        try
        {
            return BpfMap.OpenOrCreatePinned(spec, path);
        }
        catch (BpfMapMismatchException)
        {
            return Renew(spec, path);
        }
    }

    // The programs use the old map until the new one, complete, takes its slot.
    private static BpfMap Renew(BpfMapSpec spec, string path)
    {
        File.Delete(path);
        return BpfMap.OpenOrCreatePinned(spec, path);
    }
}

/// <summary>A map with what is new in it, before it takes its slot.</summary>
/// <param name="Stale">To be deleted when it has.</param>
internal sealed record PreparedSlot(ushort EndpointId, BpfMap<PolicyKey, PolicyEntry> Map, List<PolicyKey> Stale, bool NeedsSlot)
{
    public void DeleteStale() => Map.DeleteBatch(CollectionsMarshal.AsSpan(Stale));
}
