// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Cli.Explanations;

/// <summary><c>axoneme policy</c>: policies held against recorded flows.</summary>
internal static class PolicyCommand
{
    private static readonly Command[] Commands =
    [
        new("rehearse", "what a change of policy would have done to recorded flows", a => new RehearseCommand(Console.Out, TimeProvider.System).RunAsync(a, CancellationToken.None)),
        new("suggest", "least-privilege policies from recorded flows",
            a => new SuggestCommand(Console.Out, Console.Error, TimeProvider.System).RunAsync(a, CancellationToken.None)),
    ];

    public static Task<int> RunAsync(string[] arguments)
    {
        if (arguments.Length > 0 && Array.Find(Commands, c => c.Name == arguments[0]) is { } command)
            return command.RunAsync(arguments[1..]);
        if (arguments.Length > 0 && arguments[0] is not ("help" or "--help" or "-h"))
            throw new UserErrorException($"unknown command \"{arguments[0]}\" for \"axoneme policy\": {string.Join(", ", Commands.Select(c => c.Name))}");
        Console.Out.WriteLine("usage: axoneme policy COMMAND [ARGUMENT...]");
        Console.Out.WriteLine();
        foreach (Command each in Commands)
            Console.Out.WriteLine($"  {each.Name,-10} {each.Summary}");
        return Task.FromResult(0);
    }
}
