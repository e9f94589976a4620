// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.HostPolicy;

namespace Axoneme.Agent.Tests;

public sealed class HostPolicyTrialTests
{
    private static readonly DateTimeOffset Start = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(30);
    private static readonly string[] Cut = ["the API server could not be reached"];

    private readonly HostPolicyTrial _trial = new(Timeout);

    private TrialStep Judge(IReadOnlyList<string> failures, int second) => _trial.Judge(_trial.Version, failures, Start.AddSeconds(second));

    /// <summary>Version v1 of policy p is confirmed.</summary>
    private void ConfirmFirst()
    {
        _trial.Want("p", "v1");
        Assert.Equal(TrialStep.Begun, _trial.Decide(Start));
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
        Assert.Equal(TrialStep.Begun, _trial.Decide(Start));
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
        _trial.Decide(Start);
        Assert.Equal(TrialStep.Waiting, Judge(Cut, 20));
        Assert.Equal(TrialStep.Confirmed, Judge([], 25));
    }

    [Fact]
    public void Of_changes_that_fail_together_the_blameless_ones_come_into_force()
    {
        ConfirmFirst();
        _trial.Want("p", null);
        _trial.Decide(Start);
        _trial.Want("a", "cuts");
        Assert.Equal(TrialStep.Begun, _trial.Decide(Start));
        Assert.Equal(TrialStep.RolledBack, Judge(Cut, 30));
        Assert.True(_trial.IsHeld("p") && _trial.IsHeld("a"));
        Assert.Empty(_trial.Rejected);

        // The earlier change first; it proves itself, so the other one is to blame without a second trial.
        Assert.True(_trial.TryNextSuspect());
        Assert.Equal(TrialStep.Begun, _trial.Decide(Start.AddSeconds(30)));
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
        _trial.Decide(Start);
        Assert.Equal(TrialStep.RolledBack, Judge(Cut, 30));
        Assert.True(_trial.TryNextSuspect());
        Assert.Equal(TrialStep.Begun, _trial.Decide(Start.AddSeconds(30)));
        Assert.False(_trial.TryNextSuspect());
        Assert.Equal(TrialStep.RolledBack, Judge(Cut, 60));
        Assert.True(_trial.TryNextSuspect());
        Assert.Equal(TrialStep.Begun, _trial.Decide(Start.AddSeconds(60)));
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
        _trial.Decide(Start);
        Judge(Cut, 30);
        _trial.Want("p", "v2");
        Assert.Equal(TrialStep.Settled, _trial.Decide(Start.AddSeconds(40)));
        _trial.Want("p", "v3");
        Assert.Equal(TrialStep.Begun, _trial.Decide(Start.AddSeconds(50)));
        Assert.False(_trial.IsHeld("p"));
        Assert.Empty(_trial.Rejected);
    }

    [Fact]
    public void Change_of_another_policy_does_not_bring_a_rejected_one_back()
    {
        _trial.Want("bad", "v1");
        _trial.Decide(Start);
        Judge(Cut, 30);
        _trial.Want("good", "v1");
        Assert.Equal(TrialStep.Begun, _trial.Decide(Start.AddSeconds(40)));
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
        Assert.Equal(TrialStep.Begun, _trial.Decide(Start));
        Assert.Equal(TrialStep.RolledBack, Judge(Cut, 30));
        Assert.True(_trial.IsHeld("p"));
        Assert.Equal("v1", _trial.Confirmed["p"]);
    }

    [Fact]
    public void Way_back_to_the_confirmed_version_needs_no_proof()
    {
        ConfirmFirst();
        _trial.Want("p", "v2");
        _trial.Decide(Start);
        _trial.Want("p", "v1");
        Assert.Equal(TrialStep.Settled, _trial.Decide(Start.AddSeconds(5)));
        Assert.Equal(TrialStep.Settled, Judge(Cut, 60));
    }

    [Fact]
    public void Change_during_a_trial_starts_the_time_anew_and_findings_about_the_old_version_do_not_count()
    {
        _trial.Want("p", "v1");
        _trial.Decide(Start);
        string old = _trial.Version!;
        _trial.Want("p", "v2");
        Assert.Equal(TrialStep.Begun, _trial.Decide(Start.AddSeconds(20)));
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
            trial.Restore(saved, [], interrupted, interruptions);
            trial.Want("p", "v2");
            TrialStep step = trial.Decide(Start);
            Assert.Equal(run < HostPolicyTrial.MaximalInterruptions ? TrialStep.Begun : TrialStep.RolledBack, step);
            (interrupted, interruptions) = (trial.Version, trial.Interruptions);
        }
    }

    [Fact]
    public void Agent_that_restarts_after_a_roll_back_stays_on_the_confirmed_version()
    {
        _trial.Restore([new("p", "v1")], [new("p", "v2")], interrupted: null, interruptions: 0);
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
}
