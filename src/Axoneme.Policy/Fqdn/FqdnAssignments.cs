// SPDX-License-Identifier: Apache-2.0
using Axoneme.Dns;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>
/// Which identity each address of a name has. The labels follow from the patterns that the address has and from the narrowest block of a policy
/// around it, so an address moves when either changes.
/// </summary>
internal sealed class FqdnAssignments
{
    // From so many changed blocks on, all addresses are looked at once rather than once for each block.
    private const int ManyPrefixes = 16;

    private readonly CidrIdentities _cidrs;
    private readonly FqdnIdentities _identities;
    private readonly PolicyOptions _options;
    private readonly Dictionary<IpAddress, LabelSet> _assigned = [];
    private readonly Dictionary<IpAddress, LabelSet> _restored = [];
    private readonly HashSet<IpAddress> _dirty = [];
    private readonly HashSet<IpPrefix> _changedPrefixes = [];

    public FqdnAssignments(PolicyOptions options, CidrIdentities cidrs, FqdnIdentities identities)
    {
        _options = options;
        _cidrs = cidrs;
        _identities = identities;
        Names = new FqdnNames(options.Fqdn, address => _dirty.Add(address));
    }

    public FqdnNames Names { get; }

    /// <summary>Called with an identity that is new.</summary>
    public required Action<SecurityIdentity, LabelSet> Appeared { get; init; }

    /// <summary>Called with an address whose identity changed.</summary>
    public required Action<IpAddress> Moved { get; init; }

    /// <summary>Null: no pattern has the address.</summary>
    public SecurityIdentity? Find(IpAddress address) => _assigned.TryGetValue(address, out LabelSet? labels) ? _identities.Find(labels) : null;

    public void Acquire(DnsPattern pattern)
    {
        if (!Names.AcquirePattern(pattern, out NamePattern added))
            return;
        Prepare(added);
        PrepareAgain(added);
    }

    public void Release(DnsPattern pattern)
    {
        if (Names.ReleasePattern(pattern) is not { } removed)
            return;
        Unprepare(removed);
        PrepareAgain(removed);
    }

    public void PrefixChanged(IpPrefix prefix) => _changedPrefixes.Add(prefix);

    /// <summary>The address had that identity in an earlier run and keeps it until <see cref="ReleaseRestored"/>. False: no such identity.</summary>
    public bool Restore(IpAddress address, SecurityIdentity id)
    {
        if (_identities.Find(id) is not { } labels || !_restored.TryAdd(address, labels))
            return false;
        _identities.Acquire(labels, out _);
        _dirty.Add(address);
        return true;
    }

    public void ReleaseRestored()
    {
        foreach ((IpAddress address, LabelSet labels) in _restored)
        {
            _identities.Release(labels);
            _dirty.Add(address);
        }

        _restored.Clear();
    }

    /// <summary>Gives each address that something happened to the identity that it has to have now.</summary>
    public void Settle()
    {
        if (_changedPrefixes.Count > ManyPrefixes)
            _dirty.UnionWith(_assigned.Keys);
        else if (_changedPrefixes.Count > 0)
            _dirty.UnionWith(_assigned.Keys.Where(a => _changedPrefixes.Any(p => p.Contains(a))));
        _changedPrefixes.Clear();
        foreach (IpAddress address in _dirty)
            Settle(address);
        _dirty.Clear();
    }

    private void Settle(IpAddress address)
    {
        LabelSet? before = _assigned.GetValueOrDefault(address);
        string[] patterns = [.. Names.PatternsOf(address)];
        LabelSet? after = patterns.Length > 0
            ? FqdnSelector.IdentityLabels(patterns, _cidrs.Around(address), address.IsV6, _options.DualStack)
            : _restored.GetValueOrDefault(address);
        if (Equals(before, after))
            return;
        if (after is null)
            _assigned.Remove(address);
        else
            _assigned[address] = Hold(after);
        if (before is not null)
            _identities.Release(before);
        Moved(address);
    }

    private LabelSet Hold(LabelSet labels)
    {
        if (_identities.Acquire(labels, out SecurityIdentity id))
            Appeared(id, labels);
        return labels;
    }

    // Of a name, the set of all patterns that match it is known beforehand. Of a pattern, it alone is the best guess.
    private void Prepare(NamePattern pattern)
    {
        if (!_options.Fqdn.Preallocate)
            return;
        string[] patterns = pattern.Pattern.IsName
            ? [.. Names.PatternsOf(pattern.Pattern.Text).Select(p => p.Pattern.Text)]
            : [pattern.Pattern.Text];
        LabelSet[] before = [.. pattern.Prepared];
        pattern.Prepared.Clear();
        pattern.Prepared.Add(Hold(FqdnSelector.IdentityLabels(patterns, null, isV6: false, _options.DualStack)));
        if (_options.DualStack)
            pattern.Prepared.Add(Hold(FqdnSelector.IdentityLabels(patterns, null, isV6: true, _options.DualStack)));
        foreach (LabelSet labels in before)
            _identities.Release(labels);
    }

    private void Unprepare(NamePattern pattern)
    {
        foreach (LabelSet labels in pattern.Prepared)
            _identities.Release(labels);
        pattern.Prepared.Clear();
    }

    private void PrepareAgain(NamePattern changed)
    {
        if (changed.Pattern.IsName)
            return;
        foreach (NamePattern name in Names.KnownPatterns.Where(p => p.Pattern.IsName && changed.Pattern.Matches(p.Pattern.Text)))
            Prepare(name);
    }
}
