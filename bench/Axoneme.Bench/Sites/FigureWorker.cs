// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using Axoneme.Linux;

namespace Axoneme.Bench.Sites;

/// <summary>A worker that measures by itself and prints a name and a figure a line.</summary>
internal static class FigureWorker
{
    /// <exception cref="BenchException">The worker failed or took longer than <paramref name="patience"/>.</exception>
    public static ILookup<string, double> Run(string what, TimeSpan patience, params IEnumerable<string> arguments)
    {
        using Process worker = Worker.Start([], arguments);
        Task<string> output = worker.StandardOutput.ReadToEndAsync();
        Task<string> errors = worker.StandardError.ReadToEndAsync();
        if (!worker.WaitForExit(patience))
        {
            worker.Kill();
            throw new BenchException($"{what}: no result after {patience}: {output.Result}");
        }

        if (worker.ExitCode != 0)
            throw new BenchException($"{what}: {errors.Result.Trim()}");
        return output.Result.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => line.Split(' '))
            .ToLookup(words => words[0], words => double.Parse(words[1], CultureInfo.InvariantCulture));
    }
}

/// <summary>Where a worker mounts its maps; whatever becomes of the worker, nothing is left of it.</summary>
internal sealed class BpfFolder : IDisposable
{
    public BpfFolder()
    {
        Leftovers.Add(this);
        Directory.CreateDirectory(Path);
    }

    public string Path { get; } = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"axoneme-bench-{Environment.ProcessId}");

    public void Dispose() => Leftovers.Remove(this, () =>
    {
        while (Libc.Unmount(Path, Libc.MNT_DETACH) == 0)
        {
        }

        Directory.Delete(Path);
    });
}
