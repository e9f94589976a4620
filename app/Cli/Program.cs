// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Cli;

/// <summary>One executable, several names: under <c>hubble</c>, <c>cilium</c> or <c>cilium-dbg</c> it is that command.</summary>
internal static class Program
{
    private static readonly Command[] Commands =
    [
        new("cilium", "the state of a node's agent and maps", Cilium.CiliumCommand.RunAsync),
        new("hubble", "flows: what passes, what is dropped and why", Hubble.HubbleCommand.RunAsync),
        new("explain", "why a connection is allowed or denied, and what would change it", Explanations.ExplainCommand.RunAsync),
        new("policy", "what a change of policy would do to recorded flows, and policies made from them", Explanations.PolicyCommand.RunAsync),
        new("lab", "a cluster in a box: nodes, pods and services on this machine", SiblingProgram.Run("lab", "axoneme-lab")),
        new("test", "build, and run the tests", Testing.TestCommand.RunAsync),
        new("bench", "measure our paths against plain ones", SiblingProgram.Run("bench", "axoneme-bench")),
    ];

    private static async Task<int> Main(string[] arguments)
    {
        try
        {
            return await RunAsync(InvokedName(), arguments).ConfigureAwait(false);
        }
        catch (UserErrorException e)
        {
            await Console.Error.WriteLineAsync($"error: {e.Message}").ConfigureAwait(false);
            return 1;
        }
    }

    private static Task<int> RunAsync(string name, string[] arguments)
    {
        if (Find(name) is { } byName)
            return byName.RunAsync(arguments);
        if (arguments.Length == 0 || arguments[0] is "help" or "--help" or "-h")
            return Task.FromResult(PrintUsage(Console.Out, 0));
        if (Find(arguments[0]) is { } byVerb)
            return byVerb.RunAsync(arguments[1..]);
        Console.Error.WriteLine($"error: unknown command \"{arguments[0]}\"");
        return Task.FromResult(PrintUsage(Console.Error, 2));
    }

    private static Command? Find(string name)
    {
        string verb = name == "cilium-dbg" ? "cilium" : name;
        return Array.Find(Commands, c => c.Name == verb);
    }

    // argv[0] as typed: the runtime's own notions of it are the assembly and the resolved executable.
    private static string InvokedName()
        => Path.GetFileName(File.ReadAllText("/proc/self/cmdline").Split('\0')[0]);

    private static int PrintUsage(TextWriter output, int status)
    {
        output.WriteLine("usage: axoneme COMMAND [ARGUMENT...]");
        output.WriteLine();
        foreach (Command command in Commands)
            output.WriteLine($"  {command.Name,-8} {command.Summary}");
        output.WriteLine();
        output.WriteLine("\"axoneme COMMAND --help\" tells more.");
        return status;
    }
}

/// <summary>A verb: its arguments in, the process's exit status out.</summary>
internal sealed record Command(string Name, string Summary, Func<string[], Task<int>> RunAsync);

/// <summary>What the user asked for cannot be done; the message says what to change. No stack trace is printed.</summary>
internal sealed class UserErrorException(string message) : Exception(message);
