// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Flows;
using Axoneme.Agent.Policies;
using Axoneme.Hubble;
using Axoneme.Network;
using Axoneme.Policy;
using TrafficDirection = Axoneme.Policy.TrafficDirection;

namespace Axoneme.Agent.Tests;

/// <summary>What flows are told about rules, with an engine that holds them. Endpoint 4 has the label app=db.</summary>
public sealed class VerdictAttributionTests
{
    private const ushort Database = 4;

    private static readonly LabelSet Labels = LabelSet.Parse("k8s:app=db", "k8s:io.kubernetes.pod.namespace=shop");

    private readonly PolicyEngine _engine = new(PolicyOptions.Default);
    private readonly CookieIndex _cookies = new();
    private readonly DefaultDenyIndex _defaults = new();
    private readonly VerdictAttribution _attribution;

    public VerdictAttributionTests()
    {
        _attribution = new VerdictAttribution(_cookies, _defaults);
        _engine.UpsertEndpoint(Database, new SecurityIdentity(20001), Labels);
        Commit();
    }

    [Fact]
    public void An_open_endpoint_refuses_nobody()
        => Assert.Null(_attribution.OfDefault(Database, TrafficDirection.Ingress, withShadow: false));

    [Fact]
    public void A_policy_that_changes_no_entry_still_closes_the_direction()
    {
        Apply(Rule("first"));
        Apply(Rule("second"));
        Assert.Equal(["first", "second"], Closing());
        _engine.DeletePolicy(Key("first"));
        Commit();
        Assert.Equal(["second"], Closing());
        Assert.Null(_attribution.OfDefault(Database, TrafficDirection.Egress, withShadow: false));
    }

    [Fact]
    public void Rules_without_default_deny_close_nothing()
    {
        Apply(Rule("closing"));
        Apply(Rule("adding") with { DefaultDeny = false });
        Assert.Equal(["closing"], Closing());
    }

    [Fact]
    public void What_would_close_a_direction_is_kept_apart_from_what_does()
    {
        Apply(Rule("closing"));
        Apply(Rule("planned") with { Shadow = true });
        Assert.Equal(["closing"], Closing());
        FlowAttribution shadow = _attribution.OfDefault(Database, TrafficDirection.Ingress, withShadow: true)!;
        Assert.Equal(["planned"], shadow.Policies.Select(p => p.Name));
    }

    [Fact]
    public void A_cookie_gives_policy_field_labels_and_log_text()
    {
        NetworkRule rule = Rule("named") with { Peers = null };
        Apply(rule with { Origin = rule.Origin with { LogText = "for finance" } });
        PolicyEntry entry = _engine.FindEndpoint(Database)!.Entries.Values.First(e => e.Origins.Rules.Length > 0);
        FlowAttribution found = _attribution.OfCookie(entry.Origins.Cookie)!;
        FlowPolicy policy = Assert.Single(found.Policies);
        Assert.Equal("CiliumNetworkPolicy shop/named", policy.ToString());
        Assert.Equal(["spec.ingress[0]"], policy.Rules);
        Assert.Equal(["k8s:io.cilium.k8s.policy.name=named"], policy.Labels);
        Assert.Equal(["for finance"], found.Logs);
        Assert.Same(found, _attribution.OfCookie(entry.Origins.Cookie));
        Assert.Null(_attribution.OfCookie(entry.Origins.Cookie + 1));
    }

    [Fact]
    public void Labels_and_log_text_that_change_alone_are_told_from_then_on()
    {
        NetworkRule rule = Rule("named") with { Peers = null };
        var controller = new PolicyController(new PolicyEngine(PolicyOptions.Default), new Ipcache.Ipcache());
        var attribution = new VerdictAttribution(controller.Cookies, controller.DefaultDenies);
        _ = controller.ChangeAsync(engine => engine.UpsertEndpoint(Database, new SecurityIdentity(20001), Labels));
        _ = controller.ReleaseAsync();
        Write("for finance", "k8s:team=old");
        uint cookie = controller.Read(e => e.FindEndpoint(Database)!.Entries.Values.Select(v => v.Origins.Cookie).First(c => c != 0));
        EndpointPolicy before = controller.Read(e => e.FindEndpoint(Database)!);
        Assert.Equal(["for finance"], attribution.OfCookie(cookie)!.Logs);
        Write("for audit", "k8s:team=new");
        // No entry is another one, so nothing is written again.
        Assert.Same(before, controller.Read(e => e.FindEndpoint(Database)!));
        FlowAttribution allowed = attribution.OfCookie(cookie)!;
        FlowAttribution closed = attribution.OfDefault(Database, TrafficDirection.Ingress, withShadow: false)!;
        foreach (FlowAttribution told in new[] { allowed, closed })
        {
            Assert.Equal(["for audit"], told.Logs);
            Assert.Equal(["k8s:team=new"], Assert.Single(told.Policies).Labels);
        }

        void Write(string log, string label)
        {
            RuleOrigin origin = rule.Origin with { LogText = log, Labels = LabelSet.Parse(label) };
            _ = controller.ChangeAsync(engine => engine.UpsertPolicy(new PolicyDocument(origin.Policy, [rule with { Origin = origin }])));
        }
    }

    [Fact]
    public void Cookies_are_known_before_the_policy_is_published()
    {
        var controller = new PolicyController(new PolicyEngine(PolicyOptions.Default), new Ipcache.Ipcache());
        Task change = controller.ChangeAsync(engine =>
        {
            engine.UpsertEndpoint(Database, new SecurityIdentity(20001), Labels);
            engine.UpsertPolicy(new PolicyDocument(Key("early"), [Rule("early") with { Peers = null }]));
        });
        _ = controller.ReleaseAsync();
        Assert.False(change.IsFaulted);
        uint cookie = controller.Read(e => e.FindEndpoint(Database)!.Entries.Values.Select(v => v.Origins.Cookie).First(c => c != 0));
        Assert.NotNull(controller.Cookies.Find(cookie));
        Assert.NotNull(controller.DefaultDenies.Find(Database, TrafficDirection.Ingress));
        Assert.Equal(0, controller.Table.Snapshot().Count);
    }

    private IEnumerable<string> Closing()
        => _attribution.OfDefault(Database, TrafficDirection.Ingress, withShadow: false)!.Policies.Select(p => p.Name);

    private void Apply(NetworkRule rule)
    {
        _engine.UpsertPolicy(new PolicyDocument(rule.Origin.Policy, [rule]));
        Commit();
    }

    private void Commit()
    {
        foreach (EndpointPolicyChange change in _engine.Commit().Endpoints)
            _cookies.Learn(change.Delta);
        _defaults.Learn(_engine);
    }

    private static PolicyObjectKey Key(string name) => new(PolicyKind.CiliumNetworkPolicy, "shop", name);

    private static NetworkRule Rule(string name) => new()
    {
        Subject = new LabelsSelector(LabelRequirement.Equal(Label.Kubernetes, "app", "db")),
        Direction = TrafficDirection.Ingress,
        Peers = [],
        Origin = new RuleOrigin(Key(name), "", "spec.ingress[0]", LabelSet.Parse($"k8s:io.cilium.k8s.policy.name={name}")),
    };
}
