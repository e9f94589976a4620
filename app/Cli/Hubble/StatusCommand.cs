// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using Axoneme.Grpc;
using Axoneme.Grpc.Health;
using Axoneme.Hubble;
using Axoneme.Hubble.Api;

namespace Axoneme.Cli.Hubble;

/// <summary><c>hubble status</c>: health and counters of a server.</summary>
internal sealed class StatusCommand(TextWriter output)
{
    private const int ShownUnavailable = 10;

    public async Task<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        var server = new ServerFlags();
        string format = "compact";
        var flags = new FlagSet("hubble status [flags]");
        server.AddTo(flags);
        flags.Value("output", v => format = v, "FORMAT", "compact, dict, table, json", 'o');
        List<string> rest = flags.Parse(arguments);
        if (flags.IsHelpWanted)
        {
            flags.WriteHelp(output);
            return 0;
        }

        if (rest.Count > 0)
            throw new UserErrorException($"unknown argument \"{rest[0]}\"");
        if (format is not ("compact" or "dict" or "json" or "JSON" or "jsonpb" or "tab" or "table"))
            throw new UserErrorException($"invalid output format: {format}");
        using GrpcChannel channel = server.Connect();
        await CheckHealthAsync(channel, server, format, cancellation).ConfigureAwait(false);
        ServerStatusResponse status;
        try
        {
            status = await channel.UnaryAsync(ObserverMethods.ServerStatus, new ServerStatusRequest(), server.RequestTimeout, cancellation).ConfigureAwait(false);
        }
        catch (GrpcException e)
        {
            throw new UserErrorException($"failed to get hubble server status: {e.Message}");
        }

        Print(status, format);
        return 0;
    }

    internal void Print(ServerStatusResponse status, string format)
    {
        switch (format)
        {
            case "compact":
                PrintCompact(status);
                break;
            case "dict":
                PrintDict(status);
                break;
            case "tab" or "table":
                PrintTable(status);
                break;
            default:
                output.WriteLine(JsonObjects.Of(status));
                break;
        }
    }

    private async Task CheckHealthAsync(GrpcChannel channel, ServerFlags server, string format, CancellationToken cancellation)
    {
        HealthCheckResponse health;
        try
        {
            health = await channel.UnaryAsync(
                HealthService.CheckMethod, new HealthCheckRequest { Service = HubbleObserver.HealthName }, server.RequestTimeout, cancellation).ConfigureAwait(false);
        }
        catch (GrpcException e)
        {
            throw new UserErrorException($"failed getting status: {e.Message}");
        }

        bool isServing = health.Status == HealthCheckResponse.Types.ServingStatus.Serving;
        string word = isServing ? "Ok" : $"Unavailable: {health.Status.ToString().ToUpperInvariant()}";
        if (format == "compact")
            await output.WriteLineAsync($"Healthcheck (via {server.Server}): {word}").ConfigureAwait(false);
        if (!isServing)
            throw new UserErrorException("not healthy");
    }

    private void PrintCompact(ServerStatusResponse status)
    {
        string share = status.MaxFlows == 0 ? "" : $" ({100.0 * status.NumFlows / status.MaxFlows:0.00}%)";
        output.WriteLine($"Current/Max Flows: {Thousands(status.NumFlows)}/{Thousands(status.MaxFlows)}{share}");
        output.WriteLine($"Flows/s: {Rate(status) ?? "N/A"}");
        if (status.NumConnectedNodes is { } connected)
        {
            string total = status.NumUnavailableNodes is { } missing ? $"/{connected + missing}" : "";
            output.WriteLine($"Connected Nodes: {connected}{total}");
        }

        if (status.NumUnavailableNodes is not > 0)
            return;
        output.WriteLine($"Unavailable Nodes: {status.NumUnavailableNodes}");
        string[] names = [.. status.UnavailableNodes.Order(StringComparer.Ordinal).Take(ShownUnavailable)];
        foreach (string name in names)
            output.WriteLine($"  - {name}");
        if (status.NumUnavailableNodes > names.Length)
            output.WriteLine($"  - and {status.NumUnavailableNodes - names.Length} more...");
    }

    private void PrintDict(ServerStatusResponse status)
    {
        (string Key, string Value)[] fields =
        [
            ("NUM FLOWS", Thousands(status.NumFlows)),
            ("MAX FLOWS", Thousands(status.MaxFlows)),
            ("SEEN FLOWS", Thousands(status.SeenFlows)),
            ("FLOWS PER SECOND", Rate(status) ?? "N/A"),
            ("UPTIME", Uptime(status)),
            ("NUM CONNECTED NODES", Count(status.NumConnectedNodes)),
            ("NUM UNAVAIL. NODES", Count(status.NumUnavailableNodes)),
            ("VERSION", status.Version),
        ];
        foreach ((string key, string value) in fields)
            output.WriteLine($"{key,19}: {value}");
    }

    private void PrintTable(ServerStatusResponse status)
    {
        string rate = status.FlowsRate > 0 ? status.FlowsRate.ToString("0.00", CultureInfo.InvariantCulture) : "N/A";
        new TabWriter(output, minimalWidth: 2)
            .Row("NUM FLOWS", "MAX FLOWS", "SEEN FLOWS", "FLOWS PER SECOND", "UPTIME", "NUM CONNECTED NODES", "NUM UNAVAILABLE NODES", "VERSION")
            .Row(Thousands(status.NumFlows), Thousands(status.MaxFlows), Thousands(status.SeenFlows), rate, Uptime(status),
                Count(status.NumConnectedNodes), Count(status.NumUnavailableNodes), status.Version)
            .Flush();
    }

    private static string? Rate(ServerStatusResponse status)
    {
        double rate = status.FlowsRate > 0 ? status.FlowsRate : status.UptimeNs > 0 ? status.SeenFlows / (status.UptimeNs / 1e9) : double.NaN;
        return double.IsNaN(rate) ? null : rate.ToString("0.00", CultureInfo.InvariantCulture);
    }

    private static string Uptime(ServerStatusResponse status) => TimeText.Format(TimeSpan.FromTicks((long)(status.UptimeNs / 100)));

    private static string Count(uint? number) => number is { } known ? Thousands(known) : "N/A";

    private static string Thousands(ulong number) => number.ToString("#,0", CultureInfo.InvariantCulture);
}
