// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Axoneme.Bench.Sites;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Bench.Suites;

/// <summary>
/// How long one change takes from the write to the Kubernetes API to the map that the programs read, on a node that has much else. The time
/// of the API server is part of it, so the figure is an upper bound of the agent's.
/// </summary>
internal static class ChangeSuite
{
    private const int Changes = 100;
    private const double AimMilliseconds = 50;
    private static readonly string Load = $"with {LoadedLab.Policies} policies and {LoadedLab.Services:#,0} services";

    // Changes come one by one: the next waits until the last is quiet everywhere.
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    public static IEnumerable<Row> Run(BenchOptions options)
    {
        using var lab = new LoadedLab();
        foreach (Row row in Quantiles("policy change", PolicyChanges(lab)))
            yield return row;
        foreach (Row row in Quantiles("service change", ServiceChanges(lab)))
            yield return row;
        yield return Row.FromSamples($"agent memory {Load}", "MiB", [lab.AgentMegabytes], 0.5, aim: 0);
    }

    private static IEnumerable<Row> Quantiles(string name, List<double> samples)
    {
        yield return Row.FromSamples($"{name}, API to kernel, p50", "ms", samples, 0.5, aim: 0);
        yield return Row.FromSamples($"{name}, API to kernel, p99", "ms", samples, 0.99, AimMilliseconds);
    }

    private static List<double> PolicyChanges(LoadedLab lab)
    {
        const string Name = "changing";
        const int FirstPort = 20000;
        ResourceClient<CiliumNetworkPolicy> policies = lab.Client.Of(Kinds.CiliumNetworkPolicies);
        CiliumNetworkPolicy Open(int port) => LoadedLab.OpenPort(Name, workload: 0, port, peer: null);
        policies.CreateAsync(Open(FirstPort)).GetAwaiter().GetResult();
        LoadedLab.WaitFor(() => lab.IsPortOpen(FirstPort), "a policy");
        return Measure(policies, Name, i => new Change<CiliumNetworkPolicy>(
            present => present with { Spec = Open(FirstPort + i).Spec }, () => lab.IsPortOpen((ushort)(FirstPort + i))));
    }

    private static List<double> ServiceChanges(LoadedLab lab)
    {
        const int Service = LoadedLab.Services / 2;
        IpAddress address = lab.AddressOf($"service-{Service}");
        return Measure(lab.Client.Of(Kinds.EndpointSlices), $"service-{Service}", i =>
        {
            IpAddress backend = IpAddress.Parse($"198.19.200.{i}");
            return new Change<EndpointSlice>(
                present => present with { Endpoints = LoadedLab.Slice(Service, backend).Endpoints }, () => lab.HasBackend(address, backend));
        });
    }

    private static List<double> Measure<T>(ResourceClient<T> resources, string name, Func<int, Change<T>> changeOf)
        where T : Resource
    {
        var samples = new List<double>();
        // The first does not count: the agent compiles what it has not done before.
        for (int i = 1; i <= Changes + 1; i++)
        {
            Thread.Sleep(Pause);
            Change<T> change = changeOf(i);
            T present = resources.GetAsync(LabCluster.NameOf(name)).GetAwaiter().GetResult();
            long start = Stopwatch.GetTimestamp();
            Task<T> write = Task.Run(() => resources.UpdateAsync(change.Apply(present)));
            LoadedLab.WaitFor(() => change.IsInKernel() || write.IsFaulted, $"a change of {name}");
            double elapsed = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            if (write.Exception?.InnerException is KubernetesException { IsConflict: true })
            {
                // The agent reported the policy's status in between.
                i--;
                continue;
            }

            write.GetAwaiter().GetResult();
            if (i > 1)
                samples.Add(elapsed);
        }

        return samples;
    }

    private sealed record Change<T>(Func<T, T> Apply, Func<bool> IsInKernel);
}
