// SPDX-License-Identifier: Apache-2.0
using Axoneme.Grpc;
using Axoneme.Hubble;
using Axoneme.Hubble.Api;

namespace Axoneme.Cli.Hubble;

/// <summary><c>hubble observe agent-events|debug-events</c>: events that are no packets. Agents serve them, relays do not.</summary>
internal sealed class EventsCommand(TextWriter output, TimeProvider time)
{
    private readonly ServerFlags _server = new();
    private readonly RangeFlags _range = new(time);
    private string _outputName = "compact";
    private string _timeFormat = "StampMilli";
    private bool _printNodeName;

    public async Task<int> RunAsync(string kind, IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        var flags = new FlagSet($"hubble observe {kind} [flags]");
        _server.AddTo(flags);
        _range.AddTo(flags);
        flags.Value("output", v => _outputName = v, "FORMAT", "compact, dict, table, json, jsonpb", 'o')
            .Value("time-format", v => _timeFormat = v, "NAME", "as for flows")
            .Switch("print-node-name", v => _printNodeName = v, "print the node of each event")
            .Value("color", _ => { }, "WHEN", "kept for scripts: these events have no colours");
        List<string> rest = flags.Parse(arguments);
        if (flags.IsHelpWanted)
        {
            flags.WriteHelp(output);
            return 0;
        }

        if (rest.Count > 0)
            throw new UserErrorException($"unknown argument \"{rest[0]}\" for \"hubble observe {kind}\"");
        _range.Validate();
        FlowOutput format = FlowPrinterOptions.ParseOutput(_outputName);
        if (format == FlowOutput.Table && _range.Follow)
            throw new UserErrorException("table output format is not compatible with follow mode");
        var printer = new EventPrinter(new FlowPrinterOptions { Output = format, TimeFormat = _timeFormat, PrintNodeName = _printNodeName }, output);
        using GrpcChannel channel = _server.Connect();
        if (kind == "agent-events")
            await PrintAsync(channel, ObserverMethods.GetAgentEvents, AgentEventsRequest(), printer.Print, cancellation).ConfigureAwait(false);
        else
            await PrintAsync(channel, ObserverMethods.GetDebugEvents, DebugEventsRequest(), printer.Print, cancellation).ConfigureAwait(false);
        printer.Close();
        return 0;
    }

    private GetAgentEventsRequest AgentEventsRequest() => new()
    {
        Number = _range.Number(isDefaulted: true),
        First = _range.First is not null,
        Follow = _range.Follow,
        Since = _range.Since,
        Until = _range.Follow ? null : _range.Until,
    };

    private GetDebugEventsRequest DebugEventsRequest() => new()
    {
        Number = _range.Number(isDefaulted: true),
        First = _range.First is not null,
        Follow = _range.Follow,
        Since = _range.Since,
        Until = _range.Follow ? null : _range.Until,
    };

    private async Task PrintAsync<TRequest, TResponse>(
        GrpcChannel channel, GrpcMethod<TRequest, TResponse> method, TRequest request, Action<TResponse> print, CancellationToken cancellation)
        where TRequest : class, Google.Protobuf.IMessage<TRequest>
        where TResponse : class, Google.Protobuf.IMessage<TResponse>
    {
        try
        {
            await using var stream = await channel.ServerStreamAsync(method, request, cancellation: cancellation).ConfigureAwait(false);
            while (await stream.ReadAsync().ConfigureAwait(false) is { } response)
            {
                print(response);
                if (_range.Follow)
                    await output.FlushAsync(cancellation).ConfigureAwait(false);
            }
        }
        catch (GrpcException e) when (e.Status == GrpcStatus.Canceled)
        {
            // The reader has seen enough: that is how a followed stream ends.
        }
    }
}
