// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Diagnostics;
using Axoneme.Agent;
using Axoneme.Agent.Ipcache;
using Axoneme.Agent.Policies;
using Axoneme.Bench.Sites;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Hosting;
using Axoneme.Kubernetes.Resources;
using Axoneme.Linux;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Tables;
using Microsoft.Extensions.Logging.Abstractions;
using EndpointPolicy = Axoneme.Datapath.EndpointPolicy;

namespace Axoneme.Bench.Workers;

/// <summary>
/// The agent's way of policies, from API objects to the kernel's maps, in a process of its own: translation, engine, table, reconciler and
/// map writer, all as the agent runs them. Prints one figure a line.
/// </summary>
internal static class PolicyAgent
{
    public const int Changes = 200;

    public static async Task<int> RunAsync(string folder)
    {
        BpfFileSystem.Ensure(folder);
        try
        {
            using var run = new CancellationTokenSource();
            await MeasureAsync(folder, run);
            return 0;
        }
        finally
        {
            Libc.Unmount(folder, Libc.MNT_DETACH);
        }
    }

    private static async Task MeasureAsync(string folder, CancellationTokenSource run)
    {
        var sizes = ImmutableDictionary<string, uint>.Empty.Add(Maps.CiliumCt4Global.Spec.Name, 4096).Add(Maps.CiliumCt6Global.Spec.Name, 4096);
        using DatapathMaps maps = DatapathMaps.OpenOrCreate(new DatapathPaths(folder), sizes, new DatapathReport());
        var cluster = new PolicyCluster();
        Print("memory-before", MemoryOf("VmRSS"));
        var engine = new PolicyEngine(PolicyOptions.Default);
        var policies = new PolicyController(engine, new Ipcache());
        var modules = new Modules(TimeProvider.System, NullLogger<Modules>.Instance);
        modules.Start("policies", policies.RunAsync, run.Token);
        var site = new Site(policies, new PolicyRepository(engine), new PolicyTarget(maps));

        // The first computation counts, as it does for a node that starts; the code has been compiled beforehand, as in the shipped agent.
        Compute(cluster);
        TimeSpan cpu = Environment.CpuUsage.TotalTime;
        long start = Stopwatch.GetTimestamp();
        _ = policies.ChangeAsync(e => Fill(e, site.Repository, cluster));
        Print("objects", Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        await policies.ReleaseAsync();
        Print("rows", Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        Print("rows-cpu", (Environment.CpuUsage.TotalTime - cpu).TotalMilliseconds);
        Reconciler<ushort, EndpointPolicy> reconciler =
            new Reconciliation(new TableCatalog(), modules, NullLogger<Reconciliation>.Instance).Start(policies.Table, site.Target, run.Token);
        policies.WhenInKernelAsync = reconciler.WaitAsync;
        await WhenWrittenAsync(site, reconciler);
        Print("kernel", Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        Print("entries", policies.Table.Snapshot().Values.Sum(p => p.Entries.Count));
        Print("peak", MemoryOf("VmHWM"));

        for (int change = 1; change <= Changes; change++)
            await ChangePolicyAsync(site, reconciler, change);
        for (int change = 1; change <= Changes; change++)
            await AddIdentityAsync(site, reconciler, change);
        Print("memory", MemoryOf("VmRSS"));
        Print("live", GC.GetTotalMemory(forceFullCollection: true) / (double)(1 << 20));
        GC.KeepAlive(cluster);
        await run.CancelAsync();
        await modules.WhenStoppedAsync();
    }

    private static void Compute(PolicyCluster cluster)
    {
        var engine = new PolicyEngine(PolicyOptions.Default);
        Fill(engine, new PolicyRepository(engine), cluster);
        engine.Commit();
    }

    private static void Fill(PolicyEngine engine, PolicyRepository repository, PolicyCluster cluster)
    {
        for (int i = 0; i < PolicyCluster.Identities; i++)
        {
            (SecurityIdentity id, LabelSet labels) = PolicyCluster.Identity(i);
            engine.UpsertIdentity(id, labels);
        }

        for (ushort endpoint = 1; endpoint <= PolicyCluster.Endpoints; endpoint++)
        {
            (SecurityIdentity id, LabelSet labels) = PolicyCluster.Identity(PolicyCluster.IdentityOf(endpoint));
            engine.UpsertEndpoint(endpoint, id, labels);
        }

        foreach (Resource policy in cluster.Objects)
            Check(policy is NetworkPolicy kubernetes ? repository.Upsert(kubernetes) : repository.Upsert((CiliumNetworkPolicy)policy));
    }

    private static void Check(PolicyStatus status)
    {
        if (!status.Valid)
            throw new BenchException($"{status.Policy}: {status.Message}");
    }

    private static async Task WhenWrittenAsync(Site site, Reconciler<ushort, EndpointPolicy> reconciler)
    {
        TableSnapshot<ushort, EndpointPolicy> rows = site.Policies.Table.Snapshot();
        foreach (ushort endpoint in rows.Keys)
        {
            ReconcileStatus<ushort>? status = await reconciler.WaitAsync(endpoint, rows.RevisionOf(endpoint));
            if (status is { Phase: ReconcilePhase.Error })
                throw new BenchException($"endpoint {endpoint}: {status.Message}");
        }
    }

    /// <summary>Another port in one policy of one endpoint, until its map has it.</summary>
    private static async Task ChangePolicyAsync(Site site, Reconciler<ushort, EndpointPolicy> reconciler, int change)
    {
        ushort endpoint = (ushort)((change * 79 % PolicyCluster.Endpoints) + 1);
        CiliumNetworkPolicy policy = PolicyCluster.OpenPort(endpoint, (ushort)(20000 + change));
        long start = Stopwatch.GetTimestamp();
        await site.Policies.ChangeAsync(_ => Check(site.Repository.Upsert(policy)));
        await reconciler.WaitAsync(endpoint, site.Policies.Table.Snapshot().RevisionOf(endpoint));
        Print("policy", Stopwatch.GetElapsedTime(start).TotalMilliseconds);
    }

    /// <summary>A workload that is new, in a namespace like the others, until the maps of all who let it in have it.</summary>
    private static async Task AddIdentityAsync(Site site, Reconciler<ushort, EndpointPolicy> reconciler, int change)
    {
        (_, LabelSet labels) = PolicyCluster.Identity(change * 7919 % PolicyCluster.Identities);
        var id = new SecurityIdentity(40_000 + (uint)change);
        long start = Stopwatch.GetTimestamp();
        await site.Policies.ChangeAsync(e => e.UpsertIdentity(id, LabelSet.From([.. labels, new Label(Label.Kubernetes, "version", $"{change}")])));
        await WhenWrittenAsync(site, reconciler);
        Print("identity", Stopwatch.GetElapsedTime(start).TotalMilliseconds);
    }

    private static void Print(string name, double value) => Console.WriteLine(FormattableString.Invariant($"{name} {value}"));

    /// <summary>In MiB.</summary>
    private static double MemoryOf(string field)
    {
        string line = File.ReadLines("/proc/self/status").First(l => l.StartsWith(field + ":", StringComparison.Ordinal));
        return double.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]) / 1024;
    }

    private sealed record Site(PolicyController Policies, PolicyRepository Repository, PolicyTarget Target);
}
