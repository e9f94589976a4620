// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Agent.HostPolicy;

/// <summary>What a look at the trial brought.</summary>
internal enum TrialStep
{
    /// <summary>What is in force is confirmed: there is nothing to prove.</summary>
    Settled,

    /// <summary>Another version is in force now, and has to prove itself from the beginning.</summary>
    Begun,

    /// <summary>The version in force has not proved itself yet, and still has time.</summary>
    Waiting,

    /// <summary>The version in force has proved itself.</summary>
    Confirmed,

    /// <summary>The time is over: what was on trial is not in force any more, and the confirmed version counts again.</summary>
    RolledBack,

    /// <summary>Likewise, but the version may be innocent: it gets another trial later.</summary>
    Postponed,
}

/// <summary>Something that does not work during a trial.</summary>
/// <param name="Text">In words.</param>
/// <param name="MayPass">It may have another cause than the policy, which goes away by itself.</param>
internal sealed record TrialFailure(string Text, bool MayPass = false);

/// <summary>A version that has failed, perhaps for another reason than itself, and is tried again.</summary>
/// <param name="Version">Empty: the deletion of the object.</param>
/// <param name="Trials">That it has had.</param>
/// <param name="Cuts">Those of them that it seems to blame for: what failed worked again under the confirmed version.</param>
/// <param name="NotBefore">When the next one may begin.</param>
internal sealed record Postponement(string Version, int Trials, int Cuts, DateTimeOffset NotBefore);

/// <summary>
/// Decides which version of each policy object is in force on the node: the one that users want, once somebody has looked that a trial can
/// tell anything (<see cref="Admit"/>), or the last one that has proved that nobody is cut off, as long as the wanted one has not begun or has
/// failed to prove it. Versions are texts that are the same exactly if the rules for the node are. No I/O and no clock; not thread-safe.
/// </summary>
/// <param name="timeout">What a version on trial may take; 0: everything is confirmed at once.</param>
internal sealed class HostPolicyTrial(TimeSpan timeout)
{
    /// <summary>The agent ended so often during the trial of one version that the version must be to blame.</summary>
    public const int MaximalInterruptions = 3;

    /// <summary>Trials that a version may fail for what may pass, before it is rejected: where it seems to blame, and in all.</summary>
    public const int MaximalCuts = 3;

    /// <inheritdoc cref="MaximalCuts"/>
    public const int MaximalTrials = 10;

    // The pause after the first such trial; twice as long after each of the next.
    private static readonly TimeSpan FirstPause = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(30);

    // Stands for "no rules for the node".
    private const string Absent = "";

    private readonly SortedDictionary<string, string> _wanted = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, string> _confirmed = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, string> _rejected = new(StringComparer.Ordinal);

    // Objects whose versions failed together and wait for a trial by themselves, the latest change last. They are among the rejected so long.
    private readonly List<string> _suspects = [];
    private readonly Dictionary<string, long> _changes = [];

    // Versions that a trial may have in force, whether it has ended or not.
    private readonly Dictionary<string, string> _admitted = [];
    private readonly SortedDictionary<string, Postponement> _postponed = new(StringComparer.Ordinal);
    private IReadOnlyList<string> _justPostponed = [];
    private string? _interrupted;
    private long _change;
    private bool _isCulpritKnown;

    public IReadOnlyDictionary<string, string> Confirmed => _confirmed;

    /// <summary>
    /// Versions that failed, by object; an empty one is its deletion. They are not tried again. Those that failed together with others are not
    /// among them before it is known which of them is to blame.
    /// </summary>
    public IReadOnlyDictionary<string, string> Rejected => _suspects.Count == 0
        ? _rejected
        : _rejected.Where(r => !_suspects.Contains(r.Key)).ToDictionary();

    /// <summary>Versions that are tried again, by object.</summary>
    public IReadOnlyDictionary<string, Postponement> Postponed => _postponed;

    /// <summary>Objects of which another version than the wanted one is in force because a trial has shown, or seems to have shown, what it does.</summary>
    public IReadOnlyList<string> Failed => [.. Rejected.Keys.Union(_postponed.Keys).Order(StringComparer.Ordinal)];

    /// <summary>What is on trial, in one text; null when nothing is.</summary>
    public string? Version { get; private set; }

    /// <summary>When the trial began. Meaningful while there is a <see cref="Version"/>.</summary>
    public DateTimeOffset Begun { get; private set; }

    public DateTimeOffset Deadline => Begun + timeout;

