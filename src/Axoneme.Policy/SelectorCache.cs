// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>A selector in use and the identities that it selects now.</summary>
/// <param name="selector">Whose.</param>
/// <param name="classes">The classes that it selects whole unless a member is out of the ordinary.</param>
internal sealed class Selection(IdentitySelector selector, IReadOnlyList<SecurityIdentity> classes)
{
    // Members of the classes that the selector does not select, such as an identity object without a namespace.
    private readonly Dictionary<SecurityIdentity, HashSet<SecurityIdentity>> _exceptions = classes.ToDictionary(c => c, _ => new HashSet<SecurityIdentity>());

    public IdentitySelector Selector { get; } = selector;

    /// <summary>The classes that are selected whole: one entry says so for all their members, known or not.</summary>
    public IEnumerable<SecurityIdentity> WholeClasses => classes.Where(IsWhole);

    public bool ClaimsClasses => classes.Count > 0;

    public bool IsWhole(SecurityIdentity aggregate)
        => classes.Count > 0 && _exceptions.TryGetValue(aggregate, out HashSet<SecurityIdentity>? exceptions) && exceptions.Count == 0;

    /// <summary>True when the class has become whole by this, or ceased to be.</summary>
    public bool SetException(SecurityIdentity aggregate, SecurityIdentity identity, bool isException)
        => _exceptions.TryGetValue(aggregate, out HashSet<SecurityIdentity>? exceptions)
            && (isException ? exceptions.Add(identity) && exceptions.Count == 1 : exceptions.Remove(identity) && exceptions.Count == 0);

    public HashSet<SecurityIdentity> Identities { get; } = [];

    /// <summary>Rules that have the selector as subject, and as peer.</summary>
    public HashSet<RuleState> SubjectOf { get; } = [];

    public HashSet<RuleState> PeerOf { get; } = [];

    public bool IsUnused => SubjectOf.Count == 0 && PeerOf.Count == 0;
}

