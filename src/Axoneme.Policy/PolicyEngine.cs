// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Axoneme.Dns;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>The next policy of an endpoint; endpoints of one identity share policy and delta instances.</summary>
/// <param name="EndpointId">Of this node.</param>
/// <param name="Policy">Complete.</param>
/// <param name="Delta">Against what the last update gave for this endpoint (everything for a new one).</param>
public sealed record EndpointPolicyChange(ushort EndpointId, EndpointPolicy Policy, PolicyDelta Delta)
{
    /// <summary>The same for the policy's <see cref="EndpointPolicy.Shadow"/>; empty where it has none.</summary>
    public PolicyDelta ShadowDelta { get; init; } = PolicyDelta.Empty;
}

/// <summary>
/// All that changed since the last commit. Write in this order and no packet meets a state that no policy asked for: upserts of the endpoints'
/// deltas, <see cref="PrefixUpserts"/>, <see cref="PrefixDeletes"/>, deletes of the deltas.
/// </summary>
/// <param name="Revision">Of the engine; grows when something changed.</param>
/// <param name="Endpoints">Ordered by endpoint.</param>
/// <param name="PrefixUpserts">Address blocks that now have an identity of this node (ipcache).</param>
/// <param name="PrefixDeletes">Address blocks that no policy mentions any more.</param>
public sealed record PolicyUpdate(
    ulong Revision,
    ImmutableArray<EndpointPolicyChange> Endpoints,
    ImmutableArray<KeyValuePair<IpPrefix, SecurityIdentity>> PrefixUpserts,
    ImmutableArray<IpPrefix> PrefixDeletes)
{
    /// <summary>Rules that say what they said, under new labels or with another text for the log: no entry changes by that.</summary>
    public ImmutableArray<RuleOrigin> Relabelled { get; init; } = [];
}

/// <summary>One selector as it stands: the rules whose subject or peer it is, and what it selects.</summary>
public sealed record SelectorUse(
    IdentitySelector Selector,
    ImmutableArray<RuleOrigin> SubjectOf,
    ImmutableArray<RuleOrigin> PeerOf,
    ImmutableArray<SecurityIdentity> Identities);

/// <summary>
/// Turns rules, identities and endpoints into policy maps. Changes are recorded cheaply and take effect with <see cref="Commit"/>, which
/// recomputes only what they touched. Not thread-safe: one owner calls it; what it returns is immutable.
/// </summary>
public sealed class PolicyEngine
{
    private PolicyOptions _options;
    private readonly SelectorCache _selectors;
    private readonly LocalNumbers _numbers = new();
    private readonly CidrIdentities _cidrs;
    private readonly FqdnIdentities _fqdnIdentities;
    private readonly FqdnAssignments _fqdn;
    private readonly Dictionary<PolicyObjectKey, (PolicyDocument Document, RuleState[] Rules)> _documents = [];
    private readonly Dictionary<(SecurityIdentity Identity, NamedPorts Ports), SubjectState> _subjects = [];
    private readonly Dictionary<SecurityIdentity, List<SubjectState>> _subjectsByIdentity = [];
    private readonly Dictionary<ushort, SubjectState> _endpoints = [];
    private readonly HashSet<SubjectState> _dirty = [];
    private readonly SliceCache _slices = new();

    // Rules whose entries depend on the container ports of their peers.
    private readonly HashSet<RuleState> _namesPeerPorts = [];
    private readonly HashSet<SecurityIdentity> _deleteWhenUnused = [];
    private long _ruleCount;
    private readonly Dictionary<RuleOrigin, RuleOrigin> _relabelled = [];

    // What the last update said about endpoints that moved to another subject since; null for those that are new.
    private readonly SortedDictionary<ushort, EndpointPolicy?> _moved = [];
    private readonly SortedDictionary<IpPrefix, SecurityIdentity?> _prefixChanges = [];
    private readonly Dictionary<IpPrefix, SecurityIdentity> _published = [];

    public PolicyEngine(PolicyOptions options)
    {
        _options = options;
        _selectors = new SelectorCache(options, OnSelectionChanged, OnClassChanged);
        _cidrs = new CidrIdentities(_numbers);
        _fqdnIdentities = new FqdnIdentities(_numbers);
        _fqdn = new FqdnAssignments(options, _cidrs, _fqdnIdentities)
        {
            Appeared = (id, labels) => _selectors.Upsert(new PolicyIdentity(id, labels)),
            Moved = address => Publish(IpPrefix.Single(address)),
        };
        foreach ((SecurityIdentity id, LabelSet labels) in ReservedIdentities.Labels(options.DualStack).Concat(options.WellKnown))
            _selectors.Upsert(new PolicyIdentity(id, labels));
    }

