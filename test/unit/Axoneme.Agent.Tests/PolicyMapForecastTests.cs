// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Policies;
using Axoneme.Hosting;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Tables;
using Microsoft.Extensions.Logging.Abstractions;

namespace Axoneme.Agent.Tests;

/// <summary>Warnings about policies that fill their maps, before anything is written. No API server is there.</summary>
public sealed class PolicyMapForecastTests
{
    private const uint Capacity = 100;

    private static readonly LabelSet Web = LabelSet.From(
        [new Label("k8s", "app", "web"), new Label("k8s", PodLabels.Namespace, "blue"), new Label("k8s", PodLabels.Cluster, "default")]);

    [Theory]
    [InlineData(74, null)]
    [InlineData(75, PolicyMapLevel.High)]
    [InlineData(90, PolicyMapLevel.Critical)]
    [InlineData(100, PolicyMapLevel.Critical)]
    [InlineData(101, PolicyMapLevel.Overflow)]
    public void Level_follows_from_what_the_map_holds(int entries, object? level)
        => Assert.Equal((PolicyMapLevel?)level, PolicyMapFill.LevelOf(entries, Capacity));

    [Fact]
    public async Task Full_map_is_told_of_with_the_policies_that_fill_it_until_it_fits()
    {
        using var client = new KubernetesClient(new KubernetesConfig { Servers = [new Uri("http://127.0.0.1:1")] }, new KubernetesClientOptions());
        using var control = new ControlPlane(new AgentOptions { NodeName = "one" }, client, NullLoggerFactory.Instance);
        using var stop = new CancellationTokenSource();
        var modules = new Modules(TimeProvider.System, NullLogger<Modules>.Instance);
        control.NodeConditions.Register(PolicyMapForecast.Topic);
        var forecast = new PolicyMapForecast(control.Policies, control.Cluster, control.Events, control.NodeConditions, modules, NullLogger<PolicyMapForecast>.Instance);
        modules.Start("policies", control.Policies.RunAsync, stop.Token);
        modules.Start(PolicyMapForecast.ModuleName, cancel => forecast.RunAsync(Capacity, cancel), stop.Token);
        using ChangeStream<ushort, PolicyMapFill> fills = forecast.Table.Watch();
        await fills.NextAsync(stop.Token);
        await control.Policies.ReleaseAsync();
        await control.Policies.ChangeAsync(e => e.UpsertEndpoint(7, new SecurityIdentity(300), Web));
        PolicyRepository? repository = null;
        await control.Policies.ChangeAsync(e => (repository = new PolicyRepository(e)).Upsert(Policy("large", ports: 80)));
        await control.Policies.ChangeAsync(_ => repository!.Upsert(Policy("small", ports: 10)));

        PolicyMapFill critical = await NextAsync(f => f is { Level: PolicyMapLevel.Critical });
        Assert.Equal(["CiliumNetworkPolicy blue/large", "CiliumNetworkPolicy blue/small"], critical.Largest.Select(s => s.Policy.ToString()));
        Assert.Equal([80, 10], critical.Largest.Select(s => s.Entries));
        await control.Policies.ChangeAsync(_ => repository!.Upsert(Policy("small", ports: 40)));
        Assert.Equal(7, (await NextAsync(f => f is { Level: PolicyMapLevel.Overflow })).EndpointId);
        Assert.Contains(modules.States, s => s.Name == PolicyMapForecast.ModuleName && !s.IsHealthy && s.Message.Contains("blue/large (80)"));
        await SaidAsync("small", "PolicyMapOverflow", "an endpoint with identity 300 needs 126 of 100 policy map entries (126%)");
        Condition said = await SaidAsync("large", "PolicyMapOverflow", "most for CiliumNetworkPolicy blue/large (80), CiliumNetworkPolicy blue/small (40)");
        Assert.Equal(("axoneme.io/PolicyMap-one", "False"), (said.Type, said.Status));
        await control.Policies.ChangeAsync(_ => repository!.Upsert(Policy("small", ports: 13)));
        await SaidAsync("large", "PolicyMapNearlyFull", "needs 99 of 100 policy map entries (99%)");

        await control.Policies.ChangeAsync(_ => repository!.Delete(new(PolicyKind.CiliumNetworkPolicy, "blue", "large")));
        while (forecast.Table.Snapshot().Count > 0)
            await fills.NextAsync(stop.Token);
        await HoldsAsync(() => Said("large") is null && Said("small") is null);
        await stop.CancelAsync();
        await modules.WhenStoppedAsync();

        Condition? Said(string policy)
            => control.NodeConditions.Next([], new PolicyObjectKey(PolicyKind.CiliumNetworkPolicy, "blue", policy))?.Single();

        async Task<Condition> SaidAsync(string policy, string reason, string message)
        {
            await HoldsAsync(() => Said(policy) is { } said && said.Reason == reason && said.Message!.Contains(message));
            return Said(policy)!;
        }

        async Task HoldsAsync(Func<bool> condition)
        {
            var limit = TimeSpan.FromSeconds(30);
            long start = TimeProvider.System.GetTimestamp();
            while (!condition())
            {
                Assert.True(TimeProvider.System.GetElapsedTime(start) < limit, $"not so: {Said("large")}");
                await Task.Delay(5, TestContext.Current.CancellationToken);
            }
        }

        async Task<PolicyMapFill> NextAsync(Func<PolicyMapFill, bool> isIt)
        {
            while (true)
            {
                if (forecast.Table.Snapshot().Find(7) is { } fill && isIt(fill))
                    return fill;
                await fills.NextAsync(stop.Token);
            }
        }
    }

    // The peer is one identity, so that each port is one entry.
    private static CiliumNetworkPolicy Policy(string name, int ports) => new()
    {
        Metadata = new ObjectMeta { Namespace = "blue", Name = name, Uid = name },
        Spec = new PolicyRule
        {
            EndpointSelector = new LabelSelector(),
            Ingress =
            [
                new IngressRule
                {
                    FromEntities = ["health"],
                    ToPorts =
                    [
                        .. Enumerable.Range(name == "large" ? 1000 : 2000, ports).Chunk(40).Select(chunk => new PortRule
                        {
                            Ports = [.. chunk.Select(port => new PortProtocol { Port = $"{port}", Protocol = "TCP" })],
                        }),
                    ],
                },
            ],
        },
    };
}
