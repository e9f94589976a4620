// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using System.Net;
using Axoneme.Bench.Workers;

namespace Axoneme.Bench.Sites;

/// <summary>
/// A client and a server somewhere, and the words that start a program there (<c>nsenter --net=... --</c>,
/// <c>axoneme lab exec POD --</c>). The server has to run already.
/// </summary>
internal sealed record TrafficPath(string Name, IReadOnlyList<string> ClientPrefix, IPAddress Server)
{
    public const int DefaultFirstPort = TrafficServer.EchoPort;

    /// <summary>The first of the server's three ports as the client sees it; the others follow.</summary>
    public int FirstPort { get; init; } = DefaultFirstPort;

    // On top of the measured time: start of the process through the prefix, on a busy machine.
    private static readonly TimeSpan StartAllowance = TimeSpan.FromSeconds(30);

    /// <summary>The same path to the same ports by another address, such as a service in front of the server.</summary>
    public TrafficPath Via(string name, IPAddress address) => this with { Name = name, Server = address };

    public TrafficPath Via(string name, IPAddress address, int firstPort) => Via(name, address) with { FirstPort = firstPort };

    public double Measure(string pattern, TimeSpan duration) => MeasureAll(pattern, duration).Rate;

    public TrafficResult MeasureAll(string pattern, TimeSpan duration)
    {
        var server = new IPEndPoint(Server, FirstPort + TrafficServer.PortIndex(pattern));
        using Process process = Worker.Start(
            ClientPrefix, "client", pattern, server.ToString(), duration.TotalSeconds.ToString(CultureInfo.InvariantCulture));
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(duration + StartAllowance))
        {
            process.Kill(entireProcessTree: true);
            throw new BenchException($"{Name}, {pattern}: no result after {duration + StartAllowance}");
        }

        if (process.ExitCode != 0 || TrafficResult.TryParse(output.Result) is not { } value)
            throw new BenchException($"{Name}, {pattern}: {errors.Result.Trim()}{output.Result.Trim()}");
        return value;
    }
}

/// <summary>The measuring program itself, started at another place of the same machine.</summary>
internal static class Worker
{
    public static string Executable { get; } = Path.Combine(AppContext.BaseDirectory, "axoneme-bench");

    public static Process Start(IReadOnlyList<string> prefix, params IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo { RedirectStandardOutput = true, RedirectStandardError = true };
        string[] words = [.. prefix, Executable, "worker", .. arguments];
        start.FileName = words[0];
        foreach (string word in words[1..])
            start.ArgumentList.Add(word);
        return Process.Start(start) ?? throw new BenchException($"{words[0]} did not start");
    }

    /// <summary>Starts a server and returns once it listens.</summary>
    public static Process StartServer(IReadOnlyList<string> prefix)
    {
        Process server = Start(prefix, "server");
        if (server.StandardOutput.ReadLine() == "ready")
            return server;
        string errors = server.StandardError.ReadToEnd();
        server.Dispose();
        throw new BenchException($"the server behind '{string.Join(' ', prefix)}' did not start: {errors.Trim()}");
    }
}

internal sealed class BenchException(string message) : Exception(message);
