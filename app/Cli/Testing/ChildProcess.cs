// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;

namespace Axoneme.Cli.Testing;

/// <summary>A program that runs to its end or its limit, with both output streams in one text.</summary>
internal static class ChildProcess
{
    public static async Task<(int Status, string Output)> RunAsync(
        string program, IEnumerable<string> arguments, TimeSpan limit, IReadOnlyDictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach ((string name, string value) in environment ?? new Dictionary<string, string>())
            start.Environment[name] = value;
        using Process process = Process.Start(start) ?? throw new IOException($"start {program}");
        process.StandardInput.Close();
        var output = new System.Text.StringBuilder();
        using var expired = new CancellationTokenSource(limit);
        Task reading = Task.WhenAll(Collect(process.StandardOutput, output), Collect(process.StandardError, output));
        try
        {
            await process.WaitForExitAsync(expired.Token);
            // What it left running may hold the streams open; its own output is there by now.
            await Task.WhenAny(reading, Task.Delay(TimeSpan.FromSeconds(2)));
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync();
            lock (output)
                output.AppendLine($"ended because it ran longer than {limit.TotalMinutes} minutes");
            return (124, Text(output));
        }

        return (process.ExitCode, Text(output));
    }

    private static async Task Collect(StreamReader reader, System.Text.StringBuilder output)
    {
        while (await reader.ReadLineAsync() is { } line)
            lock (output)
                output.AppendLine(line);
    }

    private static string Text(System.Text.StringBuilder output)
    {
        lock (output)
            return output.ToString();
    }
}
