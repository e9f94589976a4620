// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Text.Json;
using Axoneme.Lab.Configuration;
using Axoneme.Lab.Control;

namespace Axoneme.Lab.Commands;

/// <summary><c>lab up</c>: starts the supervisor and follows it until the cluster is up.</summary>
internal static class UpCommand
{
    public static async Task<int> RunAsync(LabPaths paths, ArgumentList arguments)
    {
        LabOptions options = Parse(arguments, out string? manifests);
        Preflight.RequireMachine(paths);
        using UpDownLock held = UpDownLock.Take(paths);
        if (ControlClient.IsListening(paths))
        {
            Console.WriteLine("a lab is running already; \"lab down\" removes it, for another start");
            return await StatusCommand.PrintAsync(paths);
        }

        long start = Stopwatch.GetTimestamp();
        if (await Teardown.RunAsync(paths))
            Console.WriteLine("• removed what an earlier lab left behind");
        PrepareFolder(paths, options, manifests);
        using Process supervisor = StartSupervisor(paths);
        await WaitForSocketAsync(paths, supervisor);
        try
        {
            await ControlClient.AskAsync(paths, new ControlRequest("progress"), step => Console.WriteLine($"• {step}"));
        }
        catch (UserErrorException e)
        {
            throw new UserErrorException($"{e.Message}\nThe lab is left as it is, to be looked at: \"lab status\", \"lab logs NODE\", \"lab down\".");
        }

        Console.WriteLine($"• up after {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s");
        int status = await StatusCommand.PrintAsync(paths);
        PrintNextSteps(options);
        return status;
    }

    private static LabOptions Parse(ArgumentList arguments, out string? manifests)
    {
        string nodes = arguments.TakeOption("--nodes") ?? "3";
        string? routing = arguments.TakeOption("--routing");
        string? values = arguments.TakeOption("--values");
        manifests = arguments.TakeOption("--manifests");
        bool demo = !arguments.TakeFlag("--no-demo");
        var settings = new List<string>();
        while (arguments.TakeOption("--set") is { } setting)
            settings.Add(setting);
        arguments.RequireEmpty();
        if (!int.TryParse(nodes, out int count) || count is < 1 or > LabOptions.MaxNodes)
            throw new UserErrorException($"--nodes: '{nodes}' is not a number from 1 to {LabOptions.MaxNodes}");
        if (routing is not (null or "native" or "vxlan"))
            throw new UserErrorException($"--routing: '{routing}' is neither native nor vxlan");
        if (manifests is not null && !Directory.Exists(manifests))
            throw new UserErrorException($"--manifests: there is no folder {manifests}");
        Dictionary<string, string> keys = values is null ? [] : HelmValues.Read(ReadFile("--values", values), values);
        HelmValues.Set(keys, settings);
        // A routing mode of the values decides; --routing wins over both.
        if (routing is null)
            routing = keys.GetValueOrDefault("routing-mode") == "tunnel" ? "vxlan" : "native";
        else
            keys.Remove("routing-mode");
        return new LabOptions { Nodes = count, Routing = routing, Demo = demo, Keys = keys };
    }

    private static string ReadFile(string option, string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"{option}: {e.Message}");
        }
    }

    private static void PrepareFolder(LabPaths paths, LabOptions options, string? manifests)
    {
        Directory.CreateDirectory(paths.Root, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        Directory.CreateDirectory(Path.Combine(paths.Root, "nodes"));
        File.WriteAllText(paths.Options, JsonSerializer.Serialize(options, LabOptionsJson.Default.LabOptions));
        if (manifests is null)
            return;
        Directory.CreateDirectory(paths.Manifests);
        foreach (string file in Directory.EnumerateFiles(manifests).Where(f => Path.GetExtension(f) is ".yaml" or ".yml" or ".json"))
            File.Copy(file, Path.Combine(paths.Manifests, Path.GetFileName(file)));
    }

    private static Process StartSupervisor(LabPaths paths)
    {
        Cgroup.Create(paths.Cgroup);
        var place = new ProcessPlace
        {
            Cgroup = Cgroup.Create(Path.Combine(paths.Cgroup, "supervisor")),
            LogFile = paths.SupervisorLog,
            Environment = new Dictionary<string, string>(Artifacts.BaseEnvironment) { ["AXONEME_LAB_ROOT"] = paths.Root },
        };
        return Launch.Start(place, ["setsid", Artifacts.Self, "supervise"]);
    }

    private static async Task WaitForSocketAsync(LabPaths paths, Process supervisor)
    {
        while (!ControlClient.IsListening(paths))
        {
            if (supervisor.HasExited)
                throw new UserErrorException($"the supervisor ended at once:\n{await File.ReadAllTextAsync(paths.SupervisorLog)}");
            await Task.Delay(10);
        }
    }

    private static void PrintNextSteps(LabOptions options)
    {
        Console.WriteLine();
        Console.WriteLine("Try:");
        Console.WriteLine("  export KUBECONFIG=$(sudo ./axoneme lab kubeconfig); kubectl get pods -A -o wide");
        if (options.Demo)
        {
            Console.WriteLine("  sudo ./axoneme lab exec client -- axl get http://echo:8080/");
            Console.WriteLine("  sudo ./axoneme lab exec intruder -- axl get http://echo:8080/     # a policy forbids it");
            Console.WriteLine("  sudo ./axoneme lab outside -- axl get http://172.30.0.11:30080/   # by a port of a node");
        }

        Console.WriteLine("  sudo ./axoneme lab node node1 -- cilium status");
        Console.WriteLine("  sudo ./axoneme lab node node1 -- hubble observe --last 20");
        Console.WriteLine("  sudo ./axoneme lab down");
    }
}
