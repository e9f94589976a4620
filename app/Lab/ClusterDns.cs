// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using Axoneme.EmbeddedApi;
using Axoneme.Lab.Fabric;

namespace Axoneme.Lab;

/// <summary>
/// Keeps the zone of the cluster's DNS pods: a file in each node's folder with a line "name address [ttl]" for each record. Names that exist
/// nowhere else come from ConfigMap kube-system/lab-names: a key is a name, its value addresses, and <c>ttl=SECONDS</c> if it matters.
/// </summary>
internal sealed class ClusterDns(ObjectClient api, IReadOnlyList<string> nodeFolders)
{
    public const string ServiceAddress = "10.96.0.10";
    public const string ZoneFile = "dns-zone";
    public const string NamesConfigMap = "lab-names";

    // Several changes usually come together. The pause after a write grows with the zone, or a large one would be written all the time.
    private static readonly TimeSpan Quiet = TimeSpan.FromMilliseconds(20);
    private const int RecordsPerMillisecond = 20;

    private readonly Lock _gate = new();
    private readonly SortedDictionary<string, string[]> _services = new(StringComparer.Ordinal);
    private readonly List<string> _made = [];
    private readonly Dictionary<string, (string Service, string[] Addresses)> _slices = [];

    // Says that something changed, not what.
    private readonly Channel<bool> _changed = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    public async Task RunAsync(CancellationToken cancellation)
    {
        Task services = FollowAsync("services", NoteService, cancellation);
        Task slices = FollowAsync("endpointslices.discovery.k8s.io", NoteSlice, cancellation);
        Task names = FollowAsync("configmaps", NoteNames, cancellation);
        await foreach (bool _ in _changed.Reader.ReadAllAsync(cancellation))
        {
            await Task.Delay(Quiet, cancellation);
            await Task.Delay(TimeSpan.FromMilliseconds(Write() / RecordsPerMillisecond), cancellation);
        }

        await Task.WhenAll(services, slices, names);
    }

    private async Task FollowAsync(string resource, Func<ObjectEvent, bool> note, CancellationToken cancellation)
    {
        await foreach (ObjectEvent change in api.WatchAsync(resource, null, cancellation))
        {
            bool matters;
            lock (_gate)
                matters = note(change);
            if (matters)
                _changed.Writer.TryWrite(true);
        }
    }

    private bool NoteService(ObjectEvent change)
    {
        string key = $"{change.Object["metadata"]!["name"]}.{change.Object["metadata"]!["namespace"]}";
        if (change.Type == "DELETED" || change.Object["spec"]?["clusterIPs"] is not JsonArray addresses)
            return _services.Remove(key);
        _services[key] = [.. addresses.Select(a => (string)a!)];
        return true;
    }

    private bool NoteSlice(ObjectEvent change)
    {
        JsonNode metadata = change.Object["metadata"]!;
        string key = $"{metadata["namespace"]}/{metadata["name"]}";
        string service = $"{metadata["labels"]?["kubernetes.io/service-name"]}.{metadata["namespace"]}";
        if (change.Type == "DELETED")
            _slices.Remove(key);
        else
            _slices[key] = (service, [.. (change.Object["endpoints"] as JsonArray ?? []).Where(e => (bool?)e!["conditions"]?["ready"] != false)
                .SelectMany(e => (JsonArray)e!["addresses"]!).Select(a => (string)a!)]);
        return _services.GetValueOrDefault(service) is ["None", ..];
    }

    private bool NoteNames(ObjectEvent change)
    {
        JsonNode metadata = change.Object["metadata"]!;
        if ((string?)metadata["namespace"] != "kube-system" || (string?)metadata["name"] != NamesConfigMap)
            return false;
        _made.Clear();
        foreach ((string name, JsonNode? value) in change.Type == "DELETED" ? [] : change.Object["data"] as JsonObject ?? [])
        {
            string[] words = ((string?)value ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries);
            string ttl = words.FirstOrDefault(w => w.StartsWith("ttl=", StringComparison.Ordinal)) is { } given ? " " + given["ttl=".Length..] : "";
            _made.AddRange(words.Where(w => IPAddress.TryParse(w, out _)).Select(w => $"{name} {w}{ttl}\n"));
        }

        return true;
    }

    /// <returns>How many records there are.</returns>
    private int Write()
    {
        var zone = new StringBuilder();
        int records = 0;
        lock (_gate)
        {
            ILookup<string, string> endpoints = _slices.Values.SelectMany(s => s.Addresses.Select(a => (s.Service, Address: a)))
                .ToLookup(p => p.Service, p => p.Address);
            foreach ((string name, string[] addresses) in _services)
                foreach (string address in addresses is ["None", ..] ? endpoints[name] : addresses)
                {
                    zone.Append(name).Append(".svc.cluster.local ").Append(address).Append('\n');
                    records++;
                }

            zone.AppendJoin("", _made);
        }

        foreach (OutsideHost host in LabFabric.OutsideHosts)
            zone.Append($"{host.Name}.lab {host.V4}\n{host.Name}.lab {host.V6}\n");
        foreach (string folder in nodeFolders)
        {
            // A reader sees the old zone or the new one.
            string file = Path.Combine(folder, ZoneFile);
            File.WriteAllText(file + ".new", zone.ToString());
            File.Move(file + ".new", file, overwrite: true);
        }

        return records;
    }
}
