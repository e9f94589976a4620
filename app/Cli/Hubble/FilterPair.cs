// SPDX-License-Identifier: Apache-2.0
using Axoneme.Hubble.Api;
using Google.Protobuf.Collections;

namespace Axoneme.Cli.Hubble;

/// <summary>
/// Two filters that grow together: flags about "either side" go to the source of the left one and the destination of the right one,
/// all others into both. When both come out alike, one is enough.
/// </summary>
internal sealed class FilterPair
{
    // Kinds of which one side takes only one: naming an endpoint both by address and by name matches nothing.
    private static readonly string[][] Exclusive =
    [
        ["fqdn", "ip", "namespace", "all-namespaces"], ["fqdn", "ip", "pod"],
    ];

    private readonly FlowFilter _left = new();
    private readonly FlowFilter _right = new();
    private readonly List<(string Flag, string Side, string Kind)> _used = [];

    public List<string> AnySide { get; } = [];

    public List<string> SourceSide { get; } = [];

    public List<string> DestinationSide { get; } = [];

    public void Add(string flag, string side, string kind, string value, Action<FlowFilter, string> left, Action<FlowFilter, string> right)
    {
        Use(flag, side, kind);
        left(_left, value);
        right(_right, value);
    }

    public void AddNamespace(string flag, (List<string> List, string Side) target, string name)
    {
        Use(flag, target.Side, name.Length == 0 ? "all-namespaces" : "namespace");
        target.List.Add(name);
    }

    public IEnumerable<FlowFilter> Build()
    {
        Qualify(_left.SourcePod, _left.SourceService, [.. AnySide, .. SourceSide]);
        Qualify(_left.DestinationPod, _left.DestinationService, DestinationSide);
        Qualify(_right.SourcePod, _right.SourceService, SourceSide);
        Qualify(_right.DestinationPod, _right.DestinationService, [.. AnySide, .. DestinationSide]);
        if (_left.CalculateSize() == 0 && _right.CalculateSize() == 0)
            return [];
        return _left.Equals(_right) ? [_left] : [_left, _right];
    }

    // A flag that names an endpoint contradicts another kind for the same end, and the form for both ends contradicts that for one.
    private void Use(string flag, string side, string kind)
    {
        foreach ((string usedFlag, string usedSide, string usedKind) in _used)
        {
            if (usedFlag == flag || side.Length == 0 || usedSide.Length == 0)
                continue;
            bool isBothAndOne = side != usedSide && (side == "any" || usedSide == "any");
            bool isSameEnd = side == usedSide || isBothAndOne;
            bool isOtherKind = isSameEnd && kind != usedKind && Array.Exists(Exclusive, g => g.Contains(kind) && g.Contains(usedKind));
            bool isQualified = isBothAndOne && (IsNamespace(kind) ? usedKind : kind) is "pod" or "service"
                && IsNamespace(side == "any" ? kind : usedKind);
            if ((isBothAndOne && kind == usedKind) || isOtherKind || isQualified)
                throw new UserErrorException($"filters --{usedFlag} and --{flag} cannot be combined");
        }

        if (flag is "encrypted" or "unencrypted" && _used.Exists(u => u.Flag is "encrypted" or "unencrypted" && u.Flag != flag))
            throw new UserErrorException("filters --encrypted and --unencrypted cannot be combined");
        _used.Add((flag, side, kind));
    }

    private static bool IsNamespace(string kind) => kind is "namespace" or "all-namespaces";

    private static void Qualify(RepeatedField<string> pods, RepeatedField<string> services, List<string> namespaces)
    {
        if (namespaces.Count == 0)
            return;
        if (pods.Count == 0 && services.Count == 0)
        {
            pods.Add(namespaces.Select(n => $"{n}/"));
            return;
        }

        Qualify(pods, namespaces);
        Qualify(services, namespaces);
    }

    private static void Qualify(RepeatedField<string> names, List<string> namespaces)
    {
        string[] before = [.. names];
        names.Clear();
        foreach (string name in before)
        {
            int slash = name.IndexOf('/', StringComparison.Ordinal);
            if (slash < 0)
                names.Add(namespaces.Select(n => $"{n}/{name}"));
            else if (!namespaces.Contains(name[..slash]) && !namespaces.Contains(""))
                throw new UserErrorException($"namespace of \"{name}\" conflicts with namespace filter {string.Join(", ", namespaces)}");
            else
                names.Add(name);
        }
    }
}

/// <summary>Names of event types on the command line.</summary>
internal static class EventTypes
{
    private static readonly Dictionary<string, int> Types = new(StringComparer.OrdinalIgnoreCase)
    {
        ["drop"] = 1,
        ["debug"] = 2,
        ["capture"] = 3,
        ["trace"] = 4,
        ["policy-verdict"] = 5,
        ["trace-sock"] = 7,
        ["l7"] = 129,
        ["agent"] = 130,
    };

    private static readonly string[] AgentTypes =
    [
        "unspecified", "message", "agent-started", "endpoint-regenerate-success", "endpoint-regenerate-failure", "policy-updated",
        "policy-deleted", "endpoint-created", "endpoint-deleted", "ipcache-upserted", "ipcache-deleted",
    ];

    public static EventTypeFilter Parse(string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        string typeText = colon < 0 ? text : text[..colon];
        if (!Types.TryGetValue(typeText, out int type) && !int.TryParse(typeText, out type))
            throw new UserErrorException($"unable to parse type filter '{text}': unknown type");
        var filter = new EventTypeFilter { Type = type };
        if (colon < 0)
            return filter;
        string sub = text[(colon + 1)..];
        int number = type switch
        {
            4 => Array.IndexOf(FlowText.ObservationPoints, sub),
            130 => Array.IndexOf(AgentTypes, sub),
            _ => -1,
        };
        if (number < 0 && !int.TryParse(sub, out number))
            throw new UserErrorException($"unable to parse type filter '{text}': unknown sub-type");
        filter.MatchSubType = true;
        filter.SubType = number;
        return filter;
    }
}
