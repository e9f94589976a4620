// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Bpf;
using Axoneme.Linux;

namespace Axoneme.Datapath;

/// <summary>Turns an entry of an older layout into one of this agent's; false leaves the entry behind.</summary>
/// <param name="newKey">Zeroed; as long as the new map's keys.</param>
/// <param name="newValue">Zeroed; as long as the new map's values.</param>
public delegate bool MapEntryConverter(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, Span<byte> newKey, Span<byte> newValue);

/// <summary>An older layout of a map that can be converted.</summary>
/// <param name="Map">The map's name.</param>
/// <param name="KeySize">Bytes of the older key.</param>
/// <param name="ValueSize">Bytes of the older value.</param>
public sealed record MapLayoutChange(string Map, int KeySize, int ValueSize, MapEntryConverter Convert);

/// <summary>
/// Moves the entries of pinned maps into maps of another size, with other flags or of another layout, while programs work on them:
/// <list type="number">
/// <item>the new map is made beside the old one (NAME_next) and gets all entries;</item>
/// <item>the old map gets a second pin (NAME_fromN), and the new one takes its name in one step;</item>
/// <item>when the new programs are loaded, and again when they have taken over, what came into the old map meanwhile is added; what the new one
/// has already is newer and stays;</item>
/// <item>the old map's pin goes.</item>
/// </list>
/// Pins say how far it got, so an agent that is killed at any line is followed by one that goes on: a NAME_next is made anew, a NAME_fromN is
/// still to be added.
/// </summary>
internal sealed class MapMigration(DatapathPaths paths, IReadOnlyList<MapLayoutChange> layouts, DatapathReport report)
{
    private const string NextSuffix = "_next";
    private const string FromSuffix = "_from";

    /// <summary>Called with what was just done; a test interrupts there.</summary>
    internal Action<string>? Checkpoint { get; init; }

    /// <summary>Whether an old map has yet to be added to the one that took its name.</summary>
    public bool IsPending => Directory.EnumerateFiles(paths.Maps).Any(IsSource);

    /// <summary>
    /// Makes a map that fits take the place of the one that is pinned; false when its entries cannot be carried over.
    /// </summary>
    public bool TryReplace(BpfMapSpec spec, string path, IReadOnlyList<string> differences)
    {
        using BpfMap old = BpfMap.OpenPinned(path);
        if (!CanCopy(old, spec))
            return false;
        string nextPath = path + NextSuffix;
        File.Delete(nextPath);
        using BpfMap next = BpfMap.OpenOrCreatePinned(spec, nextPath);
        Checkpoint?.Invoke("created");
        (long copied, long lost) = Copy(old, next);
        Checkpoint?.Invoke("copied");
        KeepSource(old, path);
        Checkpoint?.Invoke("kept");
        File.Move(nextPath, path, overwrite: true);
        Checkpoint?.Invoke("renamed");
        string loss = lost == 0 ? "" : $", {lost} had no room";
        report.AddRepaired($"map {spec.Name} was replaced with its {copied} entries{loss}: {string.Join("; ", differences)}");
        return true;
    }

    /// <summary>Adds to the maps in use what the old ones have besides. May be repeated.</summary>
    public void CopyRest()
    {
        foreach (string source in Directory.EnumerateFiles(paths.Maps).Where(IsSource).ToArray())
        {
            using BpfMap? old = BpfMap.TryOpenPinned(source);
            using BpfMap? map = BpfMap.TryOpenPinned(TargetOf(source));
            if (old is not null && map is not null && old.Id != map.Id && CanCopy(old, map.Spec with { Name = Path.GetFileName(TargetOf(source)) }))
                AddMissing(old, map);
        }
    }

    /// <summary>The last addition, after which the old maps go. All programs work on the new ones by now.</summary>
    public void Finish()
    {
        if (!IsPending)
            return;
        CopyRest();
        Checkpoint?.Invoke("added");
        foreach (string source in Directory.EnumerateFiles(paths.Maps).Where(IsSource).ToArray())
        {
            File.Delete(source);
            Checkpoint?.Invoke("unpinned");
        }
    }

    private static bool IsSource(string path)
    {
        string name = Path.GetFileName(path);
        int suffix = name.LastIndexOf(FromSuffix, StringComparison.Ordinal);
        return suffix > 0 && int.TryParse(name.AsSpan(suffix + FromSuffix.Length), out _);
    }

    private static string TargetOf(string source) => source[..source.LastIndexOf(FromSuffix, StringComparison.Ordinal)];

    /// <summary>An earlier run may have pinned it already, or have left another one that is yet to be added.</summary>
    private static void KeepSource(BpfMap old, string path)
    {
        for (int number = 0; ; number++)
        {
            string source = $"{path}{FromSuffix}{number}";
            using BpfMap? present = BpfMap.TryOpenPinned(source);
            if (present?.Id == old.Id)
                return;
            if (present is not null)
                continue;
            old.Pin(source);
            return;
        }
    }

