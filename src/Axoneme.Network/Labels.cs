// SPDX-License-Identifier: Apache-2.0
using System.Collections;
using System.Collections.Immutable;

namespace Axoneme.Network;

/// <summary>One label with its source, written <c>source:key=value</c> (or <c>source:key</c> when the value is empty).</summary>
public readonly record struct Label(string Source, string Key, string Value) : IComparable<Label>
{
    public const string Kubernetes = "k8s";
    public const string Reserved = "reserved";
    public const string Cidr = "cidr";
    public const string Any = "any";
    public const string Unspecified = "unspec";

    /// <summary>Parses <c>source:key=value</c>; a missing source becomes <paramref name="defaultSource"/>.</summary>
    public static Label Parse(string text, string defaultSource = Unspecified)
    {
        ArgumentNullException.ThrowIfNull(text);
        int equals = text.IndexOf('=', StringComparison.Ordinal);
        string name = equals < 0 ? text : text[..equals];
        string value = equals < 0 ? "" : text[(equals + 1)..];
        if (name.StartsWith('$'))
            return new Label(Reserved, name[1..], value);
        int colon = name.IndexOf(':', StringComparison.Ordinal);
        return colon < 0 ? new Label(defaultSource, name, value) : new Label(name[..colon], name[(colon + 1)..], value);
    }

    public int CompareTo(Label other)
    {
        int order = string.CompareOrdinal(Source, other.Source);
        if (order == 0)
            order = string.CompareOrdinal(Key, other.Key);
        return order != 0 ? order : string.CompareOrdinal(Value, other.Value);
    }

    public override string ToString() => Value.Length == 0 ? $"{Source}:{Key}" : $"{Source}:{Key}={Value}";

    public static bool operator <(Label left, Label right) => left.CompareTo(right) < 0;

    public static bool operator >(Label left, Label right) => left.CompareTo(right) > 0;

    public static bool operator <=(Label left, Label right) => left.CompareTo(right) <= 0;

    public static bool operator >=(Label left, Label right) => left.CompareTo(right) >= 0;
}

/// <summary>An immutable set of labels in canonical order; equal sets are equal values, which is what an identity stands for.</summary>
public sealed class LabelSet : IEquatable<LabelSet>, IReadOnlyList<Label>
{
    public static readonly LabelSet Empty = new([]);

    private readonly ImmutableArray<Label> _labels;
    private readonly int _hash;

    private LabelSet(ImmutableArray<Label> sorted)
    {
        _labels = sorted;
        var hash = new HashCode();
        foreach (Label label in sorted)
            hash.Add(label);
        _hash = hash.ToHashCode();
    }

    public int Count => _labels.Length;

    public Label this[int index] => _labels[index];

    /// <summary>Sorts and removes duplicates; of two labels with the same source and key the last one wins.</summary>
    public static LabelSet From(IEnumerable<Label> labels)
    {
        ArgumentNullException.ThrowIfNull(labels);
        var byKey = new SortedDictionary<(string Source, string Key), Label>(KeyOrder.Instance);
        foreach (Label label in labels)
            byKey[(label.Source, label.Key)] = label;
        return byKey.Count == 0 ? Empty : new LabelSet([.. byKey.Values]);
    }

    /// <summary>From texts such as <c>k8s:app=web</c>.</summary>
    public static LabelSet Parse(params IEnumerable<string> labels) => From(labels.Select(l => Label.Parse(l)));

    /// <summary>The single-label set <c>reserved:NAME</c>.</summary>
    public static LabelSet Reserved(string name) => From([new Label(Label.Reserved, name, "")]);

    /// <summary>The value of the label, or null. <paramref name="source"/> <c>any</c> matches every source.</summary>
    public string? Find(string source, string key)
    {
        foreach (Label label in _labels)
        {
            if (label.Key == key && (source == Label.Any || label.Source == source))
                return label.Value;
        }

        return null;
    }

    public bool Contains(string source, string key) => Find(source, key) is not null;

    public bool Equals(LabelSet? other)
        => other is not null && _hash == other._hash && _labels.AsSpan().SequenceEqual(other._labels.AsSpan());

    public override bool Equals(object? obj) => Equals(obj as LabelSet);

    public override int GetHashCode() => _hash;

    public IEnumerator<Label> GetEnumerator() => ((IEnumerable<Label>)_labels).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public override string ToString() => string.Join(',', _labels);

    private sealed class KeyOrder : IComparer<(string Source, string Key)>
    {
        public static readonly KeyOrder Instance = new();

        public int Compare((string Source, string Key) x, (string Source, string Key) y)
        {
            int order = string.CompareOrdinal(x.Source, y.Source);
            return order != 0 ? order : string.CompareOrdinal(x.Key, y.Key);
        }
    }
}
