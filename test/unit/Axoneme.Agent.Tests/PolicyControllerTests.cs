// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Policies;
using Axoneme.Datapath;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Tables;
using TrafficDirection = Axoneme.Policy.TrafficDirection;

namespace Axoneme.Agent.Tests;

/// <summary>In which order changes reach those who write the kernel's maps: a packet must never have an identity that no policy map knows.</summary>
public sealed class PolicyControllerTests : IAsyncDisposable
{
    private const ushort Client = 4;
    private static readonly PolicyObjectKey Key = new(PolicyKind.CiliumNetworkPolicy, "shop", "blocks");
    private static readonly IpPrefix Block = IpPrefix.Parse("192.0.2.0/24");

    private readonly CancellationTokenSource _stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
    private readonly Ipcache.Ipcache _ipcache = new();
    private readonly List<string> _seen = [];
    private readonly PolicyController _controller;
    private readonly Task _running;

    public PolicyControllerTests()
    {
        _controller = new PolicyController(new PolicyEngine(PolicyOptions.Default), _ipcache)
        {
            BeforeKernelAsync = (_, _) => SeeAsync("before the maps"),
            WhenInKernelAsync = async (_, _, _) =>
            {
                await SeeAsync("while the maps are written");
                return null;
            },
        };
        _running = _controller.RunAsync(_stop.Token);
    }

    private bool IsInIpcache => _ipcache.Find(Block.Address)?.Prefix == Block;

    private int Entries => _controller.Table.Snapshot().Find(Client)?.Entries.Count ?? 0;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running.ContinueWith(_ => { }, TaskScheduler.Default);
        _stop.Dispose();
    }

    private Task SeeAsync(string when)
    {
        _seen.Add($"{when}: {(IsInIpcache ? "in" : "not in")} the ipcache");
        return Task.CompletedTask;
    }

    private async Task StartAsync()
    {
        _ = _controller.ChangeAsync(engine => engine.UpsertEndpoint(Client, new SecurityIdentity(20001), LabelSet.Parse("k8s:app=db")));
        await _controller.ReleaseAsync();
        _seen.Clear();
    }

    [Fact]
    public async Task Block_enters_the_ipcache_after_the_maps_know_it_and_leaves_it_before_they_forget_it()
    {
        await StartAsync();
        int without = Entries;
        await _controller.ChangeAsync(engine => engine.UpsertPolicy(new PolicyDocument(Key, [Rule()])));
        Assert.Equal(["before the maps: not in the ipcache", "while the maps are written: not in the ipcache"], _seen);
        Assert.True(IsInIpcache);
        Assert.NotEqual(without, Entries);

        _seen.Clear();
        await _controller.ChangeAsync(engine => engine.DeletePolicy(Key));
        Assert.Equal(["before the maps: not in the ipcache"], _seen);
        Assert.False(IsInIpcache);
        Assert.Equal(without, Entries);
    }

    [Fact]
    public async Task Nothing_is_published_before_rules_and_identities_are_complete()
    {
        Task changed = _controller.ChangeAsync(engine =>
        {
            engine.UpsertEndpoint(Client, new SecurityIdentity(20001), LabelSet.Parse("k8s:app=db"));
            engine.UpsertPolicy(new PolicyDocument(Key, [Rule()]));
        });
        // Others take their turn behind it in the same queue.
        await _controller.SetAuditAsync(true);
        Assert.Equal((false, 0, false), (changed.IsCompleted, Entries, IsInIpcache));
        await _controller.ReleaseAsync();
        Assert.True(Entries > 0);
        Assert.True(IsInIpcache);
    }

    [Fact]
    public async Task Audit_mode_has_connections_judged_again_and_goes_with_its_endpoint()
    {
        await StartAsync();
        uint before = Revision();
        await _controller.SetAuditAsync(Client, true);
        Assert.True(Revision() > before);
        _controller.RemoveEndpoint(Client);
        await _controller.ChangeAsync(engine => engine.UpsertEndpoint(Client, new SecurityIdentity(20002), LabelSet.Parse("k8s:app=web")));
        Assert.False(_controller.Audits(Client));
        Assert.False(_controller.Table.Snapshot().Find(Client)!.Audit);
    }

    [Fact]
    public async Task Revisions_go_on_where_an_earlier_run_left_off()
    {
        _controller.RevisionBase = 4711;
        await StartAsync();
        Assert.True(Revision() > 4711);
    }

    private uint Revision() => _controller.Table.Snapshot().Find(Client)!.Revision;

    private static NetworkRule Rule() => new()
    {
        Subject = new LabelsSelector(LabelRequirement.Equal(Label.Kubernetes, "app", "db")),
        Direction = TrafficDirection.Egress,
        Peers = [new CidrSelector(Block)],
        Origin = new RuleOrigin(Key, "", "spec.egress[0]", LabelSet.Empty),
    };
}
