// SPDX-License-Identifier: Apache-2.0
using Axoneme.Grpc;
using Axoneme.Hubble;
using Axoneme.Hubble.Api.Peers;

namespace Axoneme.Cli.Hubble;

/// <summary><c>hubble</c>: what flows through the cluster.</summary>
internal static class HubbleCommand
{
    private const string Usage =
        """
        Usage: hubble COMMAND [flags]

        Commands:
          observe      print flows ("hubble observe --help" lists the filters)
          observe agent-events|debug-events
                       print what an agent reports besides flows
          status       print health and counters of the server
          list         print nodes or namespaces
          watch peers  print Hubble servers as they come and go
          config view  print the settings
          version      print the version
        """;

    public static async Task<int> RunAsync(string[] arguments)
    {
        using var interrupt = new CancellationTokenSource();
        Console.CancelKeyPress += (_, pressed) =>
        {
            pressed.Cancel = true;
            interrupt.Cancel();
        };
        // A terminal wants each line; a pipe wants them in bulk, and gets them at the end or when following.
        await using var output = new StreamWriter(Console.OpenStandardOutput(), bufferSize: 1 << 16) { AutoFlush = !Console.IsOutputRedirected };
        return await RunAsync(arguments, output, Console.Error, !Console.IsOutputRedirected, interrupt.Token).ConfigureAwait(false);
    }

    /// <summary>As a process would run it, with the outputs given.</summary>
    public static async Task<int> RunAsync(
        IReadOnlyList<string> arguments, TextWriter output, TextWriter errors, bool isTerminal, CancellationToken cancellation)
    {
        string[] rest = [.. arguments.Skip(1)];
        try
        {
            switch (arguments.Count == 0 ? "help" : arguments[0])
            {
                case "observe" when rest is ["agent-events" or "debug-events", ..]:
                    return await new EventsCommand(output, TimeProvider.System).RunAsync(rest[0], rest[1..], cancellation).ConfigureAwait(false);
                case "observe":
                    string[] flows = rest.Length > 0 && rest[0] is "flows" or "flow" ? rest[1..] : rest;
                    return await new ObserveCommand(output, errors, TimeProvider.System, isTerminal).RunAsync(flows, cancellation).ConfigureAwait(false);
                case "status":
                    return await new StatusCommand(output).RunAsync(rest, cancellation).ConfigureAwait(false);
                case "list":
                    return await new ListCommand(output).RunAsync(rest, cancellation).ConfigureAwait(false);
                case "watch" or "w":
                    return await WatchPeersAsync(rest, output, cancellation).ConfigureAwait(false);
                case "config":
                    return new ConfigCommand(output, Environment.GetEnvironmentVariable).Run(rest);
                case "version" or "--version":
                    await output.WriteLineAsync($"hubble v{ProductVersion.Text}").ConfigureAwait(false);
                    return 0;
                case "help" or "--help" or "-h":
                    await output.WriteLineAsync(Usage).ConfigureAwait(false);
                    return 0;
                default:
                    throw new UserErrorException($"unknown command \"{arguments[0]}\" for \"hubble\"");
            }
        }
        catch (GrpcException e) when (e.Status == GrpcStatus.Canceled && cancellation.IsCancellationRequested)
        {
            return 0;
        }
        catch (GrpcException e)
        {
            // The server's own words need no frame; a status needs its name.
            await errors.WriteLineAsync(e.Status == GrpcStatus.Unknown ? e.Detail : e.Message).ConfigureAwait(false);
            return 1;
        }
        catch (UserErrorException e)
        {
            await errors.WriteLineAsync(e.Message).ConfigureAwait(false);
            return 1;
        }
    }

    private static async Task<int> WatchPeersAsync(IReadOnlyList<string> arguments, TextWriter output, CancellationToken cancellation)
    {
        var server = new ServerFlags();
        var flags = new FlagSet("hubble watch peers [flags]");
        server.AddTo(flags);
        List<string> rest = flags.Parse(arguments);
        if (flags.IsHelpWanted || rest is not ["peers" or "peer"])
        {
            flags.WriteHelp(output);
            return flags.IsHelpWanted ? 0 : 1;
        }

        using GrpcChannel channel = server.Connect();
        await using var stream = await channel.ServerStreamAsync(PeerDirectory.NotifyMethod, new NotifyRequest(), cancellation: cancellation).ConfigureAwait(false);
        while (await stream.ReadAsync().ConfigureAwait(false) is { } change)
        {
            string type = change.Type switch
            {
                ChangeNotificationType.PeerAdded => "PEER_ADDED",
                ChangeNotificationType.PeerDeleted => "PEER_DELETED",
                ChangeNotificationType.PeerUpdated => "PEER_UPDATED",
                _ => "UNKNOWN",
            };
            string tls = change.Tls is null ? "" : $" (TLS.ServerName: {change.Tls.ServerName})";
            await output.WriteLineAsync($"{type,-12} {change.Address} {change.Name}{tls}").ConfigureAwait(false);
            await output.FlushAsync(cancellation).ConfigureAwait(false);
        }

        return 0;
    }
}
