// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Lab;

/// <summary>The programs that the front door publishes next to this one: artifacts/lab, artifacts/agent, and so on.</summary>
internal static class Artifacts
{
    private static readonly string Folder = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, ".."));

    public static string Agent => Path.Combine(Folder, "agent", "cilium-agent");

    public static string Operator => Path.Combine(Folder, "operator", "cilium-operator-generic");

    /// <summary>Of DNS; a node does without where it was not built.</summary>
    public static string Proxy => Path.Combine(Folder, "proxy", "axoneme-proxy");

    /// <summary>CNI_PATH: the folder that holds plugins by type.</summary>
    public static string CniFolder => Path.Combine(Folder, "cni");

    public static string Workload => Path.Combine(Folder, "workload", "axl");

    public static string Self => Path.Combine(AppContext.BaseDirectory, "axoneme-lab");

    /// <summary>What programs of a node and pods start with; the commands of this repository come first.</summary>
    public static IReadOnlyDictionary<string, string> BaseEnvironment { get; } = MakeEnvironment();

    public static IEnumerable<string> Missing()
        => new[] { Agent, Operator, Path.Combine(CniFolder, "cilium-cni"), Workload }.Where(f => !File.Exists(f));

    private static Dictionary<string, string> MakeEnvironment()
    {
        var environment = new Dictionary<string, string>
        {
            ["PATH"] = $"{Path.Combine(Folder, "workload")}:{Path.Combine(Folder, "cli")}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            ["HOME"] = "/root",
            // Many small programs on few cores: no spare threads, no diagnostics sockets.
            ["DOTNET_gcServer"] = "0",
            ["DOTNET_EnableDiagnostics"] = "0",
            ["DOTNET_TieredPGO"] = "0",
        };
        if (Environment.GetEnvironmentVariable("DOTNET_ROOT") is { Length: > 0 } runtime)
            environment["DOTNET_ROOT"] = runtime;
        return environment;
    }
}
