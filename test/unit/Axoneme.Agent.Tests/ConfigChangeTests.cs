// SPDX-License-Identifier: Apache-2.0
using Axoneme.AgentApi;

namespace Axoneme.Agent.Tests;

/// <summary>Settings that change while the agent runs.</summary>
public sealed class ConfigChangeTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Enforcement_and_audit_of_the_node_change_and_are_shown()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        using var stop = new CancellationTokenSource();
        Task running = agent.Control.Policies.RunAsync(stop.Token);
        await agent.Client.PatchConfigAsync(
            new DaemonConfigSpec(new Dictionary<string, string> { ["PolicyAuditMode"] = "Enabled", ["PolicyEnforcement"] = "never" }), Cancelled);
        DaemonConfig config = await agent.Client.GetConfigAsync(Cancelled);
        Assert.Equal("never", config.Spec.PolicyEnforcement);
        Assert.Equal("Enabled", config.Spec.Options!["PolicyAuditMode"]);

        AgentException refused = await Assert.ThrowsAsync<AgentException>(() => agent.Client.PatchConfigAsync(
            new DaemonConfigSpec(new Dictionary<string, string> { ["PolicyAuditMode"] = "Disabled", ["Debug"] = "true" }), Cancelled));
        Assert.Contains("Debug", refused.Message, StringComparison.Ordinal);
        Assert.Equal("Enabled", (await agent.Client.GetConfigAsync(Cancelled)).Spec.Options!["PolicyAuditMode"]);
        await stop.CancelAsync();
        await running.ContinueWith(_ => { }, TaskScheduler.Default);
    }

    [Fact]
    public async Task Audit_of_one_endpoint_changes_alone()
    {
        await using ApiAgent agent = await ApiAgent.StartAsync();
        using var stop = new CancellationTokenSource();
        Task running = agent.Control.Policies.RunAsync(stop.Token);
        await agent.Client.PatchEndpointConfigAsync("872", new EndpointSpec(new Dictionary<string, string> { ["PolicyAuditMode"] = "Enabled" }), Cancelled);
        Assert.Equal("Enabled", (await agent.Client.GetEndpointConfigAsync("872", Cancelled)).Realized.Options!["PolicyAuditMode"]);
        Assert.Equal((true, false, false), (agent.Control.Policies.Audits(872), agent.Control.Policies.Audits(873), agent.Control.Policies.AuditsAll));
        await Assert.ThrowsAsync<AgentException>(() => agent.Client.PatchEndpointConfigAsync(
            "872", new EndpointSpec(new Dictionary<string, string> { ["PolicyAuditMode"] = "perhaps" }), Cancelled));
        await Assert.ThrowsAsync<AgentException>(() => agent.Client.GetEndpointConfigAsync("99", Cancelled));
        await stop.CancelAsync();
        await running.ContinueWith(_ => { }, TaskScheduler.Default);
    }
}
