// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.Policy;
using Axoneme.Policy.Explain;

namespace Axoneme.Cli.Explanations;

/// <summary>What a rehearsal found, and what its record says nothing about.</summary>
internal sealed class RehearsalText(TextWriter output)
{
    private const int ShownNames = 10;

    public void Write(RehearsalReport report, FlowHistory history, IReadOnlyList<PolicyStatus> findings)
    {
        int total = history.Connections.Sum(c => c.Count);
        output.WriteLine($"{history.Records} records of {total} connections{Span(history)}");
        WriteGroups(report, RehearsedChange.Dropped, "WOULD BE DROPPED");
        WriteGroups(report, RehearsedChange.NamesRefused, "WOULD BE REFUSED NAMES");
        WriteGroups(report, RehearsedChange.Passed, "WOULD PASS, and are dropped now");
        output.WriteLine();
        output.WriteLine($"Unchanged: {report.Unchanged} connections");
        output.WriteLine();
        output.WriteLine("What this does not say:");
        foreach (string limit in Limits(report, history, findings))
            output.WriteLine($"  - {limit}");
    }

    public static JsonObject Json(RehearsalReport report, FlowHistory history, IReadOnlyList<PolicyStatus> findings) => new()
    {
        ["records"] = history.Records,
        ["connections"] = history.Connections.Sum(c => c.Count),
        ["first"] = Time(history.First),
        ["last"] = Time(history.Last),
        ["nodes"] = ExplanationJson.List(history.Nodes.Select(n => (JsonNode)n)),
        ["lostEvents"] = history.Lost,
        ["leftOut"] = new JsonObject(history.LeftOut.Select(l => KeyValuePair.Create(l.Key, (JsonNode?)l.Value))),
        ["unchanged"] = report.Unchanged,
        ["recordedOtherwise"] = report.Differing,
        ["unrecorded"] = ExplanationJson.List(report.Unrecorded.Select(w => (JsonNode)w)),
        ["warnings"] = ExplanationJson.List(findings.Select(f => (JsonNode)$"{f.Policy}: {f.Message}")),
        ["changes"] = ExplanationJson.List(report.Groups.Select(Json)),
    };

    private static JsonNode Json(RehearsedGroup group) => new JsonObject
    {
        ["change"] = group.Change switch { RehearsedChange.Dropped => "dropped", RehearsedChange.Passed => "passed", _ => "names-refused" },
        ["source"] = group.Source,
        ["destination"] = group.Destination,
        ["port"] = PortText.Of(group.Protocol, group.Port),
        ["direction"] = group.Direction.ToString().ToLowerInvariant(),
        ["connections"] = group.Connections,
        ["first"] = Time(group.First),
        ["last"] = Time(group.Last),
        ["before"] = Decision(group.Before),
        ["after"] = Decision(group.After),
        ["names"] = ExplanationJson.List(group.Names.Select(n => (JsonNode)n)),
    };

    private static JsonObject Decision(Decision decision) => new()
    {
        ["verdict"] = decision.Allows ? "allowed" : "denied",
        ["text"] = Describe(decision),
        ["decidedBy"] = ExplanationJson.List(decision.Deciding.Select(ExplanationJson.Rule)),
    };

    private void WriteGroups(RehearsalReport report, RehearsedChange change, string title)
    {
        RehearsedGroup[] groups = [.. report.Groups.Where(g => g.Change == change)];
        if (groups.Length == 0)
            return;
        output.WriteLine();
        output.WriteLine($"{title}: {report.Count(change)} connections");
        foreach (RehearsedGroup group in groups)
        {
            string when = group.First is { } first && group.Last is { } last ? $", {Time(first)} to {Time(last)}" : "";
            output.WriteLine($"  {group.Source} -> {group.Destination} port {PortText.Of(group.Protocol, group.Port)}: {group.Connections} connections{when}");
            string direction = group.Direction == TrafficDirection.Egress ? $"egress of {group.Source}" : $"ingress of {group.Destination}";
            output.WriteLine($"    {direction} now:  {Describe(group.Before)}");
            output.WriteLine($"    {direction} then: {Describe(group.After)}");
            if (!group.Names.IsEmpty)
                output.WriteLine($"    refused: {string.Join(", ", group.Names.Take(ShownNames))}{(group.Names.Length > ShownNames ? $" and {group.Names.Length - ShownNames} more" : "")}");
        }
    }

    private static string Describe(Decision decision) => decision.Kind switch
    {
        DecisionKind.Open => "allowed, no policy restricts it",
        DecisionKind.NotPoliced or DecisionKind.FirewallOff => "allowed, no policy applies",
        DecisionKind.Allowed => $"allowed by {string.Join(", ", decision.Deciding)}",
        DecisionKind.AllowedByDefault => "allowed by default",
        DecisionKind.Denied => $"denied by {string.Join(", ", decision.Deciding)}",
        _ when decision.Deciding.IsEmpty => "denied by default, as enforcement is always on",
        _ => $"denied by default, as no rule of {string.Join(", ", decision.Deciding.Select(r => r.Policy).Distinct())} matches",
    };

    private static IEnumerable<string> Limits(RehearsalReport report, FlowHistory history, IReadOnlyList<PolicyStatus> findings)
    {
        if (history.First is { } first && history.Last is { } last)
            yield return $"the record spans {TimeText.Format(TimeSpan.FromSeconds(Math.Ceiling((last - first).TotalSeconds)))}: what happens more rarely, such as nightly jobs, may not be in it";
        yield return history.Lost > 0
            ? $"{history.Lost} events were lost while it was recorded: connections may be missing" : "the recorder reported no lost events; packets between two events of an aggregating recorder are not in it";
        if (history.Nodes.Count > 0)
            yield return $"it is of {string.Join(", ", history.Nodes)} only";
        if (!report.Unrecorded.IsEmpty)
            yield return $"nothing was recorded of {string.Join(", ", report.Unrecorded)}, which the change selects";
        foreach ((string reason, int count) in history.LeftOut)
            yield return $"{count} records were not replayed: {reason}";
        if (report.Differing > 0)
            yield return $"{report.Differing} connections were recorded with another verdict than the present policies give: policies or labels were others then";
        foreach (PolicyStatus finding in findings)
            yield return $"{finding.Policy}: {finding.Message.Replace("\n", "; ", StringComparison.Ordinal)}";
    }

    private static string Span(FlowHistory history)
        => history.First is { } first && history.Last is { } last ? $", {Time(first)} to {Time(last)}" : "";

    private static string? Time(DateTimeOffset? time) => time?.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'");
}
