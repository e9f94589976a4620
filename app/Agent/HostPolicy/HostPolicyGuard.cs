// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Text.Json;
using System.Threading.Channels;
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Policies;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Linux;
using Axoneme.Policy;
using Microsoft.Extensions.Logging;
using EndpointPolicy = Axoneme.Datapath.EndpointPolicy;

namespace Axoneme.Agent.HostPolicy;

/// <summary>What the guard works with.</summary>
internal sealed record HostPolicyParts(
    HostPolicyTrial Trial,
    HostPolicyGate Gate,
    HostPolicyChecks Checks,
    HostPolicyFile File,
    PolicyController Policies,
    ClusterState Cluster,
    EventRecorder Events,
    Func<EndpointPolicy, bool> IsInKernel);

/// <summary>
/// Watches over changes of the node's own policy: writes down what to go back to before a change is in force, looks whether it cuts anybody
/// off, and confirms it or rolls it back.
/// </summary>
/// <param name="parts">Everything else.</param>
/// <param name="endpoint">Number of the node as an endpoint.</param>
/// <param name="engine">Used while <see cref="PolicyController"/> runs a change, and by nobody else then.</param>
/// <param name="time">The clock.</param>
/// <param name="log">Where changes of the node's policy are told.</param>
internal sealed class HostPolicyGuard(
    HostPolicyParts parts, ushort endpoint, PolicyEngine engine, TimeProvider time, ILogger<HostPolicyGuard> log)
{
    public const string ModuleName = "host-policy";

    private static readonly TimeSpan CheckInterval = TimeSpan.FromSeconds(1);

    private readonly Channel<bool> _begun = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private ImmutableDictionary<string, string> _objects = ImmutableDictionary<string, string>.Empty;
    private volatile string? _status;
    private RollBack? _rollBack;
    private EndpointPolicy _confirmed = new(endpoint, 1);
    private ImmutableHashSet<string> _told = [];

    /// <summary>What users should know about the node's policy: on trial, or rolled back. Null when there is nothing to say.</summary>
    public string? Status => _status;

    /// <summary>Takes over what the last run left. Before objects come in.</summary>
    /// <param name="saved">From disk.</param>
    /// <param name="inKernel">What the kernel enforces; null: nothing yet.</param>
    public void Restore(SavedHostPolicy saved, EndpointPolicy? inKernel)
    {
        parts.Trial.Restore(saved.Confirmed, saved.Rejected, saved.Trial?.Version, saved.Trial?.Interruptions ?? 0);
        foreach ((string name, string json) in saved.Objects)
        {
            if (Translate(json) is { } document)
                parts.Gate.Restore(name, document.Rules);
        }

        (_objects, _rollBack, _told) = (saved.Objects, saved.RollBack, [.. saved.Rejected.Keys]);
        _confirmed = inKernel ?? _confirmed;
        Tell([]);
        parts.Gate.Changed = OnChanged;
    }

    /// <summary>All policy objects are known: decides what of them is in force. Inside a change of the policies.</summary>
    public void Open()
    {
        parts.Gate.IsComplete = true;
        OnChanged();
        parts.Gate.Apply(engine);
    }

    /// <summary>Looks after trials until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        while (true)
        {
            if (parts.Policies.Read(_ => parts.Trial.Version) is { } version)
                await CheckAsync(version, cancellation);
            else
                await _begun.Reader.ReadAsync(cancellation);
        }
    }

    /// <summary>One look at a trial after another, until it ends or another one takes its place.</summary>
    private async Task CheckAsync(string version, CancellationToken cancellation)
    {
        ManagementAccess access = Observe();
        // What is published after this was queued behind the change that began the trial.
        await parts.Policies.WhenReleased.WaitAsync(cancellation);
        await parts.Policies.ChangeAsync(static _ => { });
        while (true)
        {
            EndpointPolicy policy = parts.Policies.Table.Snapshot().Find(endpoint) ?? _confirmed;
            IReadOnlyList<string> failures = parts.IsInKernel(policy)
                ? await parts.Checks.RunAsync(_confirmed, policy, access, cancellation)
                : ["the kernel did not take it"];
            // The policy moves with the identities that it speaks of, and what was seen has to be of one and the same.
            if (failures.Count == 0 && !parts.IsInKernel(policy))
                failures = ["the kernel did not take it"];
            TrialStep step = TrialStep.Waiting;
            bool isCurrent = false;
            await parts.Policies.ChangeAsync(_ =>
            {
                (string[] names, DateTimeOffset begun) = ([.. parts.Trial.OnTrial], parts.Trial.Begun);
                step = parts.Trial.Judge(version, failures, time.GetUtcNow());
                isCurrent = parts.Trial.Version == version;
                End(step, names, begun, failures);
            });
            if (!isCurrent)
                return;
            Tell(failures);
            await Task.Delay(CheckInterval, time, cancellation);
        }
    }

    // Inside a change of the policies, before the engine commits: what is on disk afterwards counts when what is in the kernel does.
    private void OnChanged() => Decide(mayNoteConfirmed: true);

    // What is published is the confirmed policy, unless a trial has just failed.
    private void Decide(bool mayNoteConfirmed)
    {
        (string[] names, DateTimeOffset begun) = ([.. parts.Trial.OnTrial], parts.Trial.Begun);
        string? before = parts.Trial.Version;
        TrialStep step = parts.Trial.Decide(time.GetUtcNow());
        switch (step)
        {
            case TrialStep.Begun:
                // The version of a trial that another one follows without an end was never confirmed.
                if (mayNoteConfirmed && before is null && parts.Policies.Table.Snapshot().Find(endpoint) is { } confirmed)
                    _confirmed = confirmed;
                parts.Gate.KeepConfirmed(engine);
                Save();
                log.LogInformation(
                    "The node's policy changes with {Policies}; it is confirmed once nobody is found to be cut off, or rolled back at {Deadline:O}",
                    string.Join(", ", parts.Trial.OnTrial), parts.Trial.Deadline);
                Tell([]);
                _begun.Writer.TryWrite(true);
                break;
            case TrialStep.RolledBack:
                End(step, names, begun, [$"the agent was ended {HostPolicyTrial.MaximalInterruptions} times"]);
                break;
            case TrialStep.Confirmed:
                End(step, names, begun, []);
                break;
            case TrialStep.Settled when before is not null || (_rollBack is not null && parts.Trial.Rejected.Count == 0):
                parts.Gate.Settle(engine);
                TryNextSuspects(mayNoteConfirmed: true);
                NarrowRollBack();
                Save();
                Tell([]);
                break;
        }
    }

    private void End(TrialStep step, string[] names, DateTimeOffset begun, IReadOnlyList<string> reasons)
    {
        if (step is not (TrialStep.Confirmed or TrialStep.RolledBack))
            return;
        if (step == TrialStep.RolledBack)
        {
            _rollBack = new RollBack([.. names], [.. reasons], begun, time.GetUtcNow());
            log.LogError("The node's policy was {What}", _rollBack);
        }
        else
        {
            NoteConfirmed();
            log.LogInformation("The node's policy is confirmed: {Policies}", parts.Trial.Confirmed.Count == 0 ? "none" : string.Join(", ", parts.Trial.Confirmed.Keys));
        }

        parts.Gate.Settle(engine);
        TryNextSuspects(mayNoteConfirmed: step == TrialStep.Confirmed);
        NarrowRollBack();
        parts.Gate.Apply(engine);
        Save();
        Tell([]);
        TellOwners();
    }

    private void TryNextSuspects(bool mayNoteConfirmed)
    {
        while (parts.Trial.TryNextSuspect())
            Decide(mayNoteConfirmed);
    }

    // Of what failed together, some may have proved themselves since.
    private void NarrowRollBack()
    {
        if (_rollBack is null || parts.Trial.Version is not null)
            return;
        ImmutableArray<string> blamed = [.. _rollBack.Policies.Where(parts.Trial.Rejected.ContainsKey)];
        if (parts.Trial.Rejected.Count == 0)
            _rollBack = null;
        else if (!blamed.IsEmpty)
            _rollBack = _rollBack with { Policies = blamed };
    }

    // The API's objects are kept as they are, so that a later version of the agent can read them as well as this one.
    private void NoteConfirmed()
    {
        ImmutableDictionary<string, string>.Builder objects = ImmutableDictionary.CreateBuilder<string, string>();
        foreach ((string name, string version) in parts.Trial.Confirmed)
        {
            CiliumClusterwideNetworkPolicy? present = parts.Cluster.CiliumClusterwideNetworkPolicies.Snapshot().Find(new ResourceName(name));
            string? json = present is null ? null : JsonSerializer.Serialize(present, KubernetesJson.Default.CiliumClusterwideNetworkPolicy);
            // The watch may be ahead of what was confirmed, and what was confirmed before may be what is held.
            if (json is not null && parts.Gate.VersionOf(Translate(json)) == version)
                objects[name] = json;
            else if (_objects.TryGetValue(name, out string? earlier))
                objects[name] = earlier;
        }

        _objects = objects.ToImmutable();
    }

    private PolicyDocument? Translate(string json)
    {
        try
        {
            CiliumClusterwideNetworkPolicy? resource = JsonSerializer.Deserialize(json, KubernetesJson.Default.CiliumClusterwideNetworkPolicy);
            if (resource is null)
                return null;
            var scratch = new PolicyEngine(engine.Options);
            new PolicyRepository(scratch).Upsert(resource);
            return scratch.FindPolicy(PolicyRepository.KeyOf(resource));
        }
        catch (JsonException e)
        {
            log.LogWarning("A confirmed policy on disk cannot be read: {Reason}", e.Message);
            return null;
        }
    }

    private void Save() => parts.File.TrySave(new SavedHostPolicy
    {
        Confirmed = parts.Trial.Confirmed.ToImmutableDictionary(),
        Rejected = parts.Trial.Rejected.ToImmutableDictionary(),
        Objects = _objects,
        Trial = parts.Trial.Version is { } version ? SavedTrial.From(version, parts.Trial.Interruptions, _confirmed) : null,
        RollBack = _rollBack,
    });

    private void Tell(IReadOnlyList<string> failures)
    {
        string? trial = parts.Trial.Version is null
            ? null
            : $"{string.Join(", ", parts.Trial.OnTrial)} on trial until {parts.Trial.Deadline:yyyy-MM-ddTHH:mm:ssZ}{(failures.Count == 0 ? "" : $": {string.Join("; ", failures)}")}";
        _status = (trial, _rollBack?.ToString()) switch
        {
            (null, var back) => back,
            (var now, null) => now,
            var (now, back) => $"{now}; before, {back}",
        };
    }

    private void TellOwners()
    {
        foreach (string name in parts.Trial.Rejected.Keys.Where(name => !_told.Contains(name)))
        {
            if (parts.Cluster.CiliumClusterwideNetworkPolicies.Snapshot().Find(new ResourceName(name)) is { } resource)
                parts.Events.Warning(resource, "HostPolicyRolledBack", $"The policy for this node was {_rollBack}. Another version is tried again.");
        }

        _told = [.. parts.Trial.Rejected.Keys];
    }

    private ManagementAccess Observe()
    {
        try
        {
            return parts.Checks.Observe();
        }
        catch (SystemCallException e)
        {
            log.LogWarning("Sessions of the node cannot be listed, so that a policy that ends them is not noticed: {Reason}", e.Message);
            return new ManagementAccess([], []);
        }
    }
}