/// <summary>
/// Which identities each selector selects, kept up to date. Identities and selectors find each other by one label that a match must have,
/// so that neither side is scanned for each change; selectors that name no such label, and those of whole classes, are tried on everything.
/// </summary>
/// <param name="options">Name and number of the cluster, and its families: what the classes of identities depend on.</param>
/// <param name="changed">Called when a selection gains (true) or loses an identity.</param>
/// <param name="classChanged">Called when a selection begins or ceases to select a class whole, after the identity's own change.</param>
internal sealed class SelectorCache(
    PolicyOptions options, Action<Selection, PolicyIdentity, bool> changed, Action<Selection, SecurityIdentity> classChanged)
{
    private readonly Dictionary<SecurityIdentity, PolicyIdentity> _identities = [];
    private readonly Dictionary<(string Key, string Value), HashSet<PolicyIdentity>> _byLabel = [];
    private readonly Dictionary<IdentitySelector, Selection> _selections = [];
    private readonly Dictionary<(string Key, string Value), HashSet<Selection>> _byHint = [];
    private readonly HashSet<Selection> _triedOnAll = [];
    private readonly HashSet<PolicyIdentity> _withPorts = [];

    public IReadOnlyCollection<PolicyIdentity> Identities => _identities.Values;

    /// <summary>Identities with container ports.</summary>
    public IReadOnlyCollection<PolicyIdentity> IdentitiesWithPorts => _withPorts;

    public int SelectorCount => _selections.Count;

    public IReadOnlyCollection<Selection> Selections => _selections.Values;

    public PolicyIdentity? Find(SecurityIdentity id) => _identities.GetValueOrDefault(id);

    /// <summary>The class that the identity belongs to.</summary>
    public SecurityIdentity ClassOf(SecurityIdentity id) => id.AggregateIn(options.Numbering);

    /// <summary>The selections that have the identity.</summary>
    public IEnumerable<Selection> SelectionsOf(SecurityIdentity id)
        => Find(id) is { } identity ? CandidatesOf(identity).Where(s => s.Identities.Contains(id)).Distinct() : [];

    /// <summary>Adds or replaces. Same labels with other ports keep all selections.</summary>
    public void Upsert(PolicyIdentity identity)
    {
        PolicyIdentity? old = Find(identity.Id);
        if (old is not null)
            Unlink(old);
        _identities[identity.Id] = identity;
        foreach (Label label in identity.Labels)
            SetOf(_byLabel, (label.Key, label.Value)).Add(identity);
        if (identity.Ports != NamedPorts.Empty)
            _withPorts.Add(identity);
        if (old is not null && old.Labels.Equals(identity.Labels))
            return;

        // Old matches first: the union of both candidate sets is all that can change.
        var candidates = new HashSet<Selection>(CandidatesOf(identity));
        if (old is not null)
            candidates.UnionWith(CandidatesOf(old));
        foreach (Selection selection in candidates)
            Set(selection, identity, selection.Selector.Matches(identity), isKnown: true);
    }

    public void Delete(SecurityIdentity id)
    {
        if (!_identities.Remove(id, out PolicyIdentity? identity))
            return;
        Unlink(identity);
        foreach (Selection selection in CandidatesOf(identity))
            Set(selection, identity, selected: false, isKnown: false);
    }

    /// <summary>The selection of the selector; made when it is new. Its first identities are not announced as changes.</summary>
    public Selection Acquire(IdentitySelector selector)
    {
        ref Selection? selection = ref CollectionsMarshal.GetValueRefOrAddDefault(_selections, selector, out bool known);
        if (known)
            return selection!;
        selection = new Selection(selector, selector.WholeClasses(options));
        if (selector.Hints is not { } hints || selection.ClaimsClasses)
        {
            _triedOnAll.Add(selection);
            SelectFrom(selection, _identities.Values);
            return selection;
        }

        foreach ((string Key, string Value) hint in hints)
        {
            SetOf(_byHint, hint).Add(selection);
            if (_byLabel.TryGetValue(hint, out HashSet<PolicyIdentity>? identities))
                SelectFrom(selection, identities);
        }

        return selection;
    }

    /// <summary>Forgets the selection when no rule uses it any more.</summary>
    public void Release(Selection selection)
    {
        if (!selection.IsUnused || !_selections.Remove(selection.Selector))
            return;
        if (_triedOnAll.Remove(selection))
            return;
        foreach ((string Key, string Value) hint in selection.Selector.Hints ?? [])
            RemoveFrom(_byHint, hint, selection);
    }

    private void SelectFrom(Selection selection, IEnumerable<PolicyIdentity> identities)
    {
        foreach (PolicyIdentity identity in identities)
        {
            if (selection.Selector.Matches(identity))
                selection.Identities.Add(identity.Id);
            else
                selection.SetException(ClassOf(identity.Id), identity.Id, isException: true);
        }
    }

    private Selection[] CandidatesOf(PolicyIdentity identity) =>
    [
        .. identity.Labels
            .SelectMany(l => _byHint.TryGetValue((l.Key, l.Value), out HashSet<Selection>? found) ? found : [])
            .Concat(_triedOnAll),
    ];

    private void Set(Selection selection, PolicyIdentity identity, bool selected, bool isKnown)
    {
        bool moved = selected ? selection.Identities.Add(identity.Id) : selection.Identities.Remove(identity.Id);
        if (moved)
            changed(selection, identity, selected);
        SecurityIdentity aggregate = ClassOf(identity.Id);
        if (selection.SetException(aggregate, identity.Id, isException: isKnown && !selected))
            classChanged(selection, aggregate);
    }

    private void Unlink(PolicyIdentity identity)
    {
        _withPorts.Remove(identity);
        foreach (Label label in identity.Labels)
            RemoveFrom(_byLabel, (label.Key, label.Value), identity);
    }

    private static HashSet<T> SetOf<T>(Dictionary<(string Key, string Value), HashSet<T>> index, (string Key, string Value) label)
        => CollectionsMarshal.GetValueRefOrAddDefault(index, label, out _) ??= [];

    private static void RemoveFrom<T>(Dictionary<(string Key, string Value), HashSet<T>> index, (string Key, string Value) label, T item)
    {
        if (index.TryGetValue(label, out HashSet<T>? set) && set.Remove(item) && set.Count == 0)
            index.Remove(label);
    }
}
