// SPDX-License-Identifier: Apache-2.0
using Axoneme.DnsProxy;
using Axoneme.Network;
using Axoneme.Proxy.Names;

namespace Axoneme.Proxy.Control;

/// <summary>
/// Everything an agent said last: options, endpoints, selector sets, prefixes. It goes on being in force when the agent is gone, also over a restart.
/// </summary>
internal sealed class RuleState(ProxyShared shared)
{
    // Of endpoints in one message of the state file.
    private const int EndpointsEach = 64;
    private const int SetsEach = 1000;

    private readonly Lock _lock = new();
    private Dictionary<SecurityIdentity, SelectorSet> _sets = [];
    private List<SelectorSet> _unnumbered = [];
    private HashSet<IpPrefix> _prefixes = [];
    private Snapshot? _snapshot;

    private sealed class Snapshot
    {
        public ProxyOptions Options { get; set; } = new();

        public List<ProxiedEndpoint> Endpoints { get; } = [];

        public List<SelectorSet> Sets { get; } = [];

        public HashSet<IpPrefix> Prefixes { get; } = [];
    }

    /// <summary>Changes whenever the state does.</summary>
    public long Version { get; private set; }

    /// <summary>An agent has gone within a snapshot: what it said of it is void.</summary>
    public void Abort()
    {
        lock (_lock)
            _snapshot = null;
    }

    /// <summary>Takes in a message that describes state; false for others.</summary>
    public bool TryApply(ProxyMessage message)
    {
        lock (_lock)
        {
            switch (message)
            {
                case SnapshotBegin:
                    _snapshot = new Snapshot();
                    return true;
                case SnapshotEnd when _snapshot is { } complete:
                    _snapshot = null;
                    Replace(complete);
                    break;
                case SetOptions options when _snapshot is { } building:
                    building.Options = options.Options;
                    return true;
                case UpdateEndpoints endpoints when _snapshot is { } building:
                    building.Endpoints.AddRange(endpoints.Upsert);
                    return true;
                case UpdateSets sets when _snapshot is { } building:
                    building.Sets.AddRange(sets.Upsert);
                    return true;
                case UpdatePrefixes prefixes when _snapshot is { } building:
                    building.Prefixes.UnionWith(prefixes.Add);
                    return true;
                case SetOptions options:
                    shared.Options = options.Options;
                    break;
                case UpdateEndpoints endpoints:
                    ForgetEndpoints(shared.Endpoints.Update(endpoints.Upsert, endpoints.Remove));
                    break;
                case UpdateSets sets:
                    Change(sets);
                    break;
                case UpdatePrefixes prefixes:
                    _prefixes.UnionWith(prefixes.Add);
                    _prefixes.ExceptWith(prefixes.Remove);
                    Select();
                    break;
                default:
                    return false;
            }

            Version++;
            return true;
        }
    }

    /// <summary>The messages that bring a new process to this state.</summary>
    public IReadOnlyList<ProxyMessage> Describe()
    {
        lock (_lock)
        {
            return
            [
                new SnapshotBegin(),
                new SetOptions(shared.Options),
                .. shared.Endpoints.All.Chunk(EndpointsEach).Select(c => new UpdateEndpoints(c, [])),
                .. _sets.Values.Concat(_unnumbered).Chunk(SetsEach).Select(c => new UpdateSets(c, [])),
                new UpdatePrefixes([.. _prefixes], []),
                new SnapshotEnd(),
            ];
        }
    }

    private void Replace(Snapshot complete)
    {
        shared.Options = complete.Options;
        _sets = complete.Sets.Where(s => s.Identity.Value != 0).GroupBy(s => s.Identity).ToDictionary(g => g.Key, g => g.Last());
        _unnumbered = [.. complete.Sets.Where(s => s.Identity.Value == 0)];
        _prefixes = complete.Prefixes;
        Select();
        ForgetEndpoints(shared.Endpoints.Update(complete.Endpoints, [], replace: true));
    }

    private void Change(UpdateSets sets)
    {
        foreach (SecurityIdentity gone in sets.Remove)
            _sets.Remove(gone);
        foreach (SelectorSet set in sets.Upsert.Where(s => s.Identity.Value != 0))
            _sets[set.Identity] = set;
        if (sets.Upsert.Any(s => s.Identity.Value == 0))
            _unnumbered = [.. sets.Upsert.Where(s => s.Identity.Value == 0)];
        Select();
    }

    private void Select() => shared.Names.Select(new SelectorDirectory([.. _sets.Values, .. _unnumbered], [.. _prefixes]));

    private void ForgetEndpoints(IReadOnlyList<ushort> gone)
    {
        foreach (ushort id in gone)
            shared.Names.RemoveEndpoint(id);
    }
}