    public PolicyOptions Options => _options;

    public ulong Revision { get; private set; } = 1;

    /// <summary>Closes or opens all endpoints by another rule from the next <see cref="Commit"/> on.</summary>
    public void SetEnforcement(EnforcementMode mode)
    {
        if (_options.Enforcement == mode)
            return;
        _options = _options with { Enforcement = mode };
        foreach (SubjectState subject in _subjects.Values)
            Change(subject).MarkAll(_selectors);
    }

    public IReadOnlyCollection<PolicyObjectKey> Policies => _documents.Keys;

    /// <summary>Reserved, cluster-wide and local ones, each with its labels.</summary>
    public IReadOnlyCollection<PolicyIdentity> Identities => _selectors.Identities;

    /// <summary>Selectors in use, with the number of identities that each selects (for inspection).</summary>
    public int SelectorCount => _selectors.SelectorCount;

    /// <summary>A copy of every selector in use (for inspection).</summary>
    public IReadOnlyList<SelectorUse> DescribeSelectors() =>
    [
        .. _selectors.Selections.Select(s => new SelectorUse(
            s.Selector, [.. s.SubjectOf.Select(r => r.Rule.Origin)], [.. s.PeerOf.Select(r => r.Rule.Origin)], [.. s.Identities])),
    ];

    public PolicyIdentity? FindIdentity(SecurityIdentity id) => _selectors.Find(id);

    /// <summary>As of the last commit; null when the endpoint is unknown.</summary>
    public EndpointPolicy? FindEndpoint(ushort endpointId) => _endpoints.GetValueOrDefault(endpointId)?.Policy;

    public IReadOnlyCollection<ushort> EndpointIds => _endpoints.Keys;

    /// <summary>The rules that select the endpoint, in no order; none when it is unknown. The same instance until one comes or goes.</summary>
    public IReadOnlyCollection<NetworkRule> RulesOf(ushort endpointId)
        => _endpoints.TryGetValue(endpointId, out SubjectState? subject) ? subject.RuleList : [];

    public PolicyDocument? FindPolicy(PolicyObjectKey key) => _documents.TryGetValue(key, out var held) ? held.Document : null;

    public void UpsertPolicy(PolicyDocument document)
    {
        ArgumentNullException.ThrowIfNull(document);
        RuleState[] old = _documents.TryGetValue(document.Key, out var held) ? held.Rules : [];
        // The new rules come first: blocks and selectors that both versions use are kept, not made anew.
        foreach (IpPrefix prefix in document.Rules.SelectMany(r => r.Prefixes))
            AcquirePrefix(prefix);
        foreach (DnsPattern pattern in document.Rules.SelectMany(r => r.NamePatterns))
            _fqdn.Acquire(pattern);
        NoteTexts(document.Rules, old);
        RuleState[] rules = [.. document.Rules.Select(r => new RuleState(r, ++_ruleCount, _selectors))];
        _documents[document.Key] = (document, rules);
        foreach (RuleState rule in rules)
        {
            if (rule.NamesPeerPorts)
                _namesPeerPorts.Add(rule);
            foreach (SubjectState subject in SubjectsOf(rule.Subject))
                Change(subject).Add(rule, _selectors);
        }

        RemoveRules(old);
    }

    private void NoteTexts(ImmutableArray<NetworkRule> rules, RuleState[] old)
    {
        Dictionary<RuleOrigin, RuleOrigin> before = [];
        foreach (RuleState rule in old)
            before[rule.Rule.Origin] = rule.Rule.Origin;
        foreach (RuleOrigin origin in rules.Select(r => r.Origin))
        {
            if (before.TryGetValue(origin, out RuleOrigin? known) && !known.SaysTheSameAs(origin))
                _relabelled[origin] = origin;
        }
    }

    public void DeletePolicy(PolicyObjectKey key)
    {
        if (_documents.Remove(key, out var held))
            RemoveRules(held.Rules);
    }

