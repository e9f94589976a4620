// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>A selector in use and the identities that it selects now.</summary>
internal sealed class Selection(IdentitySelector selector)
{
    public IdentitySelector Selector { get; } = selector;

    public HashSet<SecurityIdentity> Identities { get; } = [];

    /// <summary>Rules that have the selector as subject, and as peer.</summary>
    public HashSet<RuleState> SubjectOf { get; } = [];

    public HashSet<RuleState> PeerOf { get; } = [];

    public bool IsUnused => SubjectOf.Count == 0 && PeerOf.Count == 0;
}

/// <summary>
/// Which identities each selector selects, kept up to date. Identities and selectors find each other by one label that a match must have,
/// so that neither side is scanned for each change; selectors that name no such label are tried on everything.
/// </summary>
internal sealed class SelectorCache(Action<Selection, PolicyIdentity, bool> changed)
{
    private readonly Dictionary<SecurityIdentity, PolicyIdentity> _identities = [];
    private readonly Dictionary<(string Key, string Value), HashSet<PolicyIdentity>> _byLabel = [];
    private readonly Dictionary<IdentitySelector, Selection> _selections = [];
    private readonly Dictionary<(string Key, string Value), HashSet<Selection>> _byHint = [];
    private readonly HashSet<Selection> _withoutHint = [];
    private readonly HashSet<PolicyIdentity> _withPorts = [];

    public IReadOnlyCollection<PolicyIdentity> Identities => _identities.Values;

    /// <summary>Identities with container ports.</summary>
    public IReadOnlyCollection<PolicyIdentity> IdentitiesWithPorts => _withPorts;

    public int SelectorCount => _selections.Count;

    public IReadOnlyCollection<Selection> Selections => _selections.Values;

    public PolicyIdentity? Find(SecurityIdentity id) => _identities.GetValueOrDefault(id);

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
            Set(selection, identity, selection.Selector.Matches(identity));
    }

    public void Delete(SecurityIdentity id)
    {
        if (!_identities.Remove(id, out PolicyIdentity? identity))
            return;
        Unlink(identity);
        foreach (Selection selection in CandidatesOf(identity))
            Set(selection, identity, selected: false);
    }

    /// <summary>The selection of the selector; made when it is new. Its first identities are not announced as changes.</summary>
    public Selection Acquire(IdentitySelector selector)
    {
        ref Selection? selection = ref CollectionsMarshal.GetValueRefOrAddDefault(_selections, selector, out bool known);
        if (known)
            return selection!;
        selection = new Selection(selector);
        if (selector.Hints is not { } hints)
        {
            _withoutHint.Add(selection);
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
        _withoutHint.Remove(selection);
        foreach ((string Key, string Value) hint in selection.Selector.Hints ?? [])
            RemoveFrom(_byHint, hint, selection);
    }

    private static void SelectFrom(Selection selection, IEnumerable<PolicyIdentity> identities)
    {
        foreach (PolicyIdentity identity in identities)
        {
            if (selection.Selector.Matches(identity))
                selection.Identities.Add(identity.Id);
        }
    }

    private Selection[] CandidatesOf(PolicyIdentity identity) =>
    [
        .. identity.Labels
            .SelectMany(l => _byHint.TryGetValue((l.Key, l.Value), out HashSet<Selection>? found) ? found : [])
            .Concat(_withoutHint),
    ];

    private void Set(Selection selection, PolicyIdentity identity, bool selected)
    {
        bool moved = selected ? selection.Identities.Add(identity.Id) : selection.Identities.Remove(identity.Id);
        if (moved)
            changed(selection, identity, selected);
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
