// SPDX-License-Identifier: Apache-2.0
using Axoneme.Hubble.Api;
using Google.Protobuf.WellKnownTypes;

namespace Axoneme.Cli.Hubble;

internal enum FlowOutput
{
    Compact,
    Dict,
    Table,
    Json,
}

internal sealed record FlowPrinterOptions
{
    public FlowOutput Output { get; init; }

    public string TimeFormat { get; init; } = "StampMilli";

    public bool PrintNodeName { get; init; }

    public bool PrintPolicyNames { get; init; }

    public bool Translate { get; init; } = true;

    public bool Color { get; init; }

    /// <summary>Show events of nodes that are no problem.</summary>
    public bool Debug { get; init; }

    /// <summary>Print the flow itself, without what the server says around it.</summary>
    public bool IsLegacyJson { get; init; }

    /// <exception cref="UserErrorException">There is no such format.</exception>
    public static FlowOutput ParseOutput(string name) => name switch
    {
        "compact" => FlowOutput.Compact,
        "dict" => FlowOutput.Dict,
        "tab" or "table" => FlowOutput.Table,
        "json" or "JSON" or "jsonpb" => FlowOutput.Json,
        _ => throw new UserErrorException($"invalid output format: {name}"),
    };
}

/// <summary>Prints responses of GetFlows; events of nodes go to the error output.</summary>
internal sealed class FlowPrinter(FlowPrinterOptions options, TextWriter output, TextWriter errors)
{
    private const int NodeListLength = 50;

    private readonly RecordPrinter _records = new(options, output);
    private readonly Painter _paint = new(options.Color);

    public void Print(GetFlowsResponse response)
    {
        switch (response.ResponseTypesCase)
        {
            case GetFlowsResponse.ResponseTypesOneofCase.Flow:
                PrintFlow(response);
                break;
            case GetFlowsResponse.ResponseTypesOneofCase.LostEvents:
                PrintLost(response);
                break;
            case GetFlowsResponse.ResponseTypesOneofCase.NodeStatus:
                PrintNodeStatus(response);
                break;
        }
    }

    /// <summary>Tables come out at the end, when the widths are known.</summary>
    public void Close() => _records.Close();

    private void PrintFlow(GetFlowsResponse response)
    {
        Flow flow = response.Flow;
        if (options.Output == FlowOutput.Json)
        {
            output.WriteLine(JsonObjects.Of(options.IsLegacyJson ? flow : response));
            return;
        }

        (string Host, string Port) source = FlowText.Source(flow, options.Translate);
        (string Host, string Port) destination = FlowText.Destination(flow, options.Translate);
        string type = FlowText.Type(flow);
        string verdict = FlowText.VerdictOf(flow, options.PrintPolicyNames);
        if (options.Output == FlowOutput.Compact)
        {
            PrintCompact(flow, source, destination, $"{type} {_paint.Verdict(flow.Verdict, verdict)} ({Clean(FlowText.Summary(flow))})");
            return;
        }

        bool isTable = options.Output == FlowOutput.Table;
        _records.Print(flow.NodeName, [
            ("TIMESTAMP", Time(flow.Time)),
            ("SOURCE", isTable ? FlowText.Join(source) : _paint.Host(source)),
            ("DESTINATION", isTable ? FlowText.Join(destination) : _paint.Host(destination)),
            ("TYPE", type),
            ("VERDICT", isTable ? verdict : _paint.Verdict(flow.Verdict, verdict)),
            ("SUMMARY", Clean(FlowText.Summary(flow))),
        ]);
    }

    // The side that opened the connection stays on the left, whoever sent this packet.
    private void PrintCompact(Flow flow, (string, string) source, (string, string) destination, string rest)
    {
        string left = $"{_paint.Host(source)} {_paint.Identity(FlowText.Identity(flow.Source))}";
        string right = $"{_paint.Host(destination)} {_paint.Identity(FlowText.Identity(flow.Destination))}";
        string arrow = "<>";
        if (flow.IsReply is { } isReply)
        {
            arrow = isReply ? "<-" : "->";
            if (isReply)
                (left, right) = (right, left);
        }

        string node = options.PrintNodeName ? $" [{flow.NodeName}]" : "";
        output.WriteLine($"{Time(flow.Time)}{node}: {left} {arrow} {right} {rest}");
    }

