// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;

namespace Axoneme.Lab;

/// <summary>Where a process is to live: each null part is inherited.</summary>
internal sealed record ProcessPlace
{
    /// <summary>A cgroup folder; joined first, so that not one instruction of the program runs outside.</summary>
    public string? Cgroup { get; init; }

    public string? MountNamespace { get; init; }

    public string? NetworkNamespace { get; init; }

    public string? HostNameNamespace { get; init; }

    /// <summary>Receives both output streams, appended; null leaves them as they are.</summary>
    public string? LogFile { get; init; }

    /// <summary>The environment, complete; null inherits this process's.</summary>
    public IReadOnlyDictionary<string, string>? Environment { get; init; }
}

/// <summary>Starts processes in cgroups and namespaces by means of sh and nsenter, which cost a few milliseconds and no .NET runtime.</summary>
internal static class Launch
{
    // $0 is the cgroup or empty, $1 the log or empty.
    private const string Wrapper =
        """if [ -n "$0" ]; then echo $$ >"$0/cgroup.procs" || exit 125; fi; if [ -n "$1" ]; then exec >>"$1" 2>&1 </dev/null; fi; shift; exec "$@" """;

    public static string[] Arguments(ProcessPlace place, IEnumerable<string> command)
    {
        List<string> arguments = ["/bin/sh", "-c", Wrapper, place.Cgroup ?? "", place.LogFile ?? ""];
        List<string> entry = [];
        if (place.MountNamespace is { } mount)
            entry.Add($"--mount={mount}");
        if (place.NetworkNamespace is { } network)
            entry.Add($"--net={network}");
        if (place.HostNameNamespace is { } hostName)
            entry.Add($"--uts={hostName}");
        if (entry.Count > 0)
            arguments.AddRange(["nsenter", .. entry, "--"]);
        arguments.AddRange(command);
        return [.. arguments];
    }

    public static Process Start(ProcessPlace place, IEnumerable<string> command, bool pipes = false)
    {
        string[] arguments = Arguments(place, command);
        var start = new ProcessStartInfo(arguments[0], arguments.Skip(1))
        {
            RedirectStandardInput = pipes,
            RedirectStandardOutput = pipes,
            RedirectStandardError = pipes,
            WorkingDirectory = "/",
        };
        if (place.Environment is { } environment)
        {
            start.Environment.Clear();
            foreach ((string name, string value) in environment)
                start.Environment[name] = value;
        }

        return Process.Start(start) ?? throw new IOException($"start {arguments[0]}");
    }

    /// <summary>Runs to the end and returns what it printed. A process that outlives the token is killed.</summary>
    public static async Task<ProcessResult> RunAsync(
        ProcessPlace place, IEnumerable<string> command, string input, CancellationToken cancellation)
    {
        using Process process = Start(place, command, pipes: true);
        using CancellationTokenRegistration kill = cancellation.Register(process.Kill);
        Task<string> output = process.StandardOutput.ReadToEndAsync(CancellationToken.None);
        Task<string> error = process.StandardError.ReadToEndAsync(CancellationToken.None);
        try
        {
            await process.StandardInput.WriteAsync(input);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It ended without reading; its exit status says more than a broken pipe.
        }

        await process.WaitForExitAsync(CancellationToken.None);
        cancellation.ThrowIfCancellationRequested();
        return new ProcessResult(process.ExitCode, await output, await error);
    }
}

internal sealed record ProcessResult(int ExitCode, string Output, string Error);
