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
/// <param name="NotInKernel">Why the kernel does not have the node's policy, in words; null: it has.</param>
internal sealed record HostPolicyParts(
    HostPolicyTrial Trial,
    HostPolicyGate Gate,
    HostPolicyChecks Checks,
    HostPolicyFile File,
    PolicyController Policies,
    ClusterState Cluster,
    EventRecorder Events,
    NodeConditions Conditions,
    Func<EndpointPolicy, string?> NotInKernel);

/// <summary>
/// Watches over changes of the node's own policy: begins a trial when the API server answers, so that its silence would mean something, writes
/// down what to go back to before a change is in force, looks whether it cuts anybody off, and confirms it or rolls it back.
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

    /// <summary>Of the conditions at policies that do not do on this node what they say.</summary>
    public const string Topic = "HostFirewall";

    private static readonly TimeSpan CheckInterval = TimeSpan.FromSeconds(1);

    // After a roll-back the kernel has the confirmed policy within a moment, or something else is wrong.
    private const int LooksAfterRollBack = 5;

    private readonly Channel<bool> _changed = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private ImmutableDictionary<string, string> _objects = ImmutableDictionary<string, string>.Empty;
    private volatile string? _status;
    private RollBack? _rollBack;
    private EndpointPolicy _confirmed = new(endpoint, 1);
    private ImmutableHashSet<string> _told = [];

    // Why a trial cannot begin; null: nobody has looked, or it can.
    private string? _awaited;

    /// <summary>What users should know about the node's policy: on trial, waiting, or rolled back. Null when there is nothing to say.</summary>
    public string? Status => _status;

    /// <summary>Takes over what the last run left. Before objects come in.</summary>
    /// <param name="saved">From disk.</param>
    /// <param name="inKernel">What the kernel enforces; null: nothing yet.</param>
    public void Restore(SavedHostPolicy saved, EndpointPolicy? inKernel)
    {
        parts.Trial.Restore(saved.Confirmed, saved.Rejected, saved.Postponed, saved.Trial?.Version, saved.Trial?.Interruptions ?? 0);
        foreach ((string name, string json) in saved.Objects)
        {
            if (Translate(json) is { } document)
                parts.Gate.Restore(name, document.Rules);
        }

        (_objects, _rollBack, _told) = (saved.Objects, saved.RollBack, [.. saved.Rejected.Keys.Union(saved.Postponed.Keys)]);
        _confirmed = inKernel ?? _confirmed;
        Tell([]);
        parts.Gate.Changed = OnChanged;
    }

    /// <summary>All policy objects are known: decides what of them is in force. Inside a change of the policies.</summary>
    public void Open()
    {
        parts.Gate.IsComplete = true;
        parts.Trial.Complete();
        OnChanged();
        parts.Gate.Apply(engine);
    }

    /// <summary>Looks after trials until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        await parts.Policies.WhenReleased.WaitAsync(cancellation);
        while (true)
        {
            (string? version, bool isWaiting, DateTimeOffset? next) = parts.Policies.Read(
                _ => (parts.Trial.Version, parts.Trial.Waiting(time.GetUtcNow()).Count > 0, parts.Trial.NextTrial));
            if (version is not null)
                await CheckAsync(version, cancellation);
            else if (isWaiting)
                await AdmitAsync(cancellation);
            else
                await WaitAsync(next, cancellation);
        }
    }

    /// <summary>Until something changes, or until the time has come.</summary>
    private async Task WaitAsync(DateTimeOffset? next, CancellationToken cancellation)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task change = _changed.Reader.ReadAsync(end.Token).AsTask();
        TimeSpan left = next is { } due ? due - time.GetUtcNow() : Timeout.InfiniteTimeSpan;
        if (left >= TimeSpan.Zero || next is null)
            await Task.WhenAny(change, Task.Delay(left, time, end.Token));
        await end.CancelAsync();
        cancellation.ThrowIfCancellationRequested();
    }

    /// <summary>
    /// Whether the API server answers under the confirmed policy: only then does its silence under another one mean something, and what waits
    /// may begin.
    /// </summary>
    private async Task AdmitAsync(CancellationToken cancellation)
    {
        string? problem = await parts.Checks.ProbeAsync(cancellation);
        await parts.Policies.ChangeAsync(_ =>
        {
            if (problem is not null && _awaited is null)
                log.LogWarning("The node's policy waits for the API server, which does not answer: {Problem}", problem);
            _awaited = problem;
            Tell([]);
            if (problem is not null)
                return;
            parts.Trial.Admit(time.GetUtcNow());
            Decide(mayNoteConfirmed: true);
            parts.Gate.Apply(engine);
        }).WaitAsync(cancellation);
        if (problem is not null)
            await Task.Delay(CheckInterval, time, cancellation);
    }

    /// <summary>After a roll-back because of what the confirmed policy may not let pass either.</summary>
    private async Task ReconsiderAsync(CancellationToken cancellation)
    {
        for (int look = 0; look < LooksAfterRollBack && parts.Policies.Table.Snapshot().Find(endpoint) is { } policy && parts.NotInKernel(policy) is not null; look++)
            await Task.Delay(CheckInterval, time, cancellation);
        if (await parts.Checks.ProbeAsync(cancellation) is not { } problem)
            return;
        await parts.Policies.ChangeAsync(_ =>
        {
            log.LogWarning("The API server does not answer under the confirmed policy either, so the other version is not to blame: {Problem}", problem);
            parts.Trial.Excuse();
            Save();
            Tell([]);
        }).WaitAsync(cancellation);
    }

    /// <summary>One look at a trial after another, until it ends or another one takes its place.</summary>
    private async Task CheckAsync(string version, CancellationToken cancellation)
    {
        ManagementAccess access = Observe();
        // What is published after this was queued behind the change that began the trial.
        await parts.Policies.ChangeAsync(static _ => { }).WaitAsync(cancellation);
        for (int look = 0; ; look++)
        {
            EndpointPolicy policy = parts.Policies.Table.Snapshot().Find(endpoint) ?? _confirmed;
            IReadOnlyList<TrialFailure> failures = parts.NotInKernel(policy) is { } missing
                ? [new TrialFailure(missing)]
                : await parts.Checks.RunAsync(_confirmed, policy, access, cancellation);
            // The policy moves with the identities that it speaks of, and what was seen has to be of one and the same.
            if (failures.Count == 0 && parts.NotInKernel(policy) is { } replaced)
                failures = [new TrialFailure(replaced)];
            TrialStep step = TrialStep.Waiting;
            bool isCurrent = false;
            await parts.Policies.ChangeAsync(_ =>
            {
                (string[] names, DateTimeOffset begun) = ([.. parts.Trial.OnTrial], parts.Trial.Begun);
                step = parts.Trial.Judge(version, failures, time.GetUtcNow());
                isCurrent = parts.Trial.Version == version;
                End(step, names, begun, failures);
                // The first look often comes before the kernel has the policy: nothing to trouble the API with.
                if (isCurrent)
                    Tell(failures, look > 0 ? failures : []);
            }).WaitAsync(cancellation);
            if (step == TrialStep.Postponed)
                await ReconsiderAsync(cancellation);
            if (!isCurrent)
                return;
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
                break;
            case TrialStep.RolledBack:
                End(step, names, begun, [new TrialFailure($"the agent was ended {HostPolicyTrial.MaximalInterruptions} times")]);
                break;
            case TrialStep.Confirmed:
                End(step, names, begun, []);
                break;
            case TrialStep.Settled when before is not null || (_rollBack is not null && parts.Trial.Failed.Count == 0):
                parts.Gate.Settle(engine);
                TryNextSuspects(mayNoteConfirmed: true);
                NarrowRollBack();
                Save();
                Tell([]);
                break;
        }

        if (parts.Trial.Waiting(time.GetUtcNow()).Count == 0)
            _awaited = null;
        _changed.Writer.TryWrite(true);
    }

    private void End(TrialStep step, string[] names, DateTimeOffset begun, IReadOnlyList<TrialFailure> failures)
    {
        if (step is not (TrialStep.Confirmed or TrialStep.RolledBack or TrialStep.Postponed))
            return;
        if (step != TrialStep.Confirmed)
        {
            _rollBack = new RollBack([.. names], [.. failures.Select(f => f.Text)], begun, time.GetUtcNow());
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
        IReadOnlyList<string> failed = parts.Trial.Failed;
        ImmutableArray<string> blamed = [.. _rollBack.Policies.Where(failed.Contains)];
        if (failed.Count == 0)
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
        Postponed = parts.Trial.Postponed.ToImmutableDictionary(),
        Objects = _objects,
        Trial = parts.Trial.Version is { } version ? SavedTrial.From(version, parts.Trial.Interruptions, _confirmed) : null,
        RollBack = _rollBack,
    });

    private void Tell(IReadOnlyList<TrialFailure> failures) => Tell(failures, failures);

    private void Tell(IReadOnlyList<TrialFailure> failures, IReadOnlyList<TrialFailure> lasting)
    {
        string? now = parts.Trial.Version is not null ? $"{string.Join(", ", parts.Trial.OnTrial)} {OnTrial(failures)}"
            : WaitingFor() is { } reason ? $"{string.Join(", ", parts.Trial.Waiting(time.GetUtcNow()))} {reason}"
            : null;
        string? later = parts.Trial.Postponed.Count == 0
            ? null
            : string.Join("; ", parts.Trial.Postponed.Select(p => $"{p.Key} {TriedAgain(p.Value)}"));
        string? back = _rollBack is null || later is null ? _rollBack?.ToString() : $"{_rollBack}; {later}";
        _status = (now, back) switch
        {
            (null, _) => back,
            (_, null) => now,
            _ => $"{now}; before, {back}",
        };
        parts.Conditions.Publish(Topic, Conditions(lasting));
    }

    /// <summary>What users see at the objects. A trial that goes well is over before anybody would look.</summary>
    private ImmutableDictionary<PolicyObjectKey, NodeCondition> Conditions(IReadOnlyList<TrialFailure> failures)
    {
        var conditions = ImmutableDictionary.CreateBuilder<PolicyObjectKey, NodeCondition>();
        foreach (string name in parts.Trial.Failed)
            conditions[HostPolicyGate.KeyOf(name)] = new NodeCondition("RolledBack", WhatFailed(name));
        foreach (string name in WaitingFor() is null ? [] : parts.Trial.Waiting(time.GetUtcNow()))
            conditions[HostPolicyGate.KeyOf(name)] = new NodeCondition("Waiting", $"The policy for this node {WaitingFor()}");
        foreach (string name in failures.Count == 0 || parts.Trial.Version is null ? [] : parts.Trial.OnTrial)
            conditions[HostPolicyGate.KeyOf(name)] = new NodeCondition("OnTrial", $"The policy for this node is {OnTrial(failures)}");
        return conditions.ToImmutable();
    }

    private string OnTrial(IReadOnlyList<TrialFailure> failures)
        => $"on trial until {parts.Trial.Deadline:yyyy-MM-ddTHH:mm:ssZ}{(failures.Count == 0 ? "" : $": {string.Join("; ", failures.Select(f => f.Text))}")}";

    private string? WaitingFor() => _awaited is null || parts.Trial.Waiting(time.GetUtcNow()).Count == 0
        ? null
        : $"waits for the API server, which does not answer ({_awaited}); the confirmed version stays in force";

    private static string TriedAgain(Postponement later)
        => $"is tried again from {later.NotBefore:yyyy-MM-ddTHH:mm:ssZ} when the API server answers, after {later.Trials} of at most "
            + $"{HostPolicyTrial.MaximalTrials} trials and {later.Cuts} of at most {HostPolicyTrial.MaximalCuts} in which only the policy seemed to be in its way";

    // Something else may have been rolled back since.
    private string WhatFailed(string name)
    {
        string what = _rollBack is { } back && back.Policies.Contains(name) ? $"was {back}" : "was rolled back to the confirmed one";
        string next = parts.Trial.Postponed.TryGetValue(name, out Postponement? later) ? $"It {TriedAgain(later)}." : "Another version is tried again.";
        return $"The policy for this node {what}. {next}";
    }

    private void TellOwners()
    {
        IReadOnlyList<string> failed = parts.Trial.Failed;
        foreach (string name in failed.Where(name => !_told.Contains(name)))
        {
            if (parts.Cluster.CiliumClusterwideNetworkPolicies.Snapshot().Find(new ResourceName(name)) is { } resource)
                parts.Events.Warning(resource, "HostPolicyRolledBack", WhatFailed(name));
        }

        _told = [.. failed];
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
