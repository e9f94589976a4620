// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.HostPolicy;

namespace Axoneme.Agent.Tests;

public sealed class HostPolicyTrialTests
{
    private static readonly DateTimeOffset Start = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(30);
    private static readonly TrialFailure[] Cut = [new("the session was cut off")];
    private static readonly TrialFailure[] Silent = [new("the API server could not be reached", MayPass: true)];

    private readonly HostPolicyTrial _trial = new(Timeout);

    private TrialStep Judge(IReadOnlyList<TrialFailure> failures, int second) => _trial.Judge(_trial.Version, failures, Start.AddSeconds(second));

    /// <summary>What a trial looks at works.</summary>
    private TrialStep Begin(int second = 0)
    {
        _trial.Admit(Start.AddSeconds(second));
        return _trial.Decide(Start.AddSeconds(second));
    }

    /// <summary>Version v1 of policy p is confirmed.</summary>
    private void ConfirmFirst()
    {
        _trial.Want("p", "v1");
        Assert.Equal(TrialStep.Begun, Begin());
        Assert.Equal(TrialStep.Confirmed, Judge([], 1));
    }

    [Fact]
    public void Version_that_cuts_nobody_off_is_confirmed_at_once()
    {
        ConfirmFirst();
        Assert.Equal("v1", _trial.Confirmed["p"]);
        Assert.Equal(TrialStep.Settled, _trial.Decide(Start.AddSeconds(2)));
        Assert.Null(_trial.Version);
    }

    [Fact]
    public void Failing_version_stays_until_its_time_is_over_and_the_confirmed_one_counts_again()
    {
        ConfirmFirst();
        _trial.Want("p", "v2");
        Assert.Equal(TrialStep.Begun, Begin());
        Assert.Equal(TrialStep.Waiting, Judge(Cut, 29));
        Assert.False(_trial.IsHeld("p"));
        Assert.Equal(TrialStep.RolledBack, Judge(Cut, 30));
        Assert.True(_trial.IsHeld("p"));
        Assert.Equal(("v1", "v2"), (_trial.Confirmed["p"], _trial.Rejected["p"]));
        Assert.Equal(TrialStep.Settled, _trial.Decide(Start.AddSeconds(31)));
    }

    [Fact]
    public void Version_that_recovers_in_time_is_confirmed()
    {
        _trial.Want("p", "v1");
        Begin();
        Assert.Equal(TrialStep.Waiting, Judge(Cut, 20));
        Assert.Equal(TrialStep.Confirmed, Judge([], 25));
    }

    [Fact]
    public void Of_changes_that_fail_together_the_blameless_ones_come_into_force()
    {
        ConfirmFirst();
        _trial.Want("p", null);
        Begin();
        _trial.Want("a", "cuts");
        Assert.Equal(TrialStep.Begun, Begin());
        Assert.Equal(TrialStep.RolledBack, Judge(Cut, 30));
        Assert.True(_trial.IsHeld("p") && _trial.IsHeld("a"));
        Assert.Empty(_trial.Rejected);

        // The earlier change first; it proves itself, so the other one is to blame without a second trial.
        Assert.True(_trial.TryNextSuspect());
        Assert.Equal(TrialStep.Begun, Begin(30));
        Assert.Equal(["p"], _trial.OnTrial);
        Assert.Equal(TrialStep.Confirmed, Judge([], 31));
        Assert.False(_trial.TryNextSuspect());
        Assert.Empty(_trial.Confirmed);
        Assert.Equal("cuts", Assert.Single(_trial.Rejected).Value);
    }

    [Fact]
    public void Of_changes_that_fail_together_all_are_tried_until_one_is_found_that_fails_alone()
    {
        _trial.Want("a", "cuts");
        _trial.Want("b", "v1");
        Begin();
        Assert.Equal(TrialStep.RolledBack, Judge(Cut, 30));
        Assert.True(_trial.TryNextSuspect());
        Assert.Equal(TrialStep.Begun, Begin(30));
        Assert.False(_trial.TryNextSuspect());
        Assert.Equal(TrialStep.RolledBack, Judge(Cut, 60));
        Assert.True(_trial.TryNextSuspect());
        Assert.Equal(TrialStep.Begun, Begin(60));
        Assert.Equal(["b"], _trial.OnTrial);
        Assert.Equal(TrialStep.Confirmed, Judge([], 61));
        Assert.False(_trial.TryNextSuspect());
        Assert.Equal("a", Assert.Single(_trial.Rejected).Key);
        Assert.Equal("v1", _trial.Confirmed["b"]);
    }

