// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.HostPolicy;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Tables.Tests;
using Microsoft.Extensions.Logging.Abstractions;
using EndpointPolicy = Axoneme.Datapath.EndpointPolicy;

namespace Axoneme.Agent.Tests;

/// <summary>Trials of the node's policy beside an API server that comes and goes, with a kernel that takes everything at once.</summary>
public sealed class HostPolicyGuardTests : IAsyncLifetime
{
    private const ushort Host = 9;
    private const int Room = 50;
    private static readonly PolicyObjectKey Nodes = new(PolicyKind.CiliumClusterwideNetworkPolicy, "", "nodes");

    private readonly string _directory = Directory.CreateTempSubdirectory("axoneme-guard-").FullName;
    private readonly TcpListener _answering = new(IPAddress.Loopback, 0);
    private readonly FakeTime _time = new();
    private readonly KubernetesClient _nobody = new(new KubernetesConfig { Servers = [new Uri("http://127.0.0.1:1")] }, new KubernetesClientOptions());
    private readonly List<Task> _running = [];
    private CancellationTokenSource _stop = new();
    private ControlPlane _control = null!;
    private HostPolicyGuard _guard = null!;
    private HostPolicyFile _file = null!;

    /// <summary>Whether the API server answers, given the policy of the node.</summary>
    private volatile Func<EndpointPolicy?, bool> _answers = _ => true;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private EndpointPolicy? InForce => _control.Policies.Table.Snapshot().Find(Host);

