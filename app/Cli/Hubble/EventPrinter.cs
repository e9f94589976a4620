// SPDX-License-Identifier: Apache-2.0
using Axoneme.Hubble.Api;
using Google.Protobuf;

namespace Axoneme.Cli.Hubble;

/// <summary>Prints what agents report of themselves, and what programs report for their authors.</summary>
internal sealed class EventPrinter(FlowPrinterOptions options, TextWriter output)
{
    private readonly RecordPrinter _records = new(options, output);

    public void Close() => _records.Close();

    public void Print(GetAgentEventsResponse response)
    {
        if (PrintJson(response))
            return;
        AgentEvent happened = response.AgentEvent;
        string type = ProtoName.Of(happened.Type);
        string time = _records.Time(response.Time);
        if (options.Output == FlowOutput.Compact)
            output.WriteLine($"{time}{Node(response.NodeName)}: {type} ({Details(happened)})");
        else
            _records.Print(response.NodeName, [("TIMESTAMP", time), ("TYPE", type), ("DETAILS", Details(happened))]);
    }

    public void Print(GetDebugEventsResponse response)
    {
        if (PrintJson(response))
            return;
        DebugEvent happened = response.DebugEvent;
        (string time, string from, string type) = (_records.Time(response.Time), From(happened.Source), ProtoName.Of(happened.Type));
        string mark = happened.Hash is { } hash ? $"0x{hash:x}" : "N/A";
        string cpu = happened.Cpu is { } number ? $"{number:00}" : "N/A";
        if (options.Output == FlowOutput.Compact)
        {
            output.WriteLine($"{time}{Node(response.NodeName)}: {from} {type} MARK: {mark} CPU: {cpu} ({happened.Message})");
            return;
        }

        _records.Print(response.NodeName, options.Output == FlowOutput.Table
            ? [("TIMESTAMP", time), ("FROM", from), ("TYPE", type), ("CPU/MARK", $"{cpu} {mark}"), ("MESSAGE", happened.Message)]
            : [("TIMESTAMP", time), ("TYPE", type), ("FROM", from), ("MARK", mark), ("CPU", cpu), ("MESSAGE", happened.Message)]);
    }

    private bool PrintJson(IMessage response)
    {
        if (options.Output != FlowOutput.Json)
            return false;
        output.WriteLine(JsonObjects.Of(response));
        return true;
    }

    private string Node(string name) => options.PrintNodeName ? $" [{name}]" : "";

    private static string From(Endpoint? source)
    {
        if (source is null)
            return "N/A";
        if (source.PodName.Length > 0)
            return $"{source.Namespace}/{source.PodName} (ID: {source.ID})";
        return source.Labels is [var label] && label.StartsWith("reserved:", StringComparison.Ordinal) ? $"{label} (ID: {source.ID})" : $"ID: {source.ID}";
    }

    private string Details(AgentEvent happened) => happened.NotificationCase switch
    {
        AgentEvent.NotificationOneofCase.AgentStart => $"start time: {_records.Time(happened.AgentStart.Time)}",
        AgentEvent.NotificationOneofCase.PolicyUpdate
            => $"labels: {List(happened.PolicyUpdate.Labels)}, revision: {happened.PolicyUpdate.Revision}, count: {happened.PolicyUpdate.RuleCount}",
        AgentEvent.NotificationOneofCase.EndpointRegenerate
            => $"id: {happened.EndpointRegenerate.Id}, labels: {List(happened.EndpointRegenerate.Labels)}{Part("error", happened.EndpointRegenerate.Error)}",
        AgentEvent.NotificationOneofCase.EndpointUpdate
            => $"id: {happened.EndpointUpdate.Id}{Part("namespace", happened.EndpointUpdate.Namespace)}{Part("pod name", happened.EndpointUpdate.PodName)}",
        AgentEvent.NotificationOneofCase.IpcacheUpdate => Details(happened.IpcacheUpdate),
        AgentEvent.NotificationOneofCase.Unknown => $"type: {happened.Unknown.Type}, notification: {happened.Unknown.Notification}",
        _ => "no details",
    };

    private static string Details(IPCacheNotification update)
    {
        string old = update.OldIdentity is { } identity ? $", old identity: {identity}" : "";
        return $"cidr: {update.Cidr}, identity: {update.Identity}{old}{Part("host ip", update.HostIp)}{Part("old host ip", update.OldHostIp)}, "
            + $"encrypt key: {update.EncryptKey}";
    }

    private static string List(IEnumerable<string> labels) => $"[{string.Join(' ', labels)}]";

    private static string Part(string name, string value) => value.Length > 0 ? $", {name}: {value}" : "";
}
