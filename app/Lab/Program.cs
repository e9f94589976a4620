// SPDX-License-Identifier: Apache-2.0
using Axoneme.Lab.Commands;

namespace Axoneme.Lab;

/// <summary>The <c>lab</c> commands; "supervise" is the process that they start and talk to.</summary>
internal static class Program
{
    private const string Usage = """
        usage: axoneme lab COMMAND

          up [--nodes N] [--routing native|vxlan] [--values FILE] [--set NAME=VALUE]... [--manifests DIR] [--no-demo]
                                  start a cluster; --values takes Helm values; NAME is the path of
                                  a Helm value or a configuration key of the agent
          status                  tables of nodes, pods and services
          down                    remove everything, also after a crash
          kubeconfig              print the path of one
          exec [NAMESPACE/]POD [-c CONTAINER] -- COMMAND...
                                  run a command in a pod; the exit status is the command's
          node NODE -- COMMAND... run a command on a node
          outside -- COMMAND...   run a command on the host beyond the cluster; outside2 is another such host
          router -- COMMAND...    run a command on the router between nodes and outside
          logs NODE               print the log of a node's agent; NAMESPACE/POD prints a pod's,
                                  NODE proxy the one of its DNS proxy
          agent NODE stop|start|kill|restart
          proxy NODE stop|start|kill|restart
                                  the same for the node's DNS proxy

        --name NAME before COMMAND means another lab than the usual one.
        """;

    private static async Task<int> Main(string[] arguments)
    {
        try
        {
            return await RunAsync(new ArgumentList(arguments));
        }
        catch (UserErrorException e)
        {
            await Console.Error.WriteLineAsync($"error: {e.Message}");
            return e.Status;
        }
    }

    private static async Task<int> RunAsync(ArgumentList arguments)
    {
        string? name = arguments.TakeOption("--name", onlyLeading: true);
        string verb = arguments.TakePositional() ?? "help";
        // Those that run a command leave its options to it.
        bool runs = verb is "exec" or "node" or "outside" or "outside2" or "router";
        if (verb is "help" or "--help" or "-h" || (!runs && (arguments.TakeFlag("--help") || arguments.TakeFlag("-h"))))
        {
            Console.WriteLine(Usage);
            return 0;
        }

        Preflight.RequireRoot($"lab {verb}");
        LabPaths paths = LabPaths.Find(name);
        switch (verb)
        {
            case "up": return await UpCommand.RunAsync(paths, arguments);
            case "down": return await DownCommand.RunAsync(paths, arguments);
            case "status": return await StatusCommand.RunAsync(paths, arguments);
            case "kubeconfig": return InsideCommands.PrintKubeconfig(paths, arguments);
            case "exec": return await InsideCommands.ExecAsync(paths, arguments);
            case "node": return InsideCommands.RunOnNode(paths, arguments);
            case "outside" or "outside2": return InsideCommands.RunAround(paths, arguments, verb, verb);
            case "router": return InsideCommands.RunAround(paths, arguments, verb, "fabric");
            case "logs": return InsideCommands.PrintLog(paths, arguments);
            case "agent" or "proxy": return await InsideCommands.ControlProcessAsync(paths, verb, arguments);
            case "supervise": return await Supervisor.ServeAsync(paths);
            default: throw new UserErrorException($"unknown command \"lab {verb}\"\n\n{Usage}", status: 2);
        }
    }
}