    /// <param name="id">Of the identity; reserved ones too (such as the own node's, whose labels depend on its roles).</param>
    /// <param name="labels">Its labels.</param>
    /// <param name="ports">Container ports of all known pods with it; egress rules that name ports need them.</param>
    public void UpsertIdentity(SecurityIdentity id, LabelSet labels, NamedPorts? ports = null)
    {
        _deleteWhenUnused.Remove(id);
        PolicyIdentity? old = _selectors.Find(id);
        var identity = new PolicyIdentity(id, labels, ports ?? old?.Ports);
        if (old is not null && old.Labels.Equals(labels) && old.Ports.Equals(identity.Ports))
            return;
        _selectors.Upsert(identity);
        if (old?.Ports.Equals(identity.Ports) ?? identity.Ports.Ports.IsEmpty)
            return;
        MarkPeerPorts(id);
    }

    /// <summary>An identity that a local endpoint still has is kept until that endpoint goes: without labels no rule would hold it back.</summary>
    public void DeleteIdentity(SecurityIdentity id)
    {
        if (_subjectsByIdentity.ContainsKey(id))
        {
            _deleteWhenUnused.Add(id);
            return;
        }

        bool hadPorts = _selectors.Find(id) is { Ports.Ports.IsEmpty: false };
        _selectors.Delete(id);
        if (hadPorts)
            MarkPeerPorts(id);
    }

    /// <summary>Adds the endpoint or gives it another identity or other container ports.</summary>
    public void UpsertEndpoint(ushort endpointId, SecurityIdentity identity, LabelSet labels, NamedPorts? ports = null)
    {
        UpsertIdentity(identity, labels);
        _endpoints.TryGetValue(endpointId, out SubjectState? old);
        ports ??= NamedPorts.Empty;
        if (old is not null && old.Identity == identity && old.Ports.Equals(ports))
            return;
        if (!_moved.ContainsKey(endpointId))
            _moved[endpointId] = old?.Policy;
        SubjectState subject = SubjectOf(identity, ports);
        subject.Endpoints.Add(endpointId);
        _endpoints[endpointId] = subject;
        if (old is not null)
            Leave(old, endpointId);
    }

    public void RemoveEndpoint(ushort endpointId)
    {
        if (!_endpoints.Remove(endpointId, out SubjectState? subject))
            return;
        _moved.Remove(endpointId);
        Leave(subject, endpointId);
    }

    /// <summary>
    /// Before the first policy: numbers that the kernel's ipcache holds for address blocks, so that they survive the restart. They stay in
    /// force until <see cref="ReleaseRestoredPrefixes"/>. False for a number out of the scope or taken already.
    /// </summary>
    public bool RestorePrefix(IpPrefix prefix, SecurityIdentity id)
    {
        if (prefix.IsSingle && _fqdn.Restore(prefix.Address, id))
            return true;
        if (!_cidrs.Restore(prefix, id))
            return false;
        Announce(prefix, id);
        return true;
    }

    /// <summary>After the first synchronisation: forgets the restored blocks that no policy mentions.</summary>
    public void ReleaseRestoredPrefixes()
    {
        foreach (IpPrefix prefix in _cidrs.TakeRestored())
            ReleasePrefix(prefix);
        _fqdn.ReleaseRestored();
    }

    /// <summary>
    /// Before <see cref="RestorePrefix"/>: the number that addresses with these labels had in an earlier run. Any number of addresses share
    /// it. False for a number out of the scope or taken already.
    /// </summary>
    public bool RestoreNameIdentity(SecurityIdentity id, LabelSet labels)
    {
        ArgumentNullException.ThrowIfNull(labels);
        if (!_fqdnIdentities.Restore(labels, id))
            return false;
        _selectors.Upsert(new PolicyIdentity(id, labels));
        return true;
    }

    /// <summary>Learned names. What is learned takes effect with <see cref="Commit"/>.</summary>
    public FqdnNames Names => _fqdn.Names;

    /// <summary>Identities of sets of name patterns, with their labels.</summary>
    public IEnumerable<KeyValuePair<SecurityIdentity, LabelSet>> NameIdentities => _fqdnIdentities.All;

    /// <summary>Changes when <see cref="NameIdentities"/>, <see cref="Prefixes"/> or the patterns of names in use do.</summary>
    public (long Identities, long Prefixes, long Patterns) NamesVersion => (_fqdnIdentities.Version, _cidrs.Version, Names.PatternsVersion);

    /// <summary>Identities of name patterns that no address has any more are still in the policies.</summary>
    public bool HasRetiredIdentities => _fqdnIdentities.HasRetired;

