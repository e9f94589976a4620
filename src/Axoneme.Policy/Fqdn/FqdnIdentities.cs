// SPDX-License-Identifier: Apache-2.0
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>
/// Identities of this node for sets of name patterns, by their labels, reference counted. One that nobody uses any more is retired first and
/// dropped later: packets still have its number until the ipcache says another one.
/// </summary>
internal sealed class FqdnIdentities(LocalNumbers numbers)
{
    private readonly Dictionary<LabelSet, Held> _byLabels = [];
    private readonly Dictionary<SecurityIdentity, LabelSet> _byNumber = [];
    private readonly HashSet<LabelSet> _retired = [];

    public IEnumerable<KeyValuePair<SecurityIdentity, LabelSet>> All => _byNumber;

    /// <summary>Changes with every identity that comes or goes.</summary>
    public long Version { get; private set; }

    public bool HasRetired => _retired.Count > 0;

    public SecurityIdentity? Find(LabelSet labels) => _byLabels.TryGetValue(labels, out Held? held) ? held.Id : null;

    public LabelSet? Find(SecurityIdentity id) => _byNumber.GetValueOrDefault(id);

    /// <summary>Keeps the number for the labels, without a reference; refused when either is taken.</summary>
    public bool Restore(LabelSet labels, SecurityIdentity id)
    {
        if (_byLabels.ContainsKey(labels) || !numbers.TryTake(id))
            return false;
        Add(labels, new Held(id));
        _retired.Add(labels);
        return true;
    }

    /// <summary>True: the identity is new.</summary>
    public bool Acquire(LabelSet labels, out SecurityIdentity id)
    {
        bool known = _byLabels.TryGetValue(labels, out Held? held);
        if (held is null)
            Add(labels, held = new Held(numbers.Take()));
        _retired.Remove(labels);
        held.References++;
        id = held.Id;
        return !known;
    }

    public void Release(LabelSet labels)
    {
        if (--_byLabels[labels].References == 0)
            _retired.Add(labels);
    }

    /// <summary>Frees what is retired and returns it.</summary>
    public IReadOnlyList<SecurityIdentity> DropRetired()
    {
        var dropped = new List<SecurityIdentity>(_retired.Count);
        foreach (LabelSet labels in _retired)
        {
            _byLabels.Remove(labels, out Held? held);
            _byNumber.Remove(held!.Id);
            numbers.Free(held.Id);
            dropped.Add(held.Id);
            Version++;
        }

        _retired.Clear();
        return dropped;
    }

    private void Add(LabelSet labels, Held held)
    {
        _byLabels.Add(labels, held);
        _byNumber.Add(held.Id, labels);
        Version++;
    }

    private sealed class Held(SecurityIdentity id)
    {
        public SecurityIdentity Id { get; } = id;

        public int References { get; set; }
    }
}
