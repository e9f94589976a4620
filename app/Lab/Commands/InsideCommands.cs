// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Lab.Control;
using Axoneme.Lab.Nodes;
using Axoneme.Linux;

namespace Axoneme.Lab.Commands;

/// <summary>Commands that run something inside the lab. This process becomes the command, so terminal, signals and exit status are its own.</summary>
internal static partial class InsideCommands
{
    public static int PrintKubeconfig(LabPaths paths, ArgumentList arguments)
    {
        arguments.RequireEmpty();
        RequireLab(paths);
        Console.WriteLine(paths.Kubeconfig);
        return 0;
    }

    public static async Task<int> ExecAsync(LabPaths paths, ArgumentList arguments)
    {
        const string usage = "exec [NAMESPACE/]POD [-c CONTAINER] -- COMMAND...";
        string? container = arguments.TakeOption("-c");
        string pod = arguments.TakePositional() ?? throw new UserErrorException($"usage: axoneme lab {usage}", status: 2);
        string[] command = arguments.TakeCommand(usage);
        string[] name = pod.Split('/') is [var space, var rest] ? [space, rest] : ["default", pod];
        ControlReply reply = await ControlClient.AskAsync(
            paths, new ControlRequest("locate", container is null ? name : [.. name, container]));
        PodLocation at = reply.Location!;
        return Become(new ProcessPlace
        {
            Cgroup = at.Cgroup,
            MountNamespace = $"/proc/{at.Process}/ns/mnt",
            NetworkNamespace = $"/proc/{at.Process}/ns/net",
            HostNameNamespace = $"/proc/{at.Process}/ns/uts",
            Environment = EnvironmentOf(at.Process),
        }, command);
    }

    public static int RunOnNode(LabPaths paths, ArgumentList arguments)
    {
        string node = arguments.TakePositional() ?? throw new UserErrorException("usage: axoneme lab node NODE -- COMMAND...", status: 2);
        string[] command = arguments.TakeCommand("node NODE -- COMMAND...");
        string holder = Path.Combine(FindNode(paths, node), "holder.pid");
        ProcessPlace place = NodeSandbox.PlaceFor(int.Parse(File.ReadAllText(holder)), paths.NamespaceOf(node));
        return Become(place with
        {
            Cgroup = Cgroup.Create(Path.Combine(paths.Cgroup, node, "shell")),
            Environment = new Dictionary<string, string>(Artifacts.BaseEnvironment) { ["K8S_NODE_NAME"] = node, ["TERM"] = Terminal },
        }, command);
    }

    /// <param name="place">A namespace of the fabric: a host beyond the cluster, or "fabric" for the router.</param>
    public static int RunAround(LabPaths paths, ArgumentList arguments, string verb, string place)
    {
        string[] command = arguments.TakeCommand($"{verb} -- COMMAND...");
        RequireLab(paths);
        return Become(new ProcessPlace
        {
            Cgroup = Cgroup.Create(Path.Combine(paths.Cgroup, "around")),
            NetworkNamespace = paths.NamespaceOf(place),
            Environment = new Dictionary<string, string>(Artifacts.BaseEnvironment) { ["TERM"] = Terminal },
        }, command);
    }

    public static int PrintLog(LabPaths paths, ArgumentList arguments)
    {
        string what = arguments.TakePositional() ?? throw new UserErrorException("usage: axoneme lab logs NODE [proxy]|NAMESPACE/POD", status: 2);
        string process = arguments.TakePositional() is "proxy" ? "proxy" : "agent";
        arguments.RequireEmpty();
        RequireLab(paths);
        string[] files = what.Split('/') is [var space, var pod]
            ? [.. Directory.EnumerateDirectories(Path.Combine(paths.Root, "nodes"))
                .SelectMany(n => Directory.EnumerateDirectories(Path.Combine(n, "pods"), $"{space}_{pod}_*"))
                .SelectMany(p => Directory.EnumerateFiles(p, "*.log"))]
            : [what == "operator" ? Path.Combine(FindNode(paths, "node1"), "operator.log") : Path.Combine(FindNode(paths, what), $"{process}.log")];
        if (files.Length == 0)
            throw new UserErrorException($"there is no pod {what} on a node");
        using Stream output = Console.OpenStandardOutput();
        foreach (string file in files.Where(File.Exists))
        {
            using var log = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            log.CopyTo(output);
        }

        return 0;
    }

    public static async Task<int> ControlProcessAsync(LabPaths paths, string process, ArgumentList arguments)
    {
        string? node = arguments.TakePositional();
        string? action = arguments.TakePositional();
        arguments.RequireEmpty();
        if (node is null || action is not ("stop" or "start" or "kill" or "restart"))
            throw new UserErrorException($"usage: axoneme lab {process} NODE stop|start|kill|restart", status: 2);
        await ControlClient.AskAsync(paths, new ControlRequest(process, node, action));
        return 0;
    }

    private static string Terminal => Environment.GetEnvironmentVariable("TERM") ?? "dumb";

    private static void RequireLab(LabPaths paths)
    {
        if (!File.Exists(paths.Kubeconfig))
            throw new UserErrorException("no lab is running: \"lab up\" starts one");
    }

    private static string FindNode(LabPaths paths, string node)
    {
        RequireLab(paths);
        string folder = paths.Node(node);
        if (node.Contains('/') || !File.Exists(Path.Combine(folder, "holder.pid")))
            throw new UserErrorException($"there is no node {node}; there are "
                + string.Join(", ", Directory.EnumerateDirectories(Path.Combine(paths.Root, "nodes")).Select(Path.GetFileName).Order()));
        return folder;
    }

    private static Dictionary<string, string> EnvironmentOf(int process)
    {
        var environment = new Dictionary<string, string> { ["TERM"] = Terminal };
        foreach (string variable in File.ReadAllText($"/proc/{process}/environ").Split('\0', StringSplitOptions.RemoveEmptyEntries))
            if (variable.Split('=', 2) is [var name, var value])
                environment[name] = value;
        return environment;
    }

    private static int Become(ProcessPlace place, string[] command)
    {
        string[] arguments = Launch.Arguments(place, command);
        string[] environment = [.. place.Environment!.Select(v => $"{v.Key}={v.Value}")];
        Directory.SetCurrentDirectory("/");
        _ = Execute(arguments[0], [.. arguments, null], [.. environment, null]);
        throw SystemCallException.FromLastError($"execute {arguments[0]}");
    }

    [LibraryImport("libc", EntryPoint = "execve", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Execute(string path, string?[] arguments, string?[] environment);
}
