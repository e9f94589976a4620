// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Diagnostics;
using Axoneme.Agent;
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Services;
using Axoneme.Agent.Sockets;
using Axoneme.Bench.Sites;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Hosting;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Linux;
using Axoneme.LoadBalancing;
using Axoneme.Network;
using Axoneme.Tables;
using Microsoft.Extensions.Logging.Abstractions;

namespace Axoneme.Bench.Workers;

/// <summary>
/// The agent's way of services, from the API to the kernel's maps, in a process of its own, so that its memory is nobody else's: watches,
/// catalogue, tables, reconciler and map writer, all as the agent runs them. Prints one figure a line.
/// </summary>
internal static class ServiceAgent
{
    public const int Changes = 300;

    public static async Task<int> RunAsync(Uri api, string folder, int count)
    {
        BpfFileSystem.Ensure(folder);
        try
        {
            using var run = new CancellationTokenSource();
            await MeasureAsync(api, folder, count, run);
            return 0;
        }
        finally
        {
            Libc.Unmount(folder, Libc.MNT_DETACH);
        }
    }

    private static async Task MeasureAsync(Uri api, string folder, int count, CancellationTokenSource run)
    {
        // Four slots, slot 0 and the entry that guards the address, for each service.
        var sizes = ImmutableDictionary<string, uint>.Empty
            .Add(Maps.CiliumLb4ServicesV2.Spec.Name, (uint)count * 8)
            .Add(Maps.CiliumLb4BackendsV3.Spec.Name, (uint)count * 8)
            .Add(Maps.CiliumCt4Global.Spec.Name, 4096)
            .Add(Maps.CiliumCt6Global.Spec.Name, 4096);
        using DatapathMaps maps = DatapathMaps.OpenOrCreate(new DatapathPaths(folder), sizes, new DatapathReport());
        using var client = new KubernetesClient(new KubernetesConfig { Servers = [api] }, new KubernetesClientOptions { Qps = 0 });
        using var poster = new HttpClient { BaseAddress = api };
        var options = new AgentOptions { NodeName = "bench", Services = new ServiceOptions { ReplaceKubeProxy = true } };
        var tables = new TableCatalog();
        var cluster = new ClusterState(client, options, tables, NullLogger<ClusterState>.Instance);
        var listeners = new Table<L4Address, NodeListener>("node-listeners", l => l.Address);
        var services = new ServiceController(
            cluster, listeners, options, new EventRecorder(client, "bench", "bench"), NullLogger<ServiceController>.Instance);
        IpAddress node = IpAddress.Parse("192.0.2.11");
        services.SetNodeAddresses([node], [node]);
        var target = new ServiceTarget(maps);
        var modules = new Modules(TimeProvider.System, NullLogger<Modules>.Instance);

        long start = Stopwatch.GetTimestamp();
        TimeSpan cpu = Environment.CpuUsage.TotalTime;
        modules.Start("watches", cluster.RunAsync, run.Token);
        modules.Start("services", services.RunAsync, run.Token);
        Reconciler<ServiceMapKey, ServiceMapEntry> reconciler =
            new Reconciliation(tables, modules, NullLogger<Reconciliation>.Instance).Start(services.Maps, target, run.Token);
        await services.Maps.WhenInitializedAsync();
        Print("rows", Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        Print("rows-cpu", (Environment.CpuUsage.TotalTime - cpu).TotalMilliseconds);
        await WhenWrittenAsync(services, reconciler);
        Print("kernel", Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        Print("cpu", (Environment.CpuUsage.TotalTime - cpu).TotalMilliseconds);
        Print("entries", target.Writes);
        Print("peak", MemoryOf("VmHWM"));

        using ChangeStream<ServiceMapKey, ServiceMapEntry> rows = services.Maps.Watch();
        await rows.NextAsync();
        for (int change = 1; change <= Changes; change++)
            await ChangeAsync(new Site(poster, services, reconciler, target, rows), change, count);
        Print("memory", MemoryOf("VmRSS"));
        Print("live", GC.GetTotalMemory(forceFullCollection: true) / (double)(1 << 20));
        Print("feature", CatalogueTime(cluster, options));
        await run.CancelAsync();
        await modules.WhenStoppedAsync();
    }

    /// <summary>Processor time of the catalogue and of making rows, for all objects at once and in code that has run before.</summary>
    private static double CatalogueTime(ClusterState cluster, AgentOptions options)
    {
        TimeSpan cpu = Environment.CpuUsage.TotalTime;
        var catalog = new ServiceCatalog(CatalogSettings.For(options));
        foreach (Service service in cluster.Services.Snapshot().Values)
            catalog.Upsert(service);
        foreach (EndpointSlice slice in cluster.EndpointSlices.Snapshot().Values)
            catalog.Upsert(slice);
        var rows = new ServiceRows(externalClusterIP: false);
        foreach (Frontend frontend in catalog.Commit().Upserts)
            rows.External(frontend);
        return (Environment.CpuUsage.TotalTime - cpu).TotalMilliseconds;
    }

    private static async Task WhenWrittenAsync(ServiceController services, Reconciler<ServiceMapKey, ServiceMapEntry> reconciler)
    {
        foreach (ServiceMapKey key in services.Maps.Snapshot().Keys)
        {
            ReconcileStatus<ServiceMapKey>? status = await reconciler.WaitAsync(key, services.Maps.Snapshot().RevisionOf(key));
            if (status is { Phase: ReconcilePhase.Error })
                throw new BenchException($"{key}: {status.Message}");
        }
    }

    /// <summary>From the request that changes the API object until the kernel has the new backend.</summary>
    private static async Task ChangeAsync(Site site, int change, int count)
    {
        // Another service each time, all over the table.
        int service = (int)((long)change * 7919 % count);
        var key = new ServiceMapKey(new L4Address(IpAddress.Parse(ServiceApi.ClusterIPOf(service)), 80, L4Protocol.Tcp));
        IpAddress backend = IpAddress.Parse(ServiceApi.ChangedBackend(change));
        Table<ServiceMapKey, ServiceMapEntry> maps = site.Services.Maps;
        long before = site.Target.Writes;
        long start = Stopwatch.GetTimestamp();
        using HttpResponseMessage _ = await site.Api.PostAsync($"/change?service={service}&change={change}", null);
        while (!maps.Snapshot().Find(key)!.Backends.Any(b => b.Address.Address == backend))
            await site.Rows.NextAsync();
        await site.Reconciler.WaitAsync(key, maps.Snapshot().RevisionOf(key));
        Print("change", Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        Print("writes", site.Target.Writes - before);
    }

    private static void Print(string name, double value) => Console.WriteLine(FormattableString.Invariant($"{name} {value}"));

    /// <summary>In MiB.</summary>
    private static double MemoryOf(string field)
    {
        string line = File.ReadLines("/proc/self/status").First(l => l.StartsWith(field + ":", StringComparison.Ordinal));
        return double.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]) / 1024;
    }

    private sealed record Site(
        HttpClient Api,
        ServiceController Services,
        Reconciler<ServiceMapKey, ServiceMapEntry> Reconciler,
        ServiceTarget Target,
        ChangeStream<ServiceMapKey, ServiceMapEntry> Rows);
}
