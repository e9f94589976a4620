// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Axoneme.Lab.Nodes;

/// <summary>A program of a node, its agent or its DNS proxy: started again with growing delays when it ends, unless it was stopped by command.</summary>
/// <param name="node">Where it runs.</param>
/// <param name="name">Of its log and its cgroup.</param>
/// <param name="commandLine">Program and arguments.</param>
/// <param name="clock">For the delays.</param>
internal sealed partial class NodeProcess(NodeSandbox node, string name, IReadOnlyList<string> commandLine, TimeProvider clock)
{
    // A crash-looping program must leave its log readable and the machine usable.
    private static readonly TimeSpan LongestDelay = TimeSpan.FromSeconds(10);

    // A run longer than this counts as healthy, and the next delay is the shortest again.
    private static readonly TimeSpan HealthyRun = TimeSpan.FromSeconds(20);

    private readonly Lock _lock = new();
    private Process? _process;
    private bool _wanted = true;
    private TaskCompletionSource _wake = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public string LogFile => Path.Combine(node.Folder, $"{name}.log");

    public int Restarts { get; private set; }

    /// <summary>The running program's process id, or null.</summary>
    public int? ProcessId
    {
        get
        {
            lock (_lock)
                return _process?.Id;
        }
    }

    /// <summary>Keeps the program running until the token ends; then it is told to end.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        using CancellationTokenRegistration stop = cancellation.Register(() => Command("stop"));
        var delay = TimeSpan.FromMilliseconds(250);
        while (!cancellation.IsCancellationRequested)
        {
            if (!Wanted)
            {
                await SleepAsync(Timeout.InfiniteTimeSpan, cancellation);
                continue;
            }

            long start = clock.GetTimestamp();
            await RunOnceAsync();
            if (clock.GetElapsedTime(start) > HealthyRun)
                delay = TimeSpan.FromMilliseconds(250);
            if (!Wanted)
                continue;
            Restarts++;
            await SleepAsync(delay, cancellation);
            delay = delay * 2 < LongestDelay ? delay * 2 : LongestDelay;
        }
    }

    private bool Wanted
    {
        get
        {
            lock (_lock)
                return _wanted;
        }
    }

    private async Task RunOnceAsync()
    {
        Process process;
        lock (_lock)
        {
            process = Launch.Start(node.Place(name) with { LogFile = LogFile, Environment = Environment() }, commandLine);
            _process = process;
        }

        using (process)
        {
            await process.WaitForExitAsync(CancellationToken.None);
            lock (_lock)
                _process = null;
        }
    }

    private Dictionary<string, string> Environment() => new(Artifacts.BaseEnvironment)
    {
        ["K8S_NODE_NAME"] = node.Name,
        ["CILIUM_K8S_NAMESPACE"] = "kube-system",
    };

    /// <param name="action">stop, start, kill (no good-bye; it is started again) or restart.</param>
    public void Command(string action)
    {
        lock (_lock)
        {
            _wanted = action != "stop";
            if (_process is { } running && action is not "start")
                _ = Kill(running.Id, action == "kill" ? 9 : 15);
            _wake.SetResult();
            _wake = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

    private async Task SleepAsync(TimeSpan time, CancellationToken cancellation)
    {
        Task wake;
        lock (_lock)
            wake = _wake.Task;
        await Task.WhenAny(wake, Task.Delay(time, clock, cancellation));
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int process, int signal);
}
