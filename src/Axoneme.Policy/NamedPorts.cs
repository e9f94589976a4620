// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.Policy;

public readonly record struct NamedPort(string Name, L4Protocol Protocol, ushort Port) : IComparable<NamedPort>
{
    public int CompareTo(NamedPort other)
    {
        int order = string.CompareOrdinal(Name, other.Name);
        if (order == 0)
            order = Protocol.CompareTo(other.Protocol);
        return order != 0 ? order : Port.CompareTo(other.Port);
    }

    public static bool operator <(NamedPort left, NamedPort right) => left.CompareTo(right) < 0;

    public static bool operator >(NamedPort left, NamedPort right) => left.CompareTo(right) > 0;

    public static bool operator <=(NamedPort left, NamedPort right) => left.CompareTo(right) <= 0;

    public static bool operator >=(NamedPort left, NamedPort right) => left.CompareTo(right) >= 0;
}

/// <summary>Container ports with names, as a value. Of several pods together a name may stand for several numbers.</summary>
public sealed class NamedPorts : IEquatable<NamedPorts>
{
    public static readonly NamedPorts Empty = new([]);

    private NamedPorts(ImmutableArray<NamedPort> sorted) => Ports = sorted;

    public ImmutableArray<NamedPort> Ports { get; }

    public static NamedPorts From(IEnumerable<NamedPort> ports)
    {
        ImmutableArray<NamedPort> sorted = [.. ports.Distinct().Order()];
        return sorted.IsEmpty ? Empty : new NamedPorts(sorted);
    }

    /// <summary>Protocol Any finds the name with every protocol.</summary>
    public IEnumerable<NamedPort> Find(string name, L4Protocol protocol)
        => Ports.Where(p => p.Name == name && (protocol == L4Protocol.Any || p.Protocol == protocol));

    public bool Equals(NamedPorts? other) => other is not null && Ports.AsSpan().SequenceEqual(other.Ports.AsSpan());

    public override bool Equals(object? obj) => Equals(obj as NamedPorts);

    public override int GetHashCode()
    {
        var hash = new HashCode();
        foreach (NamedPort port in Ports)
            hash.Add(port);
        return hash.ToHashCode();
    }
}
