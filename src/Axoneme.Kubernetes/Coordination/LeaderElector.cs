// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Kubernetes;

/// <param name="Lease">The lease that candidates share.</param>
/// <param name="Identity">Unique among the candidates, such as the pod's name.</param>
public sealed record LeaderElectionOptions(ResourceName Lease, string Identity)
{
    /// <summary>Others may take the lease when it has not been renewed for this long.</summary>
    public TimeSpan LeaseDuration { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>A leader that cannot renew for this long steps down; shorter than the lease, so that there are never two.</summary>
    public TimeSpan RenewDeadline { get; init; } = TimeSpan.FromSeconds(10);

    public TimeSpan RetryPeriod { get; init; } = TimeSpan.FromSeconds(2);
}

/// <summary>
/// Makes one of several candidates the leader. Clocks of different machines are never compared: a lease has expired when this process has seen
/// no change of it for its duration.
/// </summary>
public sealed class LeaderElector(ResourceClient<Lease> leases, LeaderElectionOptions options)
{
    private Lease? _observed;
    private long _observedAt;

    private TimeProvider Time => leases.Client.Options.Time;

    public bool IsLeader { get; private set; }

    /// <summary>Who holds the lease, as last seen; empty for nobody.</summary>
    public string Leader => _observed?.Spec.HolderIdentity ?? "";

    /// <summary>
    /// Runs <paramref name="lead"/> whenever this candidate is the leader, until cancelled; its token is cancelled when leadership is lost, and
    /// it must end then. Afterwards the lease is given up, so that the next one need not wait.
    /// </summary>
    public async Task RunAsync(Func<CancellationToken, Task> lead, CancellationToken cancellationToken)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!await TryHoldAsync(cancellationToken))
            {
                await PauseAsync(cancellationToken);
                continue;
            }

            IsLeader = true;
            try
            {
                await LeadAsync(lead, cancellationToken);
            }
            finally
            {
                IsLeader = false;
                await ReleaseAsync();
            }
        }
    }

    private async Task LeadAsync(Func<CancellationToken, Task> lead, CancellationToken cancellationToken)
    {
        using var term = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task work = lead(term.Token);
        try
        {
            long renewed = Time.GetTimestamp();
            while (!work.IsCompleted && Time.GetElapsedTime(renewed) < options.RenewDeadline)
            {
                // Whoever leads may also stop by itself; the lease then goes to the next.
                await Task.WhenAny(work, Task.Delay(options.RetryPeriod, Time, term.Token));
                cancellationToken.ThrowIfCancellationRequested();
                if (work.IsCompleted)
                    break;
                if (await TryHoldAsync(term.Token))
                    renewed = Time.GetTimestamp();
                else if (_observed?.Spec.HolderIdentity is { Length: > 0 } holder && holder != options.Identity)
                    break;
            }
        }
        finally
        {
            await term.CancelAsync();
            try
            {
                await work;
            }
            catch (OperationCanceledException) when (term.IsCancellationRequested)
            {
            }
        }
    }

    /// <summary>Takes or renews the lease if that is possible.</summary>
    private async Task<bool> TryHoldAsync(CancellationToken cancellationToken)
    {
        // A server that hangs must not keep a leader past its deadline.
        using var late = new CancellationTokenSource(options.RenewDeadline / 2, Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        try
        {
            Lease? present = await leases.FindAsync(options.Lease, either.Token);
            Observe(present);
            if (present is not null && IsHeldByAnother(present))
                return false;
            Lease next = Claim(present);
            Observe(present is null
                ? await leases.CreateAsync(next, cancellationToken: either.Token)
                : await leases.UpdateAsync(next, cancellationToken: either.Token));
            return true;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return false;
        }
        catch (Exception e) when (e is KubernetesException or HttpRequestException or IOException)
        {
            return false;
        }
    }

    private void Observe(Lease? lease)
    {
        if (lease is null || lease.Metadata.ResourceVersion != _observed?.Metadata.ResourceVersion)
            _observedAt = Time.GetTimestamp();
        _observed = lease;
    }

    private bool IsHeldByAnother(Lease lease)
    {
        if (lease.Spec.HolderIdentity is not { Length: > 0 } holder || holder == options.Identity)
            return false;
        TimeSpan duration = TimeSpan.FromSeconds(lease.Spec.LeaseDurationSeconds ?? options.LeaseDuration.TotalSeconds);
        return Time.GetElapsedTime(_observedAt) < duration;
    }

    private Lease Claim(Lease? present)
    {
        DateTimeOffset now = Time.GetUtcNow();
        bool isRenewal = present?.Spec.HolderIdentity == options.Identity;
        Lease lease = present ?? new Lease { Metadata = new ObjectMeta { Namespace = options.Lease.Namespace, Name = options.Lease.Name } };
        return lease with
        {
            Spec = lease.Spec with
            {
                HolderIdentity = options.Identity,
                LeaseDurationSeconds = (int)Math.Ceiling(options.LeaseDuration.TotalSeconds),
                AcquireTime = isRenewal ? lease.Spec.AcquireTime : now,
                RenewTime = now,
                LeaseTransitions = (lease.Spec.LeaseTransitions ?? 0) + (isRenewal || present is null ? 0 : 1),
            },
        };
    }

    private async Task ReleaseAsync()
    {
        if (_observed is not { } held || held.Spec.HolderIdentity != options.Identity)
            return;
        using var late = new CancellationTokenSource(options.RetryPeriod, Time);
        try
        {
            Observe(await leases.UpdateAsync(
                held with { Spec = held.Spec with { HolderIdentity = "", LeaseDurationSeconds = 1, RenewTime = Time.GetUtcNow() } },
                cancellationToken: late.Token));
        }
        catch (Exception e) when (e is KubernetesException or HttpRequestException or IOException or OperationCanceledException)
        {
            // It expires by itself.
        }
    }

    private Task PauseAsync(CancellationToken cancellationToken)
        => Task.Delay(options.RetryPeriod * (1 + (0.2 * leases.Client.Options.Random.NextDouble())), Time, cancellationToken);
}
