// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;

namespace Axoneme.Cli.Testing;

/// <summary>
/// <c>axoneme test [TIER...]</c>: builds everything, checks the formatting, runs the tests tier by tier and ends with one line of sums.
/// </summary>
internal sealed class TestCommand
{
    private static readonly TimeSpan BuildLimit = TimeSpan.FromMinutes(10);

    private readonly string _repository;
    private readonly List<TestResult> _results = [];
    private bool _ranTests;

    private TestCommand(string repository) => _repository = repository;

    public static async Task<int> RunAsync(string[] arguments)
    {
        string[] names = ["build", .. TestTier.All.Select(t => t.Name)];
        if (arguments.Except(names).FirstOrDefault() is { } unknown)
            throw new UserErrorException($"unknown tier \"{unknown}\"; the tiers are {string.Join(", ", names)}");
        string repository = Environment.GetEnvironmentVariable("AXONEME_ROOT")
            ?? throw new UserErrorException("the tests are run through ./axoneme at the repository root");
        return await new TestCommand(repository).RunTiersAsync(arguments.Length == 0 ? names : arguments);
    }

    private async Task<int> RunTiersAsync(string[] tiers)
    {
        if (await BuildAsync())
        {
            if (tiers.Contains("build"))
                await CheckFormattingAsync();
            foreach (TestTier tier in TestTier.All.Where(t => tiers.Contains(t.Name)))
                await RunTierAsync(tier);
        }

        return Summarize(onlyBuild: tiers is ["build"]);
    }

    private async Task<bool> BuildAsync()
    {
        string[] arguments = ["build", Path.Combine(_repository, "axoneme.slnx"), "-c", "Release", "--nologo", "-v", "quiet", "-clp:NoSummary"];
        return await CheckAsync("build: everything compiles without warnings", "dotnet", arguments);
    }

    private async Task CheckFormattingAsync()
    {
        // Style rules are part of the build; here is the rest, without loading the projects again.
        await CheckAsync("build: C# is formatted (dotnet format whitespace --folder)", "dotnet",
            ["format", "whitespace", _repository, "--folder", "--verify-no-changes", "--exclude", "artifacts", ".dotnet"]);
        // Its versions disagree about details; the tree is formatted with this one, which Debian 12 has.
        const string ClangFormat = "clang-format-14";
        if (!IsInstalled(ClangFormat))
        {
            Add(new TestResult("build: C is formatted", Outcome.Skipped, $"{ClangFormat} is not installed"));
            return;
        }

        string[] sources = [.. Directory.EnumerateFiles(Path.Combine(_repository, "bpf"), "*", SearchOption.AllDirectories)
            .Where(f => Path.GetExtension(f) is ".c" or ".h")];
        await CheckAsync("build: C is formatted (clang-format)", ClangFormat, ["--dry-run", "--Werror", .. sources]);
    }

    private async Task<bool> CheckAsync(string name, string program, string[] arguments)
    {
        long start = Stopwatch.GetTimestamp();
        (int status, string output) = await ChildProcess.RunAsync(program, arguments, BuildLimit);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        bool ok = status == 0;
        string[] lines = [.. output.Split('\n').Distinct()];
        Add(new TestResult(name, ok ? Outcome.Passed : Outcome.Failed, ok ? "" : string.Join('\n', lines.TakeLast(40)), seconds));
        Console.WriteLine($"{(ok ? "ok  " : "FAIL")} {name} ({seconds:0.0} s)");
        return ok;
    }

    private async Task RunTierAsync(TestTier tier)
    {
        string[] projects = [.. tier.Projects(_repository)];
        if (projects.Length == 0)
            return;
        await InstallNeedsAsync(tier);
        foreach (string project in projects)
            await RunProjectAsync(tier, Path.GetFileNameWithoutExtension(project), Path.GetDirectoryName(project)!);
        if (tier.Name is "lab" or "peers")
            await RemoveLabsAsync();
    }

