// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Kubernetes;

/// <summary>Cancels a single step of a long job when it takes too long; each step starts the time anew.</summary>
internal sealed class IdleTimeout(TimeSpan limit, TimeProvider time, CancellationToken cancellationToken) : IDisposable
{
    private CancellationTokenSource? _source;
    private ITimer? _timer;

    /// <exception cref="TimeoutException">The step took longer than the limit.</exception>
    public async ValueTask<T> RunAsync<T>(Func<CancellationToken, ValueTask<T>> step)
    {
        _source ??= CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        CancellationTokenSource source = _source;
        _timer ??= time.CreateTimer(_ => Expire(source), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _timer.Change(limit, Timeout.InfiniteTimeSpan);
        try
        {
            return await step(source.Token);
        }
        catch (OperationCanceledException e) when (source.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException($"Nothing was received for {limit.TotalSeconds} s.", e);
        }
        finally
        {
            _timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
    }

    public void Dispose()
    {
        _timer?.Dispose();
        _source?.Dispose();
    }

    private static void Expire(CancellationTokenSource source)
    {
        try
        {
            source.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The job ended while its timer fired.
        }
    }
}