    public async ValueTask InitializeAsync()
    {
        _answering.Start();
        await StartAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await EndAsync();
        _answering.Dispose();
        _nobody.Dispose();
        _stop.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    private async Task AnswerAsync(CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
        {
            try
            {
                using TcpClient client = await _answering.AcceptTcpClientAsync(cancellation);
                NetworkStream stream = client.GetStream();
                await stream.ReadExactlyAsync(new byte[16], cancellation);
                await stream.WriteAsync(Encoding.ASCII.GetBytes("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"), cancellation);
            }
            catch (IOException)
            {
                // Who asked has gone.
            }
        }
    }

    private KubernetesClient Connect()
    {
        int port = _answers(InForce) ? ((IPEndPoint)_answering.LocalEndpoint).Port : 1;
        return new KubernetesClient(
            new KubernetesConfig { Servers = [new Uri($"http://127.0.0.1:{port}")] }, new KubernetesClientOptions { Attempts = 1 });
    }

    /// <summary>One life of the agent.</summary>
    private async Task StartAsync(params CiliumClusterwideNetworkPolicy[] policies)
    {
        _stop = new CancellationTokenSource();
        _running.Add(AnswerAsync(_stop.Token));
        var options = new AgentOptions { NodeName = "one", StateDirectory = _directory, HostFirewall = new HostFirewallOptions { Enabled = true } };
        _control = new ControlPlane(options, _nobody, NullLoggerFactory.Instance);
        _file = new HostPolicyFile(_directory, NullLogger.Instance);
        var trial = new HostPolicyTrial(options.HostFirewall.ConfirmTimeout);
        LabelSet labels = LabelSet.Reserved("host");
        var gate = new HostPolicyGate(trial, () => labels);
        // No port is watched, so that what the machine listens on does not matter.
        var checks = new HostPolicyChecks(
            options.HostFirewall with { ManagementPorts = [] }, _control.Ipcache, _control.Policies, Connect, new HostPolicyReach(IdentityNumbering.Default));
        var parts = new HostPolicyParts(
            trial, gate, checks, _file, _control.Policies, _control.Cluster, _control.Events, _control.NodeConditions,
            policy => policy.Entries.Count > Room ? "it does not fit" : null);
        _control.NodeConditions.Register(HostPolicyGuard.Topic);
        _guard = new HostPolicyGuard(parts, Host, _control.Engine, _time, NullLogger<HostPolicyGuard>.Instance);
        _guard.Restore(_file.Load(), null);
        _control.Repository.Amend = gate.Amend;
        _ = _control.Policies.ChangeAsync(engine => engine.UpsertEndpoint(Host, SecurityIdentity.Host, labels));
        foreach (CiliumClusterwideNetworkPolicy policy in policies)
            _ = _control.Policies.ChangeAsync(_ => _control.Repository.Upsert(policy));
        _running.Add(_control.Policies.RunAsync(_stop.Token));
        _running.Add(_guard.RunAsync(_stop.Token));
        _ = _control.Policies.ChangeAsync(_ => _guard.Open());
        await _control.Policies.ReleaseAsync();
        foreach (CiliumClusterwideNetworkPolicy policy in policies)
            _control.Cluster.CiliumClusterwideNetworkPolicies.Upsert(policy);
        _running.Add(_control.PolicyObjects.RunAsync(_stop.Token));
    }

    private async Task EndAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_running).ContinueWith(_ => { }, TaskScheduler.Default);
        _running.Clear();
        _control.Dispose();
    }

    private static CiliumClusterwideNetworkPolicy Policy(int generation, string egress = "{}") => JsonSerializer.Deserialize(
        $$$"""{"metadata":{"name":"nodes","uid":"u","generation":{{{generation}}},"resourceVersion":"{{{generation}}}"},"spec":{"nodeSelector":{},"egress":[{{{egress}}}]}}""",
        KubernetesJson.Default.CiliumClusterwideNetworkPolicy)!;

    /// <param name="condition">Ends the wait.</param>
    /// <param name="clock">Whether time goes on meanwhile, quicker than outside.</param>
    private async Task UntilAsync(Func<bool> condition, bool clock = false)
    {
        var limit = TimeSpan.FromSeconds(30);
        long start = TimeProvider.System.GetTimestamp();
        while (!condition())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(start) < limit, $"the condition never held; status: {_guard.Status}");
            await Task.Delay(10, Cancelled);
            if (clock)
                _time.Advance(TimeSpan.FromSeconds(1));
        }
    }

    /// <summary>What users see at the object; null: nothing is wrong on this node.</summary>
    private Condition? AtObject => _control.NodeConditions.Next([], Nodes) is { } conditions ? Assert.Single(conditions) : null;

    // What is on disk counts first, what users see follows.
    private bool IsConfirmed()
        => _file.Load() is { Trial: null } saved && saved.Confirmed.ContainsKey("nodes") && _guard.Status is null && AtObject is null;

    private Task UntilStatusAsync(string text) => UntilAsync(() => _guard.Status?.Contains(text, StringComparison.Ordinal) == true, clock: true);

    [Fact]
    public async Task Change_waits_until_the_API_server_answers_a_new_connection()
    {
        _answers = _ => false;
        _control.Cluster.CiliumClusterwideNetworkPolicies.Upsert(Policy(1));
        await UntilStatusAsync("nodes waits for the API server, which does not answer");
        await UntilAsync(() => AtObject is not null);
        Assert.False(InForce?.EgressEnforced);
        Assert.Equal(("axoneme.io/HostFirewall-one", "False", "Waiting"), (AtObject?.Type, AtObject?.Status, AtObject?.Reason));
        _answers = _ => true;
        await UntilAsync(IsConfirmed, clock: true);
        Assert.True(InForce?.EgressEnforced);
    }

    [Fact]
    public async Task Version_under_which_the_API_server_is_silent_is_rolled_back_and_tried_again()
    {
        _answers = policy => policy is not { EgressEnforced: true };
        _control.Cluster.CiliumClusterwideNetworkPolicies.Upsert(Policy(1));
        await UntilStatusAsync("rolled back to the confirmed policy");
        await UntilAsync(() => InForce is { EgressEnforced: false } && AtObject?.Reason == "RolledBack");
        Assert.Matches("nodes is tried again from .* after 1 of at most 10 trials and 1 of at most 3", _guard.Status);
        Assert.Matches("could not be reached by a new connection .* It is tried again from", AtObject?.Message);

        // What was in its way has gone, without anybody's editing the policy.
        _answers = _ => true;
        await UntilAsync(IsConfirmed, clock: true);
        Assert.True(InForce?.EgressEnforced);
    }

    [Fact]
    public async Task Version_that_cuts_off_the_API_server_each_time_is_given_up()
    {
        _answers = policy => policy is not { EgressEnforced: true };
        _control.Cluster.CiliumClusterwideNetworkPolicies.Upsert(Policy(1));
        await UntilAsync(
            () => _file.Load().Rejected.ContainsKey("nodes") && _guard.Status?.Contains("tried again from", StringComparison.Ordinal) == false, clock: true);
        await UntilAsync(() => InForce is { EgressEnforced: false });
        _control.Cluster.CiliumClusterwideNetworkPolicies.Upsert(Policy(2, """{"toEntities":["all"]}"""));
        _answers = _ => true;
        await UntilAsync(IsConfirmed, clock: true);
    }

    [Fact]
    public async Task API_server_that_stays_away_after_the_roll_back_excuses_the_version()
    {
        bool wasTried = false;
        _answers = policy => !(wasTried |= policy is { EgressEnforced: true });
        _control.Cluster.CiliumClusterwideNetworkPolicies.Upsert(Policy(1));
        await UntilStatusAsync("after 1 of at most 10 trials and 0 of at most 3");
        Assert.Equal((1, 0), (_file.Load().Postponed["nodes"].Trials, _file.Load().Postponed["nodes"].Cuts));
        await UntilStatusAsync("nodes waits for the API server");
        Assert.False(InForce?.EgressEnforced);
    }

    [Fact]
    public async Task Policy_that_does_not_fit_into_the_map_is_rejected_and_says_so()
    {
        string ports = string.Join(',', Enumerable.Range(1, Room + 1).Select(i => $$$"""{"ports":[{"port":"{{{i * 3}}}","protocol":"TCP"}]}"""));
        _control.Cluster.CiliumClusterwideNetworkPolicies.Upsert(Policy(1, $$"""{"toEntities":["world"],"toPorts":[{{ports}}]}"""));
        await UntilAsync(() => _file.Load().Rejected.ContainsKey("nodes") && AtObject?.Reason == "RolledBack", clock: true);
        await UntilAsync(() => InForce is { EgressEnforced: false, Entries.Count: < Room });
        Assert.Contains("it does not fit", _guard.Status);
        Assert.Contains("it does not fit", AtObject?.Message);
    }

    [Fact]
    public async Task Agent_that_restarts_goes_on_waiting_for_the_next_trial()
    {
        _answers = policy => policy is not { EgressEnforced: true };
        _control.Cluster.CiliumClusterwideNetworkPolicies.Upsert(Policy(1));
        await UntilAsync(() => _file.Load().Postponed.ContainsKey("nodes"), clock: true);
        await EndAsync();

        await StartAsync(Policy(1));
        _answers = _ => true;
        Assert.Contains("nodes is tried again from", _guard.Status);
        Assert.False(InForce?.EgressEnforced);
        await UntilAsync(IsConfirmed, clock: true);
        Assert.True(InForce?.EgressEnforced);
    }
}
