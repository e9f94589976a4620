// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Runtime.InteropServices;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Lab.Pods;

/// <summary>One container: starts its process, probes it, starts it again as the restart policy says, and reports its state.</summary>
internal sealed partial class ContainerRunner(
    PodSandbox sandbox, Container container, ContainerCommand command, TimeProvider clock, Action changed)
{
    // The first restart is immediate, then these delays, as a kubelet has them.
    private static readonly TimeSpan FirstDelay = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan LongestDelay = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan HealthyRun = TimeSpan.FromMinutes(10);

    private readonly Lock _lock = new();
    private Process? _process;
    private ContainerState _state = new() { Waiting = new ContainerWaiting { Reason = "ContainerCreating" } };
    private ContainerState? _lastState;
    private int _restarts;
    private bool _ready;
    private bool _started;
    private bool _terminating;

    public string Name => container.Name;

    public int? ProcessId
    {
        get
        {
            lock (_lock)
                return _process?.Id;
        }
    }

    public ContainerStatus Status
    {
        get
        {
            lock (_lock)
                return new ContainerStatus
                {
                    Name = container.Name,
                    Image = container.Image ?? "",
                    ImageID = "",
                    State = _state,
                    LastState = _lastState,
                    Ready = _ready,
                    Started = _started,
                    RestartCount = _restarts,
                    ContainerID = $"axoneme://{sandbox.Attachment.ContainerId}",
                };
        }
    }

    /// <summary>Returns the final exit status once the restart policy lets the container rest.</summary>
    /// <param name="restartPolicy">Always, OnFailure or Never.</param>
    public async Task<int> RunAsync(string restartPolicy, CancellationToken cancellation)
    {
        TimeSpan delay = TimeSpan.Zero;
        while (true)
        {
            long start = clock.GetTimestamp();
            int status = await RunOnceAsync(cancellation);
            if (_terminating || restartPolicy == "Never" || (restartPolicy == "OnFailure" && status == 0))
                return status;
            if (clock.GetElapsedTime(start) > HealthyRun)
                delay = TimeSpan.Zero;
            if (delay > TimeSpan.Zero)
            {
                Change(() =>
                {
                    _lastState = _state;
                    _state = new() { Waiting = new ContainerWaiting { Reason = "CrashLoopBackOff", Message = $"back-off {delay.TotalSeconds:0}s restarting failed container" } };
                });
                await Task.Delay(delay, clock, cancellation);
            }

            delay = delay == TimeSpan.Zero ? FirstDelay : delay * 2 < LongestDelay ? delay * 2 : LongestDelay;
            _restarts++;
        }
    }

    private async Task<int> RunOnceAsync(CancellationToken cancellation)
    {
        DateTimeOffset started = clock.GetUtcNow();
        using Process process = sandbox.Start(container.Name, command.Environment, command.Arguments, container.WorkingDir);
        Change(() =>
        {
            _process = process;
            if (_state.Terminated is not null)
                _lastState = _state;
            _state = new() { Running = new ContainerRunning { StartedAt = started } };
            _started = container.StartupProbe is null;
            _ready = _started && container.ReadinessProbe is null;
        });
        if (_terminating)
            _ = Kill(process.Id, Sigkill);
        using var probing = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task probes = ProbeAsync(process.Id, probing.Token);
        await process.WaitForExitAsync(CancellationToken.None);
        await probing.CancelAsync();
        await probes;
        int status = process.ExitCode;
        Change(() =>
        {
            _process = null;
            _ready = _started = false;
            _state = new()
            {
                Terminated = new ContainerTerminated
                {
                    ExitCode = status,
                    Reason = status == 0 ? "Completed" : "Error",
                    StartedAt = started,
                    FinishedAt = clock.GetUtcNow(),
                    Signal = status > 128 ? status - 128 : null,
                },
            };
        });
        return status;
    }

    private async Task ProbeAsync(int process, CancellationToken cancellation)
    {
        var prober = new Prober(sandbox, container, command, process, clock);
        try
        {
            if (container.StartupProbe is { } startup)
            {
                await prober.WatchAsync(startup, initial: false, eager: false, ok => ok ? Prober.Stop : KillForProbe(process), cancellation);
                Change(() =>
                {
                    _started = true;
                    _ready = container.ReadinessProbe is null;
                });
            }

            Task liveness = container.LivenessProbe is { } live
                ? prober.WatchAsync(live, initial: true, eager: false, ok => ok ? Prober.Continue : KillForProbe(process), cancellation) : Task.CompletedTask;
            Task readiness = container.ReadinessProbe is { } ready
                ? prober.WatchAsync(ready, initial: false, eager: true, SetReady, cancellation) : Task.CompletedTask;
            await Task.WhenAll(liveness, readiness);
        }
        catch (OperationCanceledException)
        {
            // The process has ended.
        }
    }

    private bool SetReady(bool ok)
    {
        Change(() => _ready = ok);
        return Prober.Continue;
    }

    private static bool KillForProbe(int process)
    {
        _ = Kill(process, Sigkill);
        return Prober.Stop;
    }

    /// <summary>Asks the process to end and forbids restarts.</summary>
    public void Terminate()
    {
        lock (_lock)
        {
            _terminating = true;
            if (_process is { } running)
                _ = Kill(running.Id, Sigterm);
        }
    }

    private void Change(Action change)
    {
        lock (_lock)
            change();
        changed();
    }

    private const int Sigkill = 9;
    private const int Sigterm = 15;

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int process, int signal);
}

/// <summary>What a container runs, with all references resolved.</summary>
internal sealed record ContainerCommand(IReadOnlyList<string> Arguments, IReadOnlyDictionary<string, string> Environment)
{
    /// <summary>The pod's primary address, which probes ask.</summary>
    public required string PodAddress { get; init; }
}
