// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using System.Globalization;
using Axoneme.AgentApi;
using Axoneme.Bpf;
using Axoneme.Datapath;
using Axoneme.Linux;
using Axoneme.Network;
using Maps = Axoneme.Datapath.Abi.Maps;

namespace Axoneme.Agent.Api;

/// <summary>The pinned maps: how full they are, and what those that follow a table are to hold.</summary>
internal sealed class MapViews(ApiSources sources)
{
    private const string PolicyPrefix = "cilium_policy_v2_";

    private static readonly SearchValues<char> NameCharacters =
        SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

    private string Folder => new DatapathPaths(sources.Options.BpfRoot).Maps;

    public IReadOnlyList<BpfMapModel> All()
    {
        string[] names = Directory.Exists(Folder) ? [.. Directory.EnumerateFiles(Folder).Select(Path.GetFileName).OfType<string>()] : [];
        // Which map a failure is about shows only in its cache, and that is worth building only when there is a failure.
        bool isFailing = (sources.Running?.Reconcilers() ?? []).Any(view => view.Failing().Count > 0);
        List<BpfMapModel> maps = [];
        foreach (string name in names.Order(StringComparer.Ordinal))
        {
            if (Read(name) is { } map)
                maps.Add(isFailing ? map with { Errors = ErrorsIn(Cache(name)) } : map);
        }

        return maps;
    }

    /// <exception cref="ApiException">There is no such map.</exception>
    public BpfMapModel Get(string name)
    {
        // The name becomes a path.
        if (name.Length == 0 || name.AsSpan().ContainsAnyExcept(NameCharacters))
            throw ApiException.BadRequest($"'{name}' is not the name of a map");
        BpfMapModel map = Read(name) ?? throw ApiException.NotFound($"there is no map '{name}' in {Folder}");
        List<BpfMapEntry>? cache = Cache(name);
        return map with { Cache = cache, Errors = ErrorsIn(cache) };
    }

    private static long? ErrorsIn(List<BpfMapEntry>? cache) => cache?.LongCount(entry => entry.LastError is not null);

    private BpfMapModel? Read(string name)
    {
        string path = Path.Combine(Folder, name);
        try
        {
            using BpfMap? map = BpfMap.TryOpenPinned(path);
            return map is null ? null : new BpfMapModel { Path = path, Entries = CountOf(map) };
        }
        catch (SystemCallException)
        {
            // Not a map, or gone since the folder was read.
            return null;
        }
    }

    // Every slot of an array exists; a count would say nothing.
    private static long? CountOf(BpfMap map)
    {
        if (map.Spec.Type is not (BpfMapType.Hash or BpfMapType.LruHash or BpfMapType.PerCpuHash or BpfMapType.LruPerCpuHash or BpfMapType.LpmTrie))
            return null;
        using var walk = new BpfMapWalk(map);
        long count = 0;
        while (walk.MoveNext())
            count += walk.Count;
        return count;
    }

    private List<BpfMapEntry>? Cache(string name)
    {
        if (name == Maps.CiliumIpcacheExact.Spec.Name)
            return Ipcache(prefix => !prefix.IsV6 && prefix.IsSingle);
        if (name == Maps.CiliumIpcache6Exact.Spec.Name)
            return Ipcache(prefix => prefix.IsV6 && prefix.IsSingle);
        if (name == Maps.CiliumIpcacheV2.Spec.Name)
            return Ipcache(prefix => !prefix.IsV6 && !prefix.IsSingle);
        if (name == Maps.CiliumIpcache6V2.Spec.Name)
            return Ipcache(prefix => prefix.IsV6 && !prefix.IsSingle);
        if (name == Maps.CiliumLxc.Spec.Name)
            return LocalAddresses(isV6: false);
        if (name == Maps.CiliumLxc6.Spec.Name)
            return LocalAddresses(isV6: true);
        if (name == Maps.CiliumLb4ServicesV2.Spec.Name)
            return Services(isV6: false);
        if (name == Maps.CiliumLb6ServicesV2.Spec.Name)
            return Services(isV6: true);
        return name.StartsWith(PolicyPrefix, StringComparison.Ordinal)
            && ushort.TryParse(name.AsSpan(PolicyPrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out ushort endpoint)
            ? Policy(endpoint) : null;
    }

    private List<BpfMapEntry> Ipcache(Func<IpPrefix, bool> belongs)
    {
        Dictionary<string, string> failures = Failures("ipcache");
        return
        [
            .. sources.Control.Ipcache.Table.Snapshot().Values.Where(e => belongs(e.Prefix)).OrderBy(e => e.Prefix)
                .Select(e => Entry(
                    e.Prefix.ToString(), $"identity={e.Identity.Value} tunnelendpoint={e.Node?.ToString() ?? "0.0.0.0"}", failures)),
        ];
    }

    private List<BpfMapEntry>? LocalAddresses(bool isV6)
    {
        if (sources.Running is not { } running)
            return null;
        Dictionary<string, string> failures = Failures("local-addresses");
        return
        [
            .. running.Endpoints.Addresses.Snapshot().Values.Where(e => e.Address.IsV6 == isV6).OrderBy(e => e.Address)
                .Select(e => Entry(
                    e.Address.ToString(),
                    e.IsHost ? "(localhost)" : $"id={e.EndpointId} sec_id={e.Identity.Value} ifindex={e.Device} mac={e.PodMac} nodemac={e.HostMac}",
                    failures)),
        ];
    }

    private List<BpfMapEntry> Services(bool isV6)
    {
        Dictionary<string, string> failures = Failures("lb-services");
        return
        [
            .. sources.Control.Services.Maps.Snapshot().Values.Where(e => e.Key.Frontend.Address.IsV6 == isV6).OrderBy(e => e.Key.Frontend)
                .Select(e => Entry(e.Key.ToString(), string.Join(' ', e.Backends.Select(b => b.Address)), failures)),
        ];
    }

    // The reconciler's object is the whole policy: its failure is that of every entry.
    private List<BpfMapEntry>? Policy(ushort endpoint)
    {
        if (sources.Control.Policies.Table.Snapshot().Find(endpoint) is not { } policy)
            return null;
        string? failure = Failures("policies").GetValueOrDefault(endpoint.ToString(CultureInfo.InvariantCulture));
        return
        [
            .. policy.Entries.Values.Select(e => new BpfMapEntry(
                    $"{e.Key.Direction} {e.Key.Identity.Value} {Ports(e.Key)}",
                    $"{(e.Deny ? "deny" : "allow")} precedence={e.Precedence} proxyport={e.ProxyPort} cookie={e.Cookie}",
                    failure is null ? "sync" : "insert",
                    failure))
                .OrderBy(e => e.Key, StringComparer.Ordinal),
        ];
    }

    private static string Ports(PolicyMapKey key)
        => key.PortBits == 0 ? $"any/{key.Protocol}" : key.PortBits == 16 ? $"{key.Port}/{key.Protocol}" : $"{key.Port}/{key.Protocol} (prefix {key.PortBits})";

    private static BpfMapEntry Entry(string key, string value, Dictionary<string, string> failures)
        => failures.TryGetValue(key, out string? failure) ? new BpfMapEntry(key, value, "insert", failure) : new BpfMapEntry(key, value, "sync");

    private Dictionary<string, string> Failures(string table)
    {
        Dictionary<string, string> failures = [];
        foreach (ReconcilerView view in sources.Running?.Reconcilers() ?? [])
        {
            foreach ((string key, string message) in view.Name == table ? view.Failing() : [])
                failures[key] = message;
        }

        return failures;
    }
}
