// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using System.Collections.Immutable;
using Axoneme.Agent.Policies;
using Axoneme.Hubble;
using Axoneme.Policy;
using TrafficDirection = Axoneme.Policy.TrafficDirection;

namespace Axoneme.Agent.Flows;

/// <summary>Rules as flows name them. What was written once is handed out again, since every verdict asks.</summary>
internal sealed class VerdictAttribution(CookieIndex cookies, DefaultDenyIndex defaults)
{
    // As many sets of rules as a node's maps are likely to hold; beyond that they are written anew.
    private const int MaximalWritten = 1 << 14;

    private readonly ConcurrentDictionary<uint, (RuleOrigins Origins, FlowAttribution Written)> _byCookie = new();
    private readonly ConcurrentDictionary<(ushort, TrafficDirection, bool), (ClosedDirection Closed, FlowAttribution Written)> _byDefault = new();

    public FlowAttribution? OfCookie(uint cookie)
    {
        if (cookies.Find(cookie) is not { } origins)
            return null;
        if (_byCookie.TryGetValue(cookie, out (RuleOrigins Origins, FlowAttribution Written) known) && ReferenceEquals(known.Origins, origins))
            return known.Written;
        FlowAttribution written = Write(AttributionKind.Rules, origins.Rules);
        Keep(_byCookie, cookie, (origins, written));
        return written;
    }

    public FlowAttribution? OfDefault(ushort endpointId, TrafficDirection direction, bool withShadow)
    {
        if (defaults.Find(endpointId, direction) is not { } closed || (!closed.IsEnforced && (!withShadow || closed.Shadow.IsEmpty)))
            return null;
        (ushort, TrafficDirection, bool) key = (endpointId, direction, withShadow);
        if (_byDefault.TryGetValue(key, out (ClosedDirection Closed, FlowAttribution Written) known) && ReferenceEquals(known.Closed, closed))
            return known.Written;
        // What makes the difference are the shadow rules, unless the difference is that fewer of the others count.
        ImmutableArray<RuleOrigin> rules = withShadow && !closed.Shadow.IsEmpty ? closed.Shadow : closed.Enforced;
        FlowAttribution written = Write(AttributionKind.DefaultDeny, rules);
        Keep(_byDefault, key, (closed, written));
        return written;
    }

    private static void Keep<TKey, TValue>(ConcurrentDictionary<TKey, TValue> written, TKey key, TValue value)
        where TKey : notnull
    {
        if (written.Count >= MaximalWritten)
            written.Clear();
        written[key] = value;
    }

    private static FlowAttribution Write(AttributionKind kind, ImmutableArray<RuleOrigin> rules) => new(
        kind,
        [
            .. rules.GroupBy(rule => rule.Policy).Select(group => new FlowPolicy(group.Key.Kind.ToString(), group.Key.Namespace, group.Key.Name, 0)
            {
                Labels = [.. group.SelectMany(rule => rule.Labels).Distinct().Select(label => label.ToString())],
                Rules = [.. group.Select(rule => rule.Path).Distinct()],
            }),
        ])
    {
        Logs = [.. rules.Select(rule => rule.LogText).Where(text => text.Length > 0).Distinct()],
    };
}
