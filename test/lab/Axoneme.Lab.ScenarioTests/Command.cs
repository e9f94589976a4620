// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;

namespace Axoneme.Lab.ScenarioTests;

/// <summary>What a program printed and how it ended.</summary>
public sealed record CommandResult(string CommandLine, int Status, string Output, string Error)
{
    /// <summary>The output; a test fails when the program did.</summary>
    public string Require()
    {
        Assert.True(Status == 0, ToString());
        return Output;
    }

    public override string ToString() => $"{CommandLine}: status {Status}\n{Output}{Error}";
}

/// <summary>Programs that a test runs, as a user at a terminal would.</summary>
internal static class Command
{
    // Far beyond what any of them takes; a hang becomes a failure that says where.
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    public static async Task<CommandResult> RunAsync(string program, IReadOnlyList<string> arguments, string input = "")
    {
        using Process process = Start(program, arguments);
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        using var limit = new CancellationTokenSource(Limit);
        string line = $"{Path.GetFileName(program)} {string.Join(' ', arguments)}";
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{line}: still running after {Limit}\n{await output}{await error}");
        }

        return new CommandResult(line, process.ExitCode, await output, await error);
    }

    public static Process Start(string program, IReadOnlyList<string> arguments)
        => Process.Start(new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        }) ?? throw new IOException($"start {program}");
}

/// <summary>Waiting for what must come true; the limit only says when to call it a failure.</summary>
internal static class Eventually
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    /// <param name="read">What is looked at, which a failure shows.</param>
    public static async Task<T> IsAsync<T>(string what, Func<Task<T>> read, Func<T, bool> holds)
    {
        long start = Stopwatch.GetTimestamp();
        T last = await read();
        while (!holds(last))
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Limit, $"{what}: not so after {Limit.TotalSeconds} s; last seen:\n{last}");
            await Task.Delay(Pause);
            last = await read();
        }

        return last;
    }
}