    [Fact]
    public void Rejected_version_is_not_tried_again_but_another_one_is()
    {
        ConfirmFirst();
        _trial.Want("p", "v2");
        Begin();
        Judge(Cut, 30);
        _trial.Want("p", "v2");
        Assert.Equal(TrialStep.Settled, _trial.Decide(Start.AddSeconds(40)));
        _trial.Want("p", "v3");
        Assert.Equal(TrialStep.Begun, Begin(50));
        Assert.False(_trial.IsHeld("p"));
        Assert.Empty(_trial.Rejected);
    }

    [Fact]
    public void Change_of_another_policy_does_not_bring_a_rejected_one_back()
    {
        _trial.Want("bad", "v1");
        Begin();
        Judge(Cut, 30);
        _trial.Want("good", "v1");
        Assert.Equal(TrialStep.Begun, Begin(40));
        Assert.Equal(["good"], _trial.OnTrial);
        Assert.Equal(TrialStep.Confirmed, Judge([], 41));
        Assert.True(_trial.IsHeld("bad"));
        Assert.Equal(["good"], _trial.Confirmed.Keys);
    }

    [Fact]
    public void Deletion_that_cuts_somebody_off_is_rolled_back_too()
    {
        ConfirmFirst();
        _trial.Want("p", null);
        Assert.Equal(TrialStep.Begun, Begin());
        Assert.Equal(TrialStep.RolledBack, Judge(Cut, 30));
        Assert.True(_trial.IsHeld("p"));
        Assert.Equal("v1", _trial.Confirmed["p"]);
    }

    [Fact]
    public void Way_back_to_the_confirmed_version_needs_no_proof()
    {
        ConfirmFirst();
        _trial.Want("p", "v2");
        Begin();
        _trial.Want("p", "v1");
        Assert.Equal(TrialStep.Settled, _trial.Decide(Start.AddSeconds(5)));
        Assert.Equal(TrialStep.Settled, Judge(Cut, 60));
    }

    [Fact]
    public void Change_during_a_trial_starts_the_time_anew_and_findings_about_the_old_version_do_not_count()
    {
        _trial.Want("p", "v1");
        Begin();
        string old = _trial.Version!;
        _trial.Want("p", "v2");
        Assert.Equal(TrialStep.Begun, Begin(20));
        Assert.Equal(TrialStep.Waiting, _trial.Judge(old, [], Start.AddSeconds(21)));
        Assert.Equal(TrialStep.Waiting, Judge(Cut, 49));
        Assert.Equal(TrialStep.RolledBack, Judge(Cut, 50));
    }

    [Fact]
    public void Agent_that_was_killed_during_a_trial_tries_again_a_few_times()
    {
        var saved = new Dictionary<string, string> { ["p"] = "v1" };
        string? interrupted = null;
        int interruptions = 0;
        for (int run = 0; run <= HostPolicyTrial.MaximalInterruptions; run++)
        {
            var trial = new HostPolicyTrial(Timeout);
            trial.Restore(saved, [], [], interrupted, interruptions);
            trial.Want("p", "v2");
            trial.Admit(Start);
            TrialStep step = trial.Decide(Start);
            Assert.Equal(run < HostPolicyTrial.MaximalInterruptions ? TrialStep.Begun : TrialStep.RolledBack, step);
            (interrupted, interruptions) = (trial.Version, trial.Interruptions);
        }
    }

    [Fact]
    public void Agent_that_restarts_after_a_roll_back_stays_on_the_confirmed_version()
    {
        _trial.Restore([new("p", "v1")], [new("p", "v2")], [], interrupted: null, interruptions: 0);
        _trial.Want("p", "v2");
        Assert.Equal(TrialStep.Settled, _trial.Decide(Start));
        Assert.True(_trial.IsHeld("p"));
    }

    [Fact]
    public void Without_a_timeout_everything_is_confirmed_at_once()
    {
        var trial = new HostPolicyTrial(TimeSpan.Zero);
        trial.Want("p", "v1");
        Assert.Equal(TrialStep.Confirmed, trial.Decide(Start));
        Assert.Equal("v1", trial.Confirmed["p"]);
    }

    [Fact]
    public void Nothing_begins_before_a_failure_would_mean_something_and_the_confirmed_version_stays_meanwhile()
    {
        ConfirmFirst();
        _trial.Want("p", "v2");
        Assert.Equal(TrialStep.Settled, _trial.Decide(Start.AddSeconds(2)));
        Assert.True(_trial.IsHeld("p"));
        Assert.Equal(["p"], _trial.Waiting(Start.AddSeconds(2)));
        Assert.Empty(_trial.Failed);
        Assert.Equal(TrialStep.Begun, Begin(500));
        Assert.False(_trial.IsHeld("p"));
        Assert.Empty(_trial.Waiting(Start.AddSeconds(500)));
        Assert.Equal(Start.AddSeconds(500) + Timeout, _trial.Deadline);
    }

