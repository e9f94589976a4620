// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Agent.HostPolicy;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Agent.Tests;

public sealed class HostPolicyReachTests
{
    private static readonly SecurityIdentity Office = new(0x0100_0001);
    private static readonly ManagementSession Session = new(new L4Address(IpAddress.Parse("198.51.100.7"), 50000, L4Protocol.Tcp), Office, 22);

    private readonly HostPolicyReach _reach = new(IdentityNumbering.Default);

    private static EndpointPolicy Admitting(params (SecurityIdentity Peer, ushort Port)[] peers) => new(9, 1)
    {
        IngressEnforced = true,
        Entries = PolicyMapEntryCollection.Of(
            peers.Select(p => new PolicyMapEntry(new PolicyMapKey(TrafficDirection.Ingress, p.Peer, L4Protocol.Tcp, p.Port, 16)) { Precedence = 1 })),
    };

    [Fact]
    public void Session_that_the_policy_would_not_admit_is_named()
    {
        Assert.Empty(_reach.CutSessions(Admitting((Office, 22)), [Session]));
        string text = Assert.Single(_reach.CutSessions(Admitting((Office, 2222)), [Session]));
        Assert.Contains("198.51.100.7:50000", text);
        Assert.Contains("port 22", text);
    }

    [Fact]
    public void Policy_that_is_not_enforced_or_only_audited_cuts_nobody_off()
    {
        Assert.Empty(_reach.CutSessions(Admitting() with { IngressEnforced = false }, [Session]));
        Assert.Empty(_reach.CutSessions(Admitting() with { Audit = true }, [Session]));
    }

    [Fact]
    public void Port_is_open_if_one_of_those_outside_may_open_it()
    {
        SecurityIdentity[] outside = [SecurityIdentity.WorldIPv4, Office];
        Assert.True(_reach.IsOpen(Admitting((Office, 22)), [22], outside));
        Assert.True(_reach.IsOpen(Admitting((Office, 2222)), [22, 2222], outside));
        Assert.False(_reach.IsOpen(Admitting((Office, 2222)), [22], outside));
        Assert.False(_reach.IsOpen(Admitting((new SecurityIdentity(300), 22)), [22], outside));
        Assert.False(_reach.IsOpen(Admitting((Office, 22)), [], outside));
    }

    [Fact]
    public void Larger_precedence_of_the_class_beats_what_is_said_of_the_identity()
    {
        var denied = new PolicyMapEntry(new PolicyMapKey(TrafficDirection.Ingress, Office.AggregateIn(IdentityNumbering.Default), L4Protocol.Any, 0, 0)) { Deny = true, Precedence = 255 };
        EndpointPolicy policy = Admitting((Office, 22));
        Assert.False(_reach.IsOpen(policy with { Entries = policy.Entries.With([denied], []) }, [22], [Office]));
    }

    [Fact]
    public void Pods_and_the_node_itself_are_not_outside()
    {
        Assert.All([SecurityIdentity.WorldIPv4, SecurityIdentity.RemoteNode, Office], identity => Assert.True(HostPolicyReach.IsOutside(identity)));
        Assert.All([SecurityIdentity.Host, SecurityIdentity.Health, new SecurityIdentity(300)], identity => Assert.False(HostPolicyReach.IsOutside(identity)));
    }

    [Fact]
    public void Saved_policy_comes_back_as_it_was()
    {
        EndpointPolicy policy = Admitting((Office, 22), (SecurityIdentity.WorldIPv4, 443)) with { EgressEnforced = true };
        string directory = Directory.CreateTempSubdirectory().FullName;
        var file = new HostPolicyFile(directory, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);
        try
        {
            Assert.Null(file.Load().Trial);
            Assert.True(file.TrySave(new SavedHostPolicy { Trial = SavedTrial.From("v2", 1, policy), Confirmed = ImmutableDictionary<string, string>.Empty.Add("p", "v1") }));
            SavedHostPolicy loaded = file.Load();
            EndpointPolicy restored = loaded.Trial!.Confirmed(9, 77);
            Assert.Equal((9, 77u, true, true), (restored.EndpointId, restored.Revision, restored.IngressEnforced, restored.EgressEnforced));
            Assert.Equal(policy.Entries.Values.OrderBy(e => e.Key.Port), restored.Entries.Values.OrderBy(e => e.Key.Port));
            Assert.Equal(("v1", 1), (loaded.Confirmed["p"], loaded.Trial.Interruptions));
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }
}