    /// <summary>When the ipcache is as the last commit said: takes identities that no address has any more out of the policies.</summary>
    public void DropRetiredIdentities()
    {
        foreach (SecurityIdentity id in _fqdnIdentities.DropRetired())
            _selectors.Delete(id);
    }

    /// <summary>All blocks with identities of this node, as of now.</summary>
    public IEnumerable<KeyValuePair<IpPrefix, SecurityIdentity>> Prefixes => _cidrs.All;

    /// <summary>Recomputes what changed and says what is different for whom.</summary>
    public PolicyUpdate Commit()
    {
        _fqdn.Settle();
        ulong revision = Revision + 1;
        var changes = new SortedDictionary<ushort, EndpointPolicyChange>();
        foreach (SubjectState subject in _dirty)
        {
            EndpointPolicy before = subject.Policy;
            PolicyDelta delta = subject.Recompute(_options, _selectors, _slices, revision);
            if (ReferenceEquals(before, subject.Policy))
                continue;
            PolicyDelta shadowDelta = PolicyDelta.OfShadows(before, subject.Policy);
            foreach (ushort endpoint in subject.Endpoints)
                changes[endpoint] = new EndpointPolicyChange(endpoint, subject.Policy, delta) { ShadowDelta = shadowDelta };
        }

        _dirty.Clear();
        foreach ((ushort endpoint, EndpointPolicy? before) in _moved)
        {
            EndpointPolicy policy = _endpoints[endpoint].Policy;
            changes[endpoint] = new EndpointPolicyChange(endpoint, policy, PolicyDelta.Between(before, policy))
            {
                ShadowDelta = PolicyDelta.OfShadows(before, policy),
            };
        }

        _moved.Clear();
        (ImmutableArray<KeyValuePair<IpPrefix, SecurityIdentity>> prefixes, ImmutableArray<IpPrefix> gone) = TakePrefixChanges();
        if (changes.Count > 0 || !prefixes.IsEmpty || !gone.IsEmpty)
            Revision = revision;
        var update = new PolicyUpdate(Revision, [.. changes.Values], prefixes, gone) { Relabelled = [.. _relabelled.Values] };
        _relabelled.Clear();
        return update;
    }

    private (ImmutableArray<KeyValuePair<IpPrefix, SecurityIdentity>> Upserts, ImmutableArray<IpPrefix> Deletes) TakePrefixChanges()
    {
        var upserts = ImmutableArray.CreateBuilder<KeyValuePair<IpPrefix, SecurityIdentity>>();
        var deletes = ImmutableArray.CreateBuilder<IpPrefix>();
        foreach ((IpPrefix prefix, SecurityIdentity? id) in _prefixChanges)
        {
            if (id is null && _published.Remove(prefix))
            {
                deletes.Add(prefix);
            }
            else if (id is { } current && (!_published.TryGetValue(prefix, out SecurityIdentity known) || known != current))
            {
                _published[prefix] = current;
                upserts.Add(KeyValuePair.Create(prefix, current));
            }
        }

        _prefixChanges.Clear();
        return (upserts.ToImmutable(), deletes.ToImmutable());
    }

    private void OnSelectionChanged(Selection selection, PolicyIdentity identity, bool selected)
    {
        SecurityIdentity aggregate = _selectors.ClassOf(identity.Id);
        foreach (RuleState rule in selection.PeerOf)
        {
            if (rule.CoversWhole(aggregate) && !rule.NamesPeerPorts)
                continue;
            foreach (SubjectState subject in rule.Subjects)
                Change(subject).MarkDirty(rule.Rule.Direction, identity.Id);
        }

        foreach (RuleState rule in selection.SubjectOf)
        {
            foreach (SubjectState subject in SubjectsOf(identity.Id))
            {
                if (selected)
                    Change(subject).Add(rule, _selectors);
                else
                    Change(subject).Remove(rule, _selectors);
            }
        }
    }

    // Entries move from the class to its members, or back.
    private void OnClassChanged(Selection selection, SecurityIdentity aggregate)
    {
        foreach (RuleState rule in selection.PeerOf)
        {
            // Those that other selectors of the rule select as well: the class has spoken for all of them.
            SecurityIdentity[] members =
                [.. rule.Peers!.SelectMany(peer => peer.Identities).Where(id => _selectors.ClassOf(id) == aggregate).Distinct()];
            foreach (SubjectState subject in rule.Subjects)
            {
                Change(subject).MarkDirty(rule.Rule.Direction, aggregate);
                foreach (SecurityIdentity member in members)
                    subject.MarkDirty(rule.Rule.Direction, member);
            }
        }
    }