    private async Task RunProjectAsync(TestTier tier, string name, string folder)
    {
        string program = Path.Combine(folder, "bin", "Release", "net10.0", name);
        string results = Path.Combine(_repository, "artifacts", "test-results");
        Directory.CreateDirectory(results);
        string report = Path.Combine(results, name + ".xml");
        File.Delete(report);
        long start = Stopwatch.GetTimestamp();
        // One test at a time: these tiers share cores, kernel objects and names.
        string[] parallelism = tier.Name == "unit" ? [] : ["-parallel", "none"];
        (int status, string output) = await ChildProcess.RunAsync(
            program, ["-noColor", "-noLogo", "-xml", report, .. parallelism], tier.Limit);
        IReadOnlyList<TestResult> outcome = ReadReport(name, report, status, output);
        foreach (TestResult result in outcome)
            Add(result);
        _ranTests |= outcome.Any(r => r.Outcome == Outcome.Passed);
        int failed = outcome.Count(r => r.Outcome == Outcome.Failed);
        Console.WriteLine($"{(failed == 0 ? "ok  " : "FAIL")} {tier.Name}: {name}: {outcome.Count(r => r.Outcome == Outcome.Passed)} passed, "
            + $"{failed} failed, {outcome.Count(r => r.Outcome == Outcome.Skipped)} skipped ({Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s)");
    }

    private static IReadOnlyList<TestResult> ReadReport(string name, string report, int status, string output)
    {
        string tail = string.Join('\n', output.Split('\n').TakeLast(60));
        try
        {
            IReadOnlyList<TestResult> results = TestReport.Read(report);
            if (status == 0 || results.Any(r => r.Outcome == Outcome.Failed))
                return results;
            return [.. results, new TestResult($"{name}: the test program", Outcome.Failed, $"ended with status {status}\n{tail}")];
        }
        catch (InvalidDataException e)
        {
            return [new TestResult($"{name}: the test program", Outcome.Failed, $"ended with status {status} and left no report ({e.Message})\n{tail}")];
        }
    }

    private static bool IsInstalled(string command)
        => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(f => File.Exists(Path.Combine(f, command)));

    private async Task InstallNeedsAsync(TestTier tier)
    {
        string[] packages = [.. tier.Needs.Where(n => !IsInstalled(n.Command)).Select(n => n.Package)];
        if (packages.Length > 0)
            await CheckAsync($"{tier.Name}: install {string.Join(' ', packages)}", "apt-get", ["install", "-q", "-y", "--no-install-recommends", .. packages]);
    }

    // A test program that was killed could not take its lab down.
    private async Task RemoveLabsAsync()
    {
        const string prefix = "axoneme-lab-test";
        foreach (string root in Directory.EnumerateDirectories("/run", prefix + "*"))
        {
            string lab = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "lab", "axoneme-lab"));
            (int status, string output) = await ChildProcess.RunAsync(lab, ["--name", Path.GetFileName(root)["axoneme-lab-".Length..], "down"], TimeSpan.FromMinutes(1));
            Add(new TestResult($"lab: the tests left {root} behind", Outcome.Failed, $"lab down: status {status}\n{output}"));
        }
    }

    private void Add(TestResult result) => _results.Add(result);

    private int Summarize(bool onlyBuild)
    {
        foreach (TestResult skipped in _results.Where(r => r.Outcome == Outcome.Skipped))
            Console.WriteLine($"SKIP {skipped.Name}: {skipped.Detail.Split('\n')[0]}");
        foreach (TestResult failure in _results.Where(r => r.Outcome == Outcome.Failed))
        {
            Console.WriteLine();
            Console.WriteLine($"FAIL {failure.Name}");
            Console.WriteLine("    " + failure.Detail.Replace("\n", "\n    ", StringComparison.Ordinal).TrimEnd());
        }

        int Count(Outcome outcome) => _results.Count(r => r.Outcome == outcome);
        Console.WriteLine($"{Count(Outcome.Passed)} passed, {Count(Outcome.Failed)} failed, {Count(Outcome.Skipped)} skipped");
        return Count(Outcome.Failed) == 0 && (_ranTests || onlyBuild) ? 0 : 1;
    }
}
