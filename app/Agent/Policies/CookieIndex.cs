// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using Axoneme.Policy;

namespace Axoneme.Agent.Policies;

/// <summary>Cookies of policy map entries and the rules that they stand for. Read for every verdict event, so without a lock.</summary>
internal sealed class CookieIndex
{
    // Rules come and go; beyond this the index starts over with what is in force, and forgets what flows of long ago were decided by.
    private const int MaximalCookies = 1 << 17;

    private readonly ConcurrentDictionary<uint, RuleOrigins> _origins = new();
    private int _limit = MaximalCookies;

    public void Learn(PolicyDelta delta)
    {
        foreach ((_, PolicyEntry entry) in delta.Upserts)
            Learn(entry);
    }

    /// <summary>Rules that are called by new labels or log another text, while their entries stay as they are.</summary>
    public void Relabel(IReadOnlyCollection<RuleOrigin> rules)
    {
        if (rules.Count == 0)
            return;
        Dictionary<RuleOrigin, RuleOrigin> current = rules.ToDictionary(r => r);
        foreach ((uint cookie, RuleOrigins origins) in _origins)
        {
            RuleOrigins told = origins.WithTexts(current);
            if (!ReferenceEquals(told, origins))
                _origins[cookie] = told;
        }
    }

    /// <summary>Keeps the index bounded. Called under the engine's lock.</summary>
    public void Trim(PolicyEngine engine)
    {
        if (_origins.Count <= _limit)
            return;
        HashSet<uint> inForce = [.. engine.EndpointIds.Select(engine.FindEndpoint).OfType<EndpointPolicy>().Distinct(ReferenceEqualityComparer.Instance)
            .Cast<EndpointPolicy>().SelectMany(policy => policy.Entries.Values).Select(entry => entry.Origins.Cookie)];
        foreach (uint cookie in _origins.Keys.Where(cookie => !inForce.Contains(cookie)))
            _origins.TryRemove(cookie, out _);
        // With more than that in force, it is not worth looking again at each change.
        _limit = Math.Max(MaximalCookies, 2 * _origins.Count);
    }

    public RuleOrigins? Find(uint cookie) => _origins.GetValueOrDefault(cookie);

    // The first one stays: what was written of it can be handed out again.
    private void Learn(PolicyEntry entry)
    {
        if (entry.Origins.Cookie != 0 && (!_origins.TryGetValue(entry.Origins.Cookie, out RuleOrigins? known) || !known.Equals(entry.Origins)))
            _origins[entry.Origins.Cookie] = entry.Origins;
    }
}
