// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Configuration;
using Axoneme.Datapath;
using Axoneme.Hosting;
using Axoneme.Kubernetes;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;
using EndpointPolicy = Axoneme.Datapath.EndpointPolicy;

namespace Axoneme.Agent.HostPolicy;

/// <summary>The host firewall of a node on which it is on: the parts, and when each of them has its turn.</summary>
internal sealed class HostFirewall
{
    private readonly ControlPlane _control;
    private readonly HostFirewallOptions _options;
    private readonly HostEndpoint _host;
    private readonly HostPolicyFile _file;
    private readonly HostPolicyGate _gate;
    private readonly HostPolicyGuard _guard;
    private readonly ILogger _log;
    private PolicyTarget? _kernel;
    private UplinkFollower? _uplinks;
    private uint _room = uint.MaxValue;

    /// <param name="control">Policies and the API.</param>
    /// <param name="options">Of the agent.</param>
    /// <param name="host">The node as an endpoint.</param>
    /// <param name="connect">A client of the API that shares no connection with any other.</param>
    /// <param name="loggers">For the parts.</param>
    public HostFirewall(ControlPlane control, AgentOptions options, HostEndpoint host, Func<KubernetesClient> connect, ILoggerFactory loggers)
    {
        (_control, _options, _host) = (control, options.HostFirewall, host);
        ILogger<HostPolicyGuard> log = loggers.CreateLogger<HostPolicyGuard>();
        _log = log;
        _file = new HostPolicyFile(options.StateDirectory, log);
        var trial = new HostPolicyTrial(_options.ConfirmTimeout);
        _gate = new HostPolicyGate(trial, () => host.Labels);
        var checks = new HostPolicyChecks(_options, control.Ipcache, control.Policies, connect, new HostPolicyReach(options.Numbering));
        var parts = new HostPolicyParts(trial, _gate, checks, _file, control.Policies, control.Cluster, control.Events, control.NodeConditions, NotInKernel);
        control.NodeConditions.Register(HostPolicyGuard.Topic);
        _guard = new HostPolicyGuard(parts, host.Id, control.Engine, TimeProvider.System, log);
    }

    /// <summary>What users should know about the node's policy; null when there is nothing to say.</summary>
    public string? Status => (_guard.Status, _uplinks?.Warning) switch
    {
        ({ } policy, { } devices) => $"{policy}; {devices}",
        var (policy, devices) => policy ?? devices,
    };

    /// <summary>The labels of the node have changed. Inside a change of the policies.</summary>
    public void Relabelled() => _gate.Relabelled();

    /// <summary>Goes back to the confirmed policy if the last run ended during a trial, and makes the node an endpoint. Before policies come in.</summary>
    public async Task RestoreAsync(DatapathMaps maps, CancellationToken cancellation)
    {
        SavedHostPolicy saved = _file.Load();
        if (await TryGoBackAsync(saved, maps, cancellation))
            _log.LogWarning("The agent ended while the node's policy was on trial: the confirmed one is in force until the API was asked");
        _kernel = new PolicyTarget(maps, node: _host.Id);
        _room = maps.PolicyEntries;
        _guard.Restore(saved, _kernel.Read(_host.Id));
        _control.Repository.Amend = _gate.Amend;
        // Held back by the controller until rules and identities are complete.
        _ = _control.Policies.ChangeAsync(engine =>
        {
            engine.UpsertEndpoint(_host.Id, SecurityIdentity.Host, _host.Labels);
            if (new ManagementAllowance(_options.ManagementCidrs, _options.ManagementPorts).ToDocument() is { } document)
                engine.UpsertPolicy(document);
        });
    }

    public void Start(Modules modules, UplinkFollower uplinks, CancellationToken cancellation)
    {
        _uplinks = uplinks;
        modules.Start(HostPolicyGuard.ModuleName, _guard.RunAsync, cancellation);
        modules.Start(UplinkFollower.ModuleName, uplinks.RunAsync, cancellation);
    }

    /// <summary>All policy objects are known.</summary>
    public void Open() => _ = _control.Policies.ChangeAsync(_ => _guard.Open());

    /// <summary>The agent ends: what nobody looks after any more does not stay on trial.</summary>
    public async Task LeaveAsync(DatapathMaps maps)
    {
        if (await TryGoBackAsync(_file.Load(), maps, CancellationToken.None))
            _log.LogWarning("The agent ends while the node's policy is on trial: the confirmed one is in force again");
    }

    private string? NotInKernel(EndpointPolicy policy)
    {
        if (policy.Entries.Count > _room)
            return $"its {policy.Entries.Count} entries do not fit into the {_room} of the policy map (bpf-policy-map-max)";
        return _kernel?.Read(_host.Id) is { } actual && _kernel.IsSame(policy, actual) ? null : "the kernel did not take it";
    }

    private async Task<bool> TryGoBackAsync(SavedHostPolicy saved, DatapathMaps maps, CancellationToken cancellation)
    {
        if (saved.Trial is not { } trial)
            return false;
        var target = new PolicyTarget(maps, node: _host.Id);
        var failures = new ReconcileFailures<ushort>();
        EndpointPolicy confirmed = trial.Confirmed(_host.Id, target.LatestRevision() + 1);
        await target.ApplyAsync([confirmed], failures, cancellation);
        if (failures.Find(_host.Id) is { } problem)
            _log.LogError("The confirmed policy of the node cannot be written: {Problem}", problem);
        return true;
    }
}