    /// <summary>How many trials of the version came to no end because the agent did.</summary>
    public int Interruptions { get; private set; }

    /// <summary>Every object that is or was of interest.</summary>
    public IEnumerable<string> Objects => _wanted.Keys.Union(_confirmed.Keys).Union(_rejected.Keys).Order(StringComparer.Ordinal);

    /// <summary>The objects whose version in force is not confirmed.</summary>
    public IReadOnlyList<string> OnTrial => [.. Objects.Where(name => InForce(name) != Of(_confirmed, name))];

    /// <summary>The confirmed version is in force although another one is wanted.</summary>
    public bool IsHeld(string name) => IsRejected(name) || IsAwaiting(name);

    /// <summary>Objects whose wanted versions would be on trial if <see cref="Admit"/> was called.</summary>
    public IReadOnlyList<string> Waiting(DateTimeOffset now)
        => [.. Objects.Where(name => IsAwaiting(name) && !(_postponed.TryGetValue(name, out Postponement? later) && now < later.NotBefore))];

    /// <summary>When the next of what is postponed is due; null when nothing is.</summary>
    public DateTimeOffset? NextTrial => _postponed.Count == 0 ? null : _postponed.Values.Min(p => p.NotBefore);

    /// <summary>Takes over what an earlier run of the agent left. Before anything else.</summary>
    /// <param name="confirmed">Versions by object.</param>
    /// <param name="rejected">Versions by object.</param>
    /// <param name="postponed">By object.</param>
    /// <param name="interrupted">What was on trial when that run ended; null when nothing was.</param>
    /// <param name="interruptions">How often that had happened to it before.</param>
    public void Restore(
        IEnumerable<KeyValuePair<string, string>> confirmed,
        IEnumerable<KeyValuePair<string, string>> rejected,
        IEnumerable<KeyValuePair<string, Postponement>> postponed,
        string? interrupted,
        int interruptions)
    {
        foreach ((string name, Postponement later) in postponed)
            _postponed[name] = later;
        foreach ((string name, string version) in confirmed)
            _confirmed[name] = version;
        foreach ((string name, string version) in rejected)
            _rejected[name] = version;
        _interrupted = interrupted;
        Interruptions = interrupted is null ? 0 : interruptions + 1;
    }

    /// <summary>Users want this version of the object's rules for the node; null: no rules. Takes effect with <see cref="Decide"/>.</summary>
    public void Want(string name, string? version)
    {
        if (Of(_wanted, name) != (version ?? Absent))
            _changes[name] = ++_change;
        if (version is null)
            _wanted.Remove(name);
        else
            _wanted[name] = version;
        // Whatever else somebody writes is a new attempt.
        if (_rejected.TryGetValue(name, out string? failed) && failed != (version ?? Absent))
            Acquit(name);
        if (_postponed.TryGetValue(name, out Postponement? later) && later.Version != (version ?? Absent))
            _postponed.Remove(name);
    }

    /// <summary>All that users want has been said: what else is remembered has gone meanwhile.</summary>
    public void Complete()
    {
        foreach (string name in Objects.Union(_postponed.Keys).Where(name => !_wanted.ContainsKey(name)).ToList())
            Want(name, null);
    }

    /// <summary>
    /// What a trial would look at works now, so that a failure would mean something: whatever waits goes on trial with the next
    /// <see cref="Decide"/>.
    /// </summary>
    public void Admit(DateTimeOffset now) => Admit(Waiting(now));

    /// <summary>After changes: what is to happen next. <see cref="TrialStep.RolledBack"/> only where earlier trials were interrupted too often.</summary>
    public TrialStep Decide(DateTimeOffset now)
    {
        // What comes during a trial shares it, and what it was admitted for.
        if (timeout <= TimeSpan.Zero)
            Admit([.. Objects.Where(IsAwaiting)]);
        else if (Version is not null)
            Admit([.. Waiting(now).Where(name => !_postponed.ContainsKey(name))]);
        IReadOnlyList<string> onTrial = OnTrial;
        if (onTrial.Count == 0)
        {
            Version = null;
            return TrialStep.Settled;
        }

        string version = string.Join('\n', onTrial.Select(name => $"{name}={InForce(name)}"));
        if (version == Version)
            return TrialStep.Waiting;
        if (version != _interrupted)
            Interruptions = 0;
        (Version, Begun, _interrupted) = (version, now, null);
        if (timeout <= TimeSpan.Zero)
            return Confirm();
        return Interruptions >= MaximalInterruptions ? Reject() : TrialStep.Begun;
    }

