// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using Axoneme.Policy;

namespace Axoneme.Agent.Policies;

/// <summary>Cookies of policy map entries and the rules that they stand for. Read for every verdict event, so without a lock.</summary>
internal sealed class CookieIndex
{
    // Rules come and go; beyond this the index starts over and forgets what flows of long ago were decided by.
    private const int MaximalCookies = 1 << 17;

    private readonly ConcurrentDictionary<uint, RuleOrigins> _origins = new();

    public void Learn(PolicyDelta delta)
    {
        if (_origins.Count > MaximalCookies)
            _origins.Clear();
        foreach ((_, PolicyEntry entry) in delta.Upserts)
        {
            if (entry.Origins.Cookie != 0)
                _origins[entry.Origins.Cookie] = entry.Origins;
        }
    }

    public RuleOrigins? Find(uint cookie) => _origins.GetValueOrDefault(cookie);
}
