// SPDX-License-Identifier: Apache-2.0
using System.Text;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi;

namespace Axoneme.Lab;

/// <summary>Keeps the zone of the cluster's DNS pods: a file in each node's folder with a line "name address" for each record.</summary>
internal sealed class ClusterDns(ObjectClient api, IReadOnlyList<string> nodeFolders)
{
    public const string ServiceAddress = "10.96.0.10";
    public const string ZoneFile = "dns-zone";

    // Several changes usually come together.
    private static readonly TimeSpan Quiet = TimeSpan.FromMilliseconds(20);

    public async Task RunAsync(CancellationToken cancellation)
    {
        using var changed = new SemaphoreSlim(1);
        Task services = SignalAsync("services", changed, cancellation);
        Task slices = SignalAsync("endpointslices.discovery.k8s.io", changed, cancellation);
        while (!cancellation.IsCancellationRequested)
        {
            await changed.WaitAsync(cancellation);
            await Task.Delay(Quiet, cancellation);
            Write();
        }

        await Task.WhenAll(services, slices);
    }

    private async Task SignalAsync(string resource, SemaphoreSlim changed, CancellationToken cancellation)
    {
        await foreach (ObjectEvent _ in api.WatchAsync(resource, null, cancellation))
            if (changed.CurrentCount == 0)
                changed.Release();
    }

    private void Write()
    {
        var zone = new StringBuilder();
        foreach (JsonObject service in api.List("services"))
            foreach (string address in Addresses(service))
                zone.Append(service["metadata"]!["name"]).Append('.').Append(service["metadata"]!["namespace"])
                    .Append(".svc.cluster.local ").Append(address).Append('\n');
        zone.Append("outside.lab 203.0.113.10\noutside.lab 2001:db8::10\n");
        foreach (string folder in nodeFolders)
        {
            // A reader sees the old zone or the new one.
            string file = Path.Combine(folder, ZoneFile);
            File.WriteAllText(file + ".new", zone.ToString());
            File.Move(file + ".new", file, overwrite: true);
        }
    }

    private IEnumerable<string> Addresses(JsonObject service)
    {
        if (service["spec"]?["clusterIPs"] is not JsonArray addresses)
            return [];
        if ((string?)addresses[0] != "None")
            return addresses.Select(a => (string)a!);
        return api.List("endpointslices.discovery.k8s.io", (string?)service["metadata"]!["namespace"],
                $"kubernetes.io/service-name={service["metadata"]!["name"]}")
            .SelectMany(s => s["endpoints"] as JsonArray ?? []).Where(e => (bool?)e!["conditions"]?["ready"] != false)
            .SelectMany(e => (JsonArray)e!["addresses"]!).Select(a => (string)a!);
    }
}