    /// <summary>Ends the trial if it has proved itself, or if its time is over.</summary>
    /// <param name="version">The version that was looked at: if it is no longer the one on trial, nothing was learned.</param>
    /// <param name="failures">What does not work; none: everything does.</param>
    /// <param name="now">The time.</param>
    public TrialStep Judge(string? version, IReadOnlyList<TrialFailure> failures, DateTimeOffset now)
    {
        if (Version is null)
            return TrialStep.Settled;
        if (version != Version)
            return TrialStep.Waiting;
        if (failures.Count == 0)
            return Confirm();
        if (now < Deadline)
            return TrialStep.Waiting;
        return failures.All(failure => failure.MayPass) ? Postpone(now) : Reject();
    }

    /// <summary>After <see cref="TrialStep.Postponed"/>: what failed does not work under the confirmed version either, so the other one is not to blame.</summary>
    public void Excuse()
    {
        foreach (string name in _justPostponed.Where(_postponed.ContainsKey))
            _postponed[name] = _postponed[name] with { Cuts = _postponed[name].Cuts - 1 };
        _justPostponed = [];
    }

    /// <summary>
    /// After a trial: has the next of the objects that failed together tried by itself, with the next <see cref="Decide"/>. False: there is none.
    /// If all the others have proved themselves, the last one is to blame, and cuts nobody off a second time.
    /// </summary>
    public bool TryNextSuspect()
    {
        if (Version is not null || _suspects.Count == 0)
            return false;
        if (_suspects.Count == 1 && !_isCulpritKnown)
        {
            _suspects.Clear();
            return false;
        }

        Acquit(_suspects[0]);
        return true;
    }

    private void Admit(IReadOnlyList<string> names)
    {
        foreach (string name in names)
            _admitted[name] = Of(_wanted, name);
    }

    private TrialStep Postpone(DateTimeOffset now)
    {
        IReadOnlyList<string> failed = OnTrial;
        Dictionary<string, Postponement> next = failed.ToDictionary(name => name, name => Next(name, now));
        if (next.Values.Any(p => p.Cuts >= MaximalCuts || p.Trials >= MaximalTrials))
            return Reject();
        foreach ((string name, Postponement later) in next)
        {
            _postponed[name] = later;
            _admitted.Remove(name);
        }

        // Of several that failed together, the last one is not to blame only because the others were not.
        _isCulpritKnown = true;
        _justPostponed = failed;
        (Version, Interruptions) = (null, 0);
        return TrialStep.Postponed;
    }

    private Postponement Next(string name, DateTimeOffset now)
    {
        (int trials, int cuts) = _postponed.TryGetValue(name, out Postponement? before) ? (before.Trials, before.Cuts) : (0, 0);
        TimeSpan pause = FirstPause * Math.Pow(2, trials);
        return new Postponement(Of(_wanted, name), trials + 1, cuts + 1, now + (pause < LongestPause ? pause : LongestPause));
    }

    private void Acquit(string name)
    {
        _rejected.Remove(name);
        _suspects.Remove(name);
    }

    private TrialStep Confirm()
    {
        foreach (string name in OnTrial)
        {
            _postponed.Remove(name);
            if (InForce(name) is { Length: > 0 } version)
                _confirmed[name] = version;
            else
                _confirmed.Remove(name);
        }

        (Version, Interruptions) = (null, 0);
        return TrialStep.Confirmed;
    }

    private TrialStep Reject()
    {
        IReadOnlyList<string> failed = OnTrial;
        foreach (string name in failed)
        {
            _rejected[name] = Of(_wanted, name);
            _postponed.Remove(name);
        }

        _isCulpritKnown = failed.Count == 1;
        if (failed.Count > 1)
            _suspects.AddRange(failed);
        _suspects.Sort((a, b) => _changes.GetValueOrDefault(a).CompareTo(_changes.GetValueOrDefault(b)));
        (Version, Interruptions) = (null, 0);
        return TrialStep.RolledBack;
    }

    private bool IsRejected(string name) => _rejected.TryGetValue(name, out string? failed) && failed == Of(_wanted, name);

    private bool IsAwaiting(string name)
        => Of(_wanted, name) is var wanted && wanted != Of(_confirmed, name) && !IsRejected(name) && _admitted.GetValueOrDefault(name) != wanted;

    private string InForce(string name) => IsHeld(name) ? Of(_confirmed, name) : Of(_wanted, name);

    private static string Of(SortedDictionary<string, string> versions, string name) => versions.GetValueOrDefault(name, Absent);
}
