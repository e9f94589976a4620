// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Axoneme.Bench.Sites;

namespace Axoneme.Bench;

/// <summary>Other programs, run to their end.</summary>
internal static class Commands
{
    /// <summary>Returns what the program printed, without the last line break.</summary>
    /// <exception cref="BenchException">It ended with another status than 0; the message has what it said.</exception>
    public static string Run(IReadOnlyList<string> command, string input = "", IEnumerable<(string Name, string Value)>? environment = null)
    {
        var start = new ProcessStartInfo(command[0], command.Skip(1))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach ((string name, string value) in environment ?? [])
            start.Environment[name] = value;
        using Process process = Process.Start(start) ?? throw new BenchException($"{command[0]} did not start");
        process.StandardInput.Write(input);
        process.StandardInput.Close();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? output.Trim()
            : throw new BenchException($"{string.Join(' ', command)} failed: {errors.Result.Trim()} {output.Trim()}");
    }
}