    private void PrintLost(GetFlowsResponse response)
    {
        LostEvent lost = response.LostEvents;
        string span = lost.First is null || lost.Last is null ? "" : $"(first: {Time(lost.First)}, last: {Time(lost.Last)})";
        string source = ProtoName(lost);
        switch (options.Output)
        {
            case FlowOutput.Json:
                output.WriteLine(JsonObjects.Of(response));
                break;
            case FlowOutput.Compact:
                output.WriteLine($"{Time(response.Time)} EVENTS LOST: {source} CPU({lost.Cpu ?? 0}) {lost.NumEventsLost}{Prefixed(span)}");
                break;
            case FlowOutput.Table:
                _records.Print(response.NodeName, [
                    ("TIMESTAMP", Time(response.Time)), ("SOURCE", source), ("DESTINATION", "-"), ("TYPE", "EVENTS LOST"), ("VERDICT", "-"),
                    ("SUMMARY", $"CPU({lost.Cpu ?? 0}) - {lost.NumEventsLost}{Prefixed(span)}"),
                ]);
                break;
            default:
                _records.Print(response.NodeName, [
                    ("TIMESTAMP", Time(response.Time)), ("SOURCE", source), ("TYPE", "EVENTS LOST"), ("VERDICT", "-"),
                    ("SUMMARY", $"CPU({lost.Cpu ?? 0}) - {lost.NumEventsLost}{Prefixed(span)}"),
                ]);
                break;
        }
    }

    private void PrintNodeStatus(GetFlowsResponse response)
    {
        if (options.Output == FlowOutput.Json)
        {
            errors.WriteLine(JsonObjects.Of(response));
            return;
        }

        NodeStatusEvent status = response.NodeStatus;
        int count = status.NodeNames.Count;
        string nodes = NodeList(status.NodeNames);
        (bool isProblem, string text) = status.StateChange switch
        {
            NodeState.NodeConnected => (false, $"Receiving flows from {count} nodes: {nodes}"),
            NodeState.NodeUnavailable => (true, $"{count} nodes are unavailable: {nodes}"),
            NodeState.NodeGone => (false, $"{count} nodes removed from cluster: {nodes}"),
            NodeState.NodeError => (true, $"Error \"{status.Message}\" on {count} nodes: {nodes}"),
            _ => (true, $"unknown node status event: {status}"),
        };
        if (isProblem || options.Debug)
            errors.WriteLine($"{Time(response.Time)} [{response.NodeName}]: {text}");
    }

    private string Time(Timestamp? time) => _records.Time(time);

    private static string ProtoName(LostEvent lost) => Hubble.ProtoName.Of(lost.Source);

    private static string Prefixed(string span) => span.Length > 0 ? $" {span}" : "";

    private static string NodeList(Google.Protobuf.Collections.RepeatedField<string> names)
    {
        string list = "";
        for (int i = 0; i < names.Count; i++)
        {
            string next = i == 0 ? names[i] : $"{list}, {names[i]}";
            if (i > 0 && next.Length > NodeListLength)
                return $"{list} (and {names.Count - i} more)";
            list = next;
        }

        return list;
    }

    // Text that came from the network must not move the cursor of whoever looks at it.
    private static string Clean(string text)
        => text.Replace("\u001b", "^[", StringComparison.Ordinal).Replace("\r", "\\r", StringComparison.Ordinal);
}

/// <summary>Colours of the terminal, or none.</summary>
internal sealed class Painter(bool isOn)
{
    public string Host((string Host, string Port) side)
    {
        if (!isOn)
            return FlowText.Join(side);
        string host = Paint(36, side.Host);
        return side.Port.Length == 0 ? host
            : side.Host.Contains(':', StringComparison.Ordinal) ? $"[{host}]:{Paint(33, side.Port)}" : $"{host}:{Paint(33, side.Port)}";
    }

    public string Identity(string text) => Paint(35, text);

    public string Verdict(Verdict verdict, string text) => verdict switch
    {
        Axoneme.Hubble.Api.Verdict.Forwarded or Axoneme.Hubble.Api.Verdict.Redirected => Paint(32, text),
        Axoneme.Hubble.Api.Verdict.Dropped or Axoneme.Hubble.Api.Verdict.Error => Paint(31, text),
        Axoneme.Hubble.Api.Verdict.Audit or Axoneme.Hubble.Api.Verdict.Traced or Axoneme.Hubble.Api.Verdict.Translated => Paint(33, text),
        _ => text,
    };

    private string Paint(int color, string text) => isOn ? $"\u001b[{color}m{text}\u001b[0m" : text;
}
