// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Kubernetes;

/// <summary>A token bucket: at most <paramref name="qps"/> requests a second in the long run, <paramref name="burst"/> at once. Callers are served in order.</summary>
internal sealed class RequestRate(double qps, int burst, TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly long _start = time.GetTimestamp();

    // Time since the start, in seconds, at which the bucket will be full again.
    private double _fullAt;

    /// <summary>Waits for a turn; no limit when qps is 0 or less.</summary>
    public ValueTask WaitAsync(CancellationToken cancellationToken)
    {
        if (qps <= 0)
            return default;
        double wait;
        lock (_gate)
        {
            double now = time.GetElapsedTime(_start).TotalSeconds;
            _fullAt = Math.Max(_fullAt, now) + (1 / qps);
            wait = _fullAt - now - (Math.Max(burst, 1) / qps);
        }

        return wait <= 0 ? default : new ValueTask(Task.Delay(TimeSpan.FromSeconds(wait), time, cancellationToken));
    }
}
