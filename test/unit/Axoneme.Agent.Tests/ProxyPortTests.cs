// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Policies;
using Axoneme.Datapath;
using Axoneme.Dns;
using Axoneme.Network;
using Axoneme.Policy;
using EndpointPolicy = Axoneme.Datapath.EndpointPolicy;
using TrafficDirection = Axoneme.Policy.TrafficDirection;

namespace Axoneme.Agent.Tests;

/// <summary>What the rows of policy maps say of a rule that sends DNS to the node's proxy. Endpoint 4 is subject to it.</summary>
public sealed class ProxyPortTests
{
    private const ushort Client = 4;

    private readonly CancellationTokenSource _stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);

    private static PolicyObjectKey Key { get; } = new(PolicyKind.CiliumNetworkPolicy, "shop", "names");

    [Fact]
    public async Task Entry_follows_the_proxy_and_denies_while_nobody_knows_where_it_is()
    {
        PolicyController controller = await StartAsync("*.example.org", hasProxy: true);
        EndpointPolicy unknown = Policy(controller);
        Assert.All(Dns(unknown), e => Assert.Equal((true, true, 0), (e.Deny, e.LacksProxy, e.ProxyPort)));
        Assert.NotEmpty(Dns(unknown));

        await controller.SetProxyPortAsync(10053);
        EndpointPolicy known = Policy(controller);
        Assert.All(Dns(known), e => Assert.Equal((false, false, 10053), (e.Deny, e.LacksProxy, e.ProxyPort)));
        Assert.True(known.Revision > unknown.Revision);

        await controller.SetProxyPortAsync(10054);
        Assert.All(Dns(Policy(controller)), e => Assert.Equal(10054, e.ProxyPort));
        // What the engine changes afterwards is newer than the proxy's move.
        uint moved = Policy(controller).Revision;
        await controller.ChangeAsync(engine => engine.DeletePolicy(Key));
        Assert.Empty(Dns(Policy(controller)));
        Assert.True(Policy(controller).Revision > moved);
        await _stop.CancelAsync();
    }

    [Fact]
    public async Task Policy_that_redirects_nothing_does_not_move_with_the_proxy()
    {
        PolicyController controller = await StartAsync("*.example.org", hasProxy: true);
        await controller.ChangeAsync(engine => engine.DeletePolicy(Key));
        EndpointPolicy before = Policy(controller);
        await controller.SetProxyPortAsync(10053);
        Assert.Same(before, Policy(controller));
        await _stop.CancelAsync();
    }

    [Theory]
    [InlineData("*.example.org", true)]
    [InlineData("*", false)]
    public async Task Without_a_proxy_only_what_lets_every_name_pass_passes(string pattern, bool isDenied)
    {
        PolicyController controller = await StartAsync(pattern, hasProxy: false);
        Assert.All(Dns(Policy(controller)), e => Assert.Equal((isDenied, 0), (e.Deny, e.ProxyPort)));
        await Assert.ThrowsAsync<InvalidOperationException>(() => controller.SetProxyPortAsync(1));
        await _stop.CancelAsync();
    }

    private static EndpointPolicy Policy(PolicyController controller) => controller.Table.Snapshot().Find(Client)!;

    private static List<PolicyMapEntry> Dns(EndpointPolicy policy) => [.. policy.Entries.Values.Where(e => e.Key.Port == 53)];

    private async Task<PolicyController> StartAsync(string pattern, bool hasProxy)
    {
        var controller = new PolicyController(new PolicyEngine(PolicyOptions.Default), new Ipcache.Ipcache()) { HasProxy = hasProxy };
        _ = controller.RunAsync(_stop.Token);
        _ = controller.ChangeAsync(engine =>
        {
            engine.UpsertEndpoint(Client, new SecurityIdentity(20001), LabelSet.Parse("k8s:app=db", "k8s:io.kubernetes.pod.namespace=shop"));
            engine.UpsertPolicy(new PolicyDocument(Key, [Rule(pattern)]));
        });
        await controller.ReleaseAsync();
        return controller;
    }

    private static NetworkRule Rule(string text)
    {
        Assert.True(DnsPattern.TryParsePattern(text, out DnsPattern pattern, out string problem), problem);
        return RuleFor(pattern);
    }

    private static NetworkRule RuleFor(DnsPattern pattern) => new()
    {
        Subject = new LabelsSelector(LabelRequirement.Equal(Label.Kubernetes, "app", "db")),
        Direction = TrafficDirection.Egress,
        Ports = [L4Match.Single(L4Protocol.Udp, 53)],
        Redirect = DnsRedirect.Of(pattern),
        Origin = new RuleOrigin(Key, "", "spec.egress[0]", LabelSet.Parse("k8s:io.cilium.k8s.policy.name=names")),
    };
}