    [Fact]
    public void What_comes_during_a_trial_shares_it()
    {
        ConfirmFirst();
        _trial.Want("p", "v2");
        Begin();
        _trial.Want("q", "v1");
        Assert.Equal(TrialStep.Begun, _trial.Decide(Start.AddSeconds(3)));
        Assert.Equal(["p", "q"], _trial.OnTrial);
    }

    [Fact]
    public void Version_under_which_the_API_server_was_silent_is_tried_again_with_longer_and_longer_pauses_until_it_is_rejected()
    {
        ConfirmFirst();
        _trial.Want("p", "v2");
        int second = 0;
        for (int trial = 1; trial < HostPolicyTrial.MaximalCuts; trial++)
        {
            Assert.Equal(TrialStep.Begun, Begin(second));
            Assert.Equal(TrialStep.Postponed, Judge(Silent, second + 30));
            Assert.True(_trial.IsHeld("p"));
            Assert.Equal(["p"], _trial.Failed);
            Assert.Empty(_trial.Rejected);
            int pause = 60 << (trial - 1);
            Assert.Equal(Start.AddSeconds(second + 30 + pause), _trial.NextTrial);
            Assert.Equal(TrialStep.Settled, Begin(second + 29 + pause));
            second += 30 + pause;
        }

        Begin(second);
        Assert.Equal(TrialStep.RolledBack, Judge(Silent, second + 30));
        Assert.Equal("v2", _trial.Rejected["p"]);
        Assert.Empty(_trial.Postponed);
        Assert.Empty(_trial.Waiting(DateTimeOffset.MaxValue));
    }

    [Fact]
    public void Trials_during_which_the_API_server_was_away_for_everybody_count_less()
    {
        ConfirmFirst();
        _trial.Want("p", "v2");
        for (int trial = 1; trial < HostPolicyTrial.MaximalTrials; trial++)
        {
            Assert.Equal(TrialStep.Begun, Begin(trial * 10_000));
            Assert.Equal(TrialStep.Postponed, Judge(Silent, trial * 10_000 + 30));
            _trial.Excuse();
            Assert.Equal((trial, 0), (_trial.Postponed["p"].Trials, _trial.Postponed["p"].Cuts));
        }

        Begin(1_000_000);
        Assert.Equal(TrialStep.RolledBack, Judge(Silent, 1_000_030));
        Assert.Equal("v2", _trial.Rejected["p"]);
    }

    [Fact]
    public void Second_trial_that_goes_well_ends_the_matter()
    {
        ConfirmFirst();
        _trial.Want("p", "v2");
        Begin();
        Judge(Silent, 30);
        Assert.Equal(TrialStep.Begun, Begin(100));
        Assert.Equal(TrialStep.Confirmed, Judge([], 101));
        Assert.Empty(_trial.Failed);
        Assert.Null(_trial.NextTrial);
        Assert.Equal("v2", _trial.Confirmed["p"]);
    }

    [Fact]
    public void One_failure_that_does_not_pass_is_enough_to_reject()
    {
        ConfirmFirst();
        _trial.Want("p", "v2");
        Begin();
        Assert.Equal(TrialStep.RolledBack, Judge([.. Silent, .. Cut], 30));
        Assert.Equal("v2", _trial.Rejected["p"]);
    }

    [Fact]
    public void Other_version_of_what_is_postponed_need_not_wait()
    {
        ConfirmFirst();
        _trial.Want("p", "v2");
        Begin();
        Judge(Silent, 30);
        _trial.Want("p", "v3");
        Assert.Equal(["p"], _trial.Waiting(Start.AddSeconds(31)));
        Assert.Empty(_trial.Failed);
        _trial.Want("p", "v1");
        Assert.Empty(_trial.Waiting(DateTimeOffset.MaxValue));
    }

    [Fact]
    public void Agent_that_restarts_knows_what_is_postponed_and_forgets_what_has_gone_meanwhile()
    {
        var later = new Postponement("v2", 1, 1, Start.AddSeconds(60));
        _trial.Restore([new("p", "v1")], [new("r", "v1")], [new("p", later), new("q", later)], interrupted: null, interruptions: 0);
        _trial.Want("p", "v2");
        _trial.Complete();
        Assert.Equal(["p"], _trial.Failed);
        Assert.Equal(TrialStep.Settled, Begin(59));
        Assert.True(_trial.IsHeld("p"));
        Assert.Equal(TrialStep.Begun, Begin(60));
    }
}
