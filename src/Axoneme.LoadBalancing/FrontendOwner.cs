// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;

namespace Axoneme.LoadBalancing;

/// <summary>An object that asks for frontends.</summary>
internal abstract class FrontendOwner(CatalogObject about) : IComparable<FrontendOwner>
{
    public CatalogObject About { get; } = about;

    public DateTimeOffset Created { get; protected set; } = DateTimeOffset.MaxValue;

    /// <summary>What it has claims for.</summary>
    public ImmutableArray<WantedFrontend> Wanted { get; set; } = [];

    /// <summary>What is wrong with the object itself, whoever has its addresses.</summary>
    public virtual IEnumerable<string> OwnProblems => [];

    /// <summary>Where in the object an address is asked for; for messages.</summary>
    public abstract string Field { get; }

    /// <summary>The smaller one has an address that several want.</summary>
    protected virtual int Rank => 0;

    /// <summary>Works out again what <see cref="Build"/> needs, after a change of the object or of what it depends on.</summary>
    public abstract void Refresh();

    /// <summary>The frontend as it should be now; null when there is to be none, and the next one who wants the address may have it.</summary>
    public abstract Frontend? Build(WantedFrontend wanted);

    public int CompareTo(FrontendOwner? other)
    {
        int order = Rank.CompareTo(other!.Rank);
        if (order == 0)
            order = Created.CompareTo(other.Created);
        if (order == 0)
            order = About.Kind.CompareTo(other.About.Kind);
        return order != 0 ? order : About.Name.CompareTo(other.About.Name);
    }
}
