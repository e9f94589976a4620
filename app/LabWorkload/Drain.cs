// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;

namespace Axoneme.LabWorkload;

/// <summary>A server's time between SIGTERM and its end, in which load balancers learn that it goes.</summary>
internal sealed class Drain : IDisposable
{
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly PosixSignalRegistration _signal;

    public Drain(TimeSpan time) => _signal = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context =>
    {
        context.Cancel = true;
        HasStarted = true;
        _ = Task.Delay(time).ContinueWith(_ => _ended.TrySetResult(), TaskScheduler.Default);
    });

    public bool HasStarted { get; private set; }

    public Task Ended => _ended.Task;

    public void Dispose() => _signal.Dispose();
}
