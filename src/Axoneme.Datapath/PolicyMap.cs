// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath;

/// <summary>A policy map of the kernel, and who has it. Disposing closes it; slots and pins keep it alive.</summary>
internal sealed class PolicyMap : IDisposable
{
    private readonly BpfMap<PolicyKey, PolicyEntry> _map;

    private PolicyMap(BpfMap map) => _map = map.As<PolicyKey, PolicyEntry>();

    public BpfMap Kernel => _map.Map;

    public uint Id => _map.Map.Id;

    /// <summary>In entries.</summary>
    public uint Capacity => _map.Map.Spec.MaxEntries;

    /// <summary>Whose slots have it.</summary>
    public HashSet<ushort> Endpoints { get; } = [];

    /// <summary>Whose pins have it.</summary>
    public HashSet<ushort> Pins { get; } = [];

    /// <summary>What this process wrote, as long as nothing suggests that the kernel has something else; null when that is not known.</summary>
    public PolicyMapEntryCollection? Contents { get; private set; }

    /// <summary>The map with this id.</summary>
    public static PolicyMap Open(uint id) => new(BpfMap.OpenById(id));

    /// <summary>A new map, filled, which nobody has yet.</summary>
    public static PolicyMap Create(BpfMapSpec spec, PolicyMapEntryCollection contents)
    {
        var map = new PolicyMap(BpfMap.Create(spec));
        try
        {
            map.Write(contents.Values);
            map.Contents = contents;
            return map;
        }
        catch
        {
            map.Dispose();
            throw;
        }
    }

    public static PolicyMapEntryCollection Read(BpfMap<PolicyKey, PolicyEntry> map)
        => PolicyMapEntryCollection.Of(map.Entries().Select(e => PolicyCodec.Decode(e.Key, e.Value)));

    /// <summary>What the kernel has; the instance that was written, if that is still what it has.</summary>
    public PolicyMapEntryCollection ReadAgain()
    {
        PolicyMapEntryCollection actual = Read(_map);
        if (Contents is { } written && written.HasSameEntries(actual))
            return written;
        Contents = null;
        return actual;
    }

    /// <summary>
    /// Writes what is new, and returns what is to be deleted after that. Null where old and new together would not fit: old kernels replace no entry
    /// of a full trie.
    /// </summary>
    public IReadOnlyList<PolicyKey>? TryWrite(PolicyMapEntryCollection contents)
    {
        // Reading a trie back costs a system call an entry; the way from what we wrote ourselves is known.
        (List<PolicyMapEntry> upserts, List<PolicyMapKey> deletes) = contents.Since(Contents ?? Read(_map));
        if (upserts.Count > 0 && contents.Count + deletes.Count >= Capacity)
            return null;
        if (upserts.Count == 0 && deletes.Count == 0)
        {
            Contents = contents;
            return [];
        }

        Contents = null;
        Write(upserts);
        return deletes.ConvertAll(PolicyCodec.Encode);
    }

    /// <summary>The second half of <see cref="TryWrite"/>.</summary>
    public void Delete(IReadOnlyList<PolicyKey> stale, PolicyMapEntryCollection contents)
    {
        _map.DeleteBatch(stale as PolicyKey[] ?? [.. stale]);
        Contents = contents;
    }

    public void Dispose() => _map.Dispose();

    private void Write(IEnumerable<PolicyMapEntry> entries)
    {
        PolicyMapEntry[] all = [.. entries];
        var keys = new PolicyKey[all.Length];
        var values = new PolicyEntry[all.Length];
        for (int i = 0; i < all.Length; i++)
            (keys[i], values[i]) = (PolicyCodec.Encode(all[i].Key), PolicyCodec.Encode(all[i]));
        _map.UpdateBatch(keys, values);
    }
}
