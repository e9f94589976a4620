// SPDX-License-Identifier: Apache-2.0
using Axoneme.AgentApi;

namespace Axoneme.Cli.Cilium;

/// <summary><c>cilium</c> and <c>cilium-dbg</c>: the state of one node's agent and of its maps.</summary>
internal static class CiliumCommand
{
    private const string Usage =
        """
        Usage: cilium COMMAND [flags]

        Commands:
          status               state of the agent (--brief, --verbose, --wait, -o json)
          endpoint list|get|health|config
          identity list|get
          service list|get
          ip list
          node list
          map list|get
          policy get|selectors|list|wait REVISION|validate FILE...
          config [get KEY | KEY=VALUE...]
          lrp list             local redirect policies and what they do on this node
          fqdn cache list|clean, fqdn names   names that pods asked for, and what policies make of them
          metrics list         the agent's metrics (-p PATTERN)
          bpf lb|ct|nat|ipmasq|policy|ipcache|endpoint|metrics list   the maps themselves, also without an agent
          tables [NAME]        tables of the agent
          version              versions of this program and of the agent

        Flags of all commands:
          -H, --host ADDRESS   agent's API, unix:///path or tcp://host:port (CILIUM_SOCK)
          -o, --output FORMAT  json, or jsonpath='{.a.b}'
        """;

    public static async Task<int> RunAsync(string[] arguments)
    {
        await using var output = new StreamWriter(Console.OpenStandardOutput(), bufferSize: 1 << 16);
        return await RunAsync(arguments, output, Console.Error, CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>As a process would run it, with the outputs given.</summary>
    public static async Task<int> RunAsync(
        IReadOnlyList<string> arguments, TextWriter output, TextWriter errors, CancellationToken cancellation)
    {
        try
        {
            return await DispatchAsync([.. arguments], output, cancellation).ConfigureAwait(false);
        }
        catch (Exception e) when (e is UserErrorException or AgentException or FormatException)
        {
            await errors.WriteLineAsync($"Error: {e.Message}").ConfigureAwait(false);
            return 1;
        }
    }

    private static Task<int> DispatchAsync(string[] arguments, TextWriter output, CancellationToken cancellation)
    {
        // Flags of all commands may stand before the command, too.
        int verb = 0;
        while (verb < arguments.Length && arguments[verb].StartsWith('-'))
            verb += arguments[verb] is "-H" or "--host" or "-o" or "--output" or "--config" ? 2 : 1;
        if (verb >= arguments.Length)
            verb = -1;
        if (verb < 0)
            return PrintUsageAsync(output, arguments);
        string[] rest = [.. arguments[..verb], .. arguments[(verb + 1)..]];
        return arguments[verb] switch
        {
            "status" => new AgentStatusCommand(output, TimeProvider.System).RunAsync(rest, cancellation),
            "endpoint" or "ep" => new EndpointCommand(output).RunAsync(rest, cancellation),
            "identity" or "id" => new IdentityCommand(output).RunAsync(rest, cancellation),
            "service" or "svc" => new ServiceCommand(output).RunAsync(rest, cancellation),
            "policy" when AgentPolicyCommand.Knows(rest) => new AgentPolicyCommand(output, TimeProvider.System).RunAsync(rest, cancellation),
            "ip" or "node" or "map" or "policy" or "config" or "tables" or "statedb" or "version"
                => new AgentQueryCommand(output).RunAsync(arguments[verb], rest, cancellation),
            "lrp" => new RedirectCommand(output).RunAsync(rest, cancellation),
            "fqdn" => new NameCommand(output).RunAsync(rest, cancellation),
            "metrics" => new MetricsCommand(output).RunAsync(rest, cancellation),
            "bpf" => new BpfCommand(output).RunAsync(rest, cancellation),
            "help" => PrintUsageAsync(output, []),
            string unknown => throw new UserErrorException($"unknown command \"{unknown}\" for \"cilium\"\n{Usage}"),
        };
    }

    private static async Task<int> PrintUsageAsync(TextWriter output, string[] flags)
    {
        if (Array.Find(flags, f => f is not ("--help" or "-h")) is { } unknown)
            throw new UserErrorException($"unknown flag: {unknown}");
        await output.WriteLineAsync(Usage).ConfigureAwait(false);
        return 0;
    }
}