    private void MarkPeerPorts(SecurityIdentity peer)
    {
        foreach (RuleState rule in _namesPeerPorts)
        {
            foreach (SubjectState subject in rule.Subjects)
                Change(subject).MarkDirty(rule.Rule.Direction, peer);
        }
    }

    private void RemoveRules(RuleState[] rules)
    {
        foreach (RuleState rule in rules)
        {
            foreach (SubjectState subject in rule.Subjects.ToArray())
                Change(subject).Remove(rule, _selectors);
            _namesPeerPorts.Remove(rule);
            rule.Release(_selectors);
            foreach (IpPrefix prefix in rule.Rule.Prefixes)
                ReleasePrefix(prefix);
            foreach (DnsPattern pattern in rule.Rule.NamePatterns)
                _fqdn.Release(pattern);
        }
    }

    private void AcquirePrefix(IpPrefix prefix)
    {
        // Everything of a family is the world identity, which is there already.
        if (prefix.Length > 0 && _cidrs.Acquire(prefix, out SecurityIdentity id))
            Announce(prefix, id);
    }

    private void Announce(IpPrefix prefix, SecurityIdentity id)
    {
        _fqdn.PrefixChanged(prefix);
        Publish(prefix);
        _selectors.Upsert(new PolicyIdentity(id, CidrLabels.IdentityLabels(prefix, _options.DualStack)));
    }

    private void ReleasePrefix(IpPrefix prefix)
    {
        if (prefix.Length == 0 || !_cidrs.Release(prefix, out SecurityIdentity id))
            return;
        _fqdn.PrefixChanged(prefix);
        Publish(prefix);
        _selectors.Delete(id);
    }

    // What names say about one address goes before what a block of that one address says: the labels hold both.
    private void Publish(IpPrefix prefix)
        => _prefixChanges[prefix] = (prefix.IsSingle ? _fqdn.Find(prefix.Address) : null) ?? _cidrs.Find(prefix);

    private SubjectState Change(SubjectState subject)
    {
        _dirty.Add(subject);
        return subject;
    }

    private List<SubjectState> SubjectsOf(SecurityIdentity identity)
        => _subjectsByIdentity.TryGetValue(identity, out List<SubjectState>? subjects) ? subjects : [];

    // The smaller side is walked: a node has few endpoints of the many that a cluster-wide selector selects.
    private IEnumerable<SubjectState> SubjectsOf(Selection selection)
        => selection.Identities.Count < _subjectsByIdentity.Count
            ? selection.Identities.SelectMany(SubjectsOf)
            : _subjectsByIdentity.Where(s => selection.Identities.Contains(s.Key)).SelectMany(s => s.Value);

    private SubjectState SubjectOf(SecurityIdentity identity, NamedPorts ports)
    {
        ref SubjectState? subject = ref CollectionsMarshal.GetValueRefOrAddDefault(_subjects, (identity, ports), out bool known);
        if (known)
            return subject!;
        subject = new SubjectState(identity, ports);
        (CollectionsMarshal.GetValueRefOrAddDefault(_subjectsByIdentity, identity, out _) ??= []).Add(subject);
        Change(subject).MarkDefaults();
        foreach (RuleState rule in _selectors.SelectionsOf(identity).SelectMany(s => s.SubjectOf))
            subject.Add(rule, _selectors);

        return subject;
    }

    private void Leave(SubjectState subject, ushort endpointId)
    {
        subject.Endpoints.Remove(endpointId);
        if (subject.Endpoints.Count > 0)
            return;
        _subjects.Remove((subject.Identity, subject.Ports));
        _dirty.Remove(subject);
        subject.Release(_slices);
        foreach (RuleState rule in subject.Rules)
            rule.Subjects.Remove(subject);
        List<SubjectState> siblings = _subjectsByIdentity[subject.Identity];
        siblings.Remove(subject);
        if (siblings.Count > 0)
            return;
        _subjectsByIdentity.Remove(subject.Identity);
        if (_deleteWhenUnused.Remove(subject.Identity))
            DeleteIdentity(subject.Identity);
    }
}
