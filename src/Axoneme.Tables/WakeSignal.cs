// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Tables;

/// <summary>
/// Wakes one waiter. A signal given while nobody waits is kept (several count as one), so none is lost between looking and waiting.
/// </summary>
internal sealed class WakeSignal
{
    private readonly Lock _gate = new();
    private TaskCompletionSource? _waiter;
    private bool _set;

    public void Set()
    {
        TaskCompletionSource? waiter;
        lock (_gate)
        {
            waiter = _waiter;
            _waiter = null;
            _set = waiter is null;
        }

        // The waiter goes on elsewhere: the signaller may hold a table's lock.
        waiter?.TrySetResult();
    }

    public async Task WaitAsync(CancellationToken cancellationToken)
    {
        TaskCompletionSource waiter;
        lock (_gate)
        {
            if (_set)
            {
                _set = false;
                return;
            }

            waiter = _waiter ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        try
        {
            await waiter.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // A signal that was given to the wait just abandoned belongs to the next one.
            lock (_gate)
            {
                if (ReferenceEquals(_waiter, waiter))
                    _waiter = null;
                else
                    _set = true;
            }

            throw;
        }
    }
}