    private bool CanCopy(BpfMap old, BpfMapSpec spec)
    {
        bool sameKind = Family(old.Spec.Type) != MapFamily.Other && Family(old.Spec.Type) == Family(spec.Type);
        bool sameLayout = old.Spec.KeySize == spec.KeySize && old.Spec.ValueSize == spec.ValueSize;
        return sameKind && (sameLayout || FindConverter(old, spec) is not null);
    }

    private MapEntryConverter? FindConverter(BpfMap old, BpfMapSpec spec)
        => layouts.FirstOrDefault(l => l.Map == spec.Name && l.KeySize == old.Spec.KeySize && l.ValueSize == old.Spec.ValueSize)?.Convert;

    private (long Copied, long Lost) Copy(BpfMap old, BpfMap map)
    {
        long copied = 0;
        long lost = 0;
        foreach (Chunk chunk in Read(old, map))
        {
            for (int start = 0; start < chunk.Count;)
            {
                int done = map.TryUpdateBatch(chunk.Keys(start), chunk.Values(start), out int errno);
                copied += done;
                start += done;
                if (errno == 0)
                    continue;
                lost++;
                start++;
            }
        }

        return (copied, lost);
    }

    // One at a time: a batch would stop at each entry that is there already.
    private void AddMissing(BpfMap old, BpfMap map)
    {
        foreach (Chunk chunk in Read(old, map))
        {
            for (int i = 0; i < chunk.Count; i++)
            {
                try
                {
                    map.TryUpdate(chunk.Keys(i)[..map.Spec.KeySize], chunk.Values(i)[..map.ValueLength], BpfUpdateMode.NoExist);
                }
                catch (SystemCallException e) when (e.Errno is Errno.E2BIG or Errno.ENOSPC or Errno.ENOMEM)
                {
                    // No room: it was counted when the maps were exchanged, or is one too many since.
                }
            }
        }
    }

    /// <summary>The entries as the new map wants them.</summary>
    private IEnumerable<Chunk> Read(BpfMap old, BpfMap map)
    {
        MapEntryConverter? convert = old.Spec.KeySize == map.Spec.KeySize && old.Spec.ValueSize == map.Spec.ValueSize
            ? null
            : FindConverter(old, map.Spec with { Name = map.Name.Replace(NextSuffix, "", StringComparison.Ordinal) });
        using var walk = new BpfMapWalk(old);
        while (walk.MoveNext())
        {
            var chunk = new Chunk(walk.Count, map.Spec.KeySize, map.ValueLength);
            for (int i = 0; i < walk.Count; i++)
            {
                Span<byte> key = chunk.NextKey();
                Span<byte> value = chunk.NextValue();
                if (old.Spec.Type == BpfMapType.HashOfMaps)
                {
                    if (!chunk.Hold(walk.Value(i), value))
                        continue;
                    walk.Key(i).CopyTo(key);
                }
                else if (convert is not null)
                {
                    if (!convert(walk.Key(i), walk.Value(i), key, value))
                        continue;
                }
                else
                {
                    walk.Key(i).CopyTo(key);
                    walk.Value(i).CopyTo(value);
                }

                chunk.Count++;
            }

            yield return chunk;
            chunk.Dispose();
        }
    }

    private static MapFamily Family(BpfMapType type) => type switch
    {
        BpfMapType.Hash or BpfMapType.LruHash => MapFamily.Hash,
        BpfMapType.LpmTrie => MapFamily.Trie,
        BpfMapType.HashOfMaps => MapFamily.Maps,
        _ => MapFamily.Other,
    };

    private enum MapFamily
    {
        Other,
        Hash,
        Trie,
        Maps,
    }

    /// <summary>Entries in the new layout; those of a map of maps hold the inner maps open, by whose descriptors they are written.</summary>
    private sealed class Chunk(int capacity, int keySize, int valueSize) : IDisposable
    {
        private readonly byte[] _keys = new byte[capacity * keySize];
        private readonly byte[] _values = new byte[capacity * valueSize];
        private readonly List<BpfMap> _inner = [];

        public int Count { get; set; }

        public ReadOnlySpan<byte> Keys(int first) => _keys.AsSpan(first * keySize, (Count - first) * keySize);

        public ReadOnlySpan<byte> Values(int first) => _values.AsSpan(first * valueSize, (Count - first) * valueSize);

        public Span<byte> NextKey() => _keys.AsSpan(Count * keySize, keySize);

        public Span<byte> NextValue() => _values.AsSpan(Count * valueSize, valueSize);

        /// <summary>What reads as an id is written as a descriptor.</summary>
        public bool Hold(ReadOnlySpan<byte> id, Span<byte> value)
        {
            try
            {
                BpfMap inner = BpfMap.OpenById(MemoryMarshal.Read<uint>(id));
                _inner.Add(inner);
                MemoryMarshal.Write(value, inner.DangerousDescriptor);
                return true;
            }
            catch (SystemCallException e) when (e.Errno == Errno.ENOENT)
            {
                return false;
            }
        }

        public void Dispose()
        {
            foreach (BpfMap inner in _inner)
                inner.Dispose();
        }
    }
}
