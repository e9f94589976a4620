// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

/// <summary>Compares what owners want with what was published, and keeps what follows from it: guards, exemptions and problems.</summary>
internal sealed class CatalogPublisher(
    FrontendClaims claims, AddressGuards guards, RedirectPolicies redirects, Func<L4Address, bool> isListenedOn)
{
    private readonly Dictionary<CatalogObject, ImmutableArray<string>> _problems = [];
    private readonly HashSet<FrontendOwner> _forgotten = [];

    public ImmutableArray<string> ProblemsOf(CatalogObject about) => _problems.GetValueOrDefault(about, []);

    public bool HasForgotten => _forgotten.Count > 0;

    /// <summary>The owner is gone with the next publication.</summary>
    public void Forget(FrontendOwner owner) => _forgotten.Add(owner);

    public CatalogChange Publish(IReadOnlyCollection<L4Address> touched, IReadOnlyCollection<FrontendOwner> dirty)
    {
        var round = new Round(touched.Count, dirty);
        foreach (L4Address address in touched)
        {
            if (claims.Find(address) is { } state)
                Publish(state, round);
        }

        UpdateExemptions(round);
        (ImmutableArray<IpAddress> guarded, ImmutableArray<IpAddress> released) = guards.Commit();
        ImmutableArray<CatalogProblems> problems = UpdateProblems(round);
        _forgotten.Clear();
        return new CatalogChange(round.Upserts.DrainToImmutable(), round.Deletes.DrainToImmutable())
        {
            GuardedAddresses = guarded,
            ReleasedAddresses = released,
            NewExemptions = round.NewExemptions.DrainToImmutable(),
            EndedExemptions = round.EndedExemptions.DrainToImmutable(),
            Problems = problems,
        };
    }

    private void Publish(ClaimedAddress address, Round round)
    {
        (Claim? holder, Frontend? next) = Choose(address);
        Frontend? old = address.Frontend;
        for (Claim? claim = address.First; claim is not null; claim = claim.Next)
            round.Concerned.Add(claim.Owner);
        bool guarded = old is not null && address.Holder!.Wanted.GuardsAddress;
        address.Holder = holder;
        MoveRedirect(old, next, round);
        if (next is null ? old is null : next.Equals(old))
            return;
        address.Frontend = next;
        MoveGuard((old ?? next)!.Address.Address, guarded, next is not null && holder!.Wanted.GuardsAddress);
        if (next is null)
            round.Deletes.Add(old!);
        else
            round.Upserts.Add(next);
    }

    private (Claim? Holder, Frontend? Frontend) Choose(ClaimedAddress address)
    {
        address.IsWithheld = address.First is { } first && isListenedOn(first.Wanted.Address);
        if (address.IsWithheld)
            return (null, null);
        for (Claim? claim = address.First; claim is not null; claim = claim.Next)
        {
            if (claim.Owner.Build(claim.Wanted) is { } frontend)
                return (claim, frontend);
        }

        return (null, null);
    }

    private void MoveGuard(IpAddress address, bool before, bool after)
    {
        if (after && !before)
            guards.Use(address);
        else if (before && !after)
            guards.Release(address);
    }

    // Also where the frontend stays as it is: its policy may have been written anew.
    private void MoveRedirect(Frontend? old, Frontend? next, Round round)
    {
        if (old?.RedirectPolicy is { } former && redirects.Find(former) is { } left)
        {
            left.InForce.Remove(old.Address);
            round.Redirects.Add(left);
        }

        if (next?.RedirectPolicy is { } present && redirects.Find(present) is { } entered)
        {
            entered.InForce.Add(next.Address);
            round.Redirects.Add(entered);
        }
    }

    private void UpdateExemptions(Round round)
    {
        foreach (RedirectPolicy policy in round.Redirects.Concat(_forgotten.OfType<RedirectPolicy>()).Distinct())
        {
            HashSet<RedirectExemption> next = _forgotten.Contains(policy) ? [] : policy.WantedExemptions();
            round.EndedExemptions.AddRange(policy.Exemptions.Except(next));
            round.NewExemptions.AddRange(next.Except(policy.Exemptions));
            policy.Exemptions.Clear();
            policy.Exemptions.UnionWith(next);
        }
    }

    private ImmutableArray<CatalogProblems> UpdateProblems(Round round)
    {
        var changed = ImmutableArray.CreateBuilder<CatalogProblems>();
        // An object that was written anew has a new owner of the same name: what the old one leaves comes first.
        foreach (FrontendOwner owner in _forgotten)
            Report(owner.About, []);
        foreach (FrontendOwner owner in round.Concerned)
        {
            if (!_forgotten.Contains(owner))
                Report(owner.About, FindProblems(owner));
        }

        return changed.DrainToImmutable();

        void Report(CatalogObject about, ImmutableArray<string> texts)
        {
            if (ProblemsOf(about).AsSpan().SequenceEqual(texts.AsSpan()))
                return;
            if (texts.IsEmpty)
                _problems.Remove(about);
            else
                _problems[about] = texts;
            changed.Add(new CatalogProblems(about, texts));
        }
    }

    private ImmutableArray<string> FindProblems(FrontendOwner owner)
    {
        List<string>? problems = null;
        foreach (string problem in owner.OwnProblems)
            (problems ??= []).Add(problem);
        foreach (WantedFrontend wanted in owner.Wanted)
        {
            ClaimedAddress address = claims.Find(wanted.Address)!;
            if (address.IsWithheld)
                (problems ??= []).Add($"{owner.Field}: {wanted.Address} is withheld, because a process of the node listens there");
            else if (address.Holder is { } holder && holder.Owner != owner && holder.Owner.CompareTo(owner) < 0)
                (problems ??= []).Add($"{owner.Field}: {wanted.Address} belongs to {Describe(holder.Owner)}, which {Reason(owner, holder.Owner)}");
        }

        return problems is null ? [] : [.. problems];
    }

    private static string Describe(FrontendOwner owner) => owner.About.Kind switch
    {
        CatalogObjectKind.Service => $"service {owner.About.Name}",
        CatalogObjectKind.Pod => $"pod {owner.About.Name}",
        _ => $"local redirect policy {owner.About.Name}",
    };

    private static string Reason(FrontendOwner loser, FrontendOwner holder)
        => loser.Created < holder.Created ? "comes first" : loser.Created == holder.Created ? "is as old and comes first by name" : "is older";

    /// <summary>What one publication collects.</summary>
    private sealed class Round
    {
        public Round(int addresses, IReadOnlyCollection<FrontendOwner> dirty)
        {
            Upserts = ImmutableArray.CreateBuilder<Frontend>(addresses);
            Concerned = [.. dirty];
            Redirects = [.. dirty.OfType<RedirectPolicy>()];
        }

        public ImmutableArray<Frontend>.Builder Upserts { get; }

        public ImmutableArray<Frontend>.Builder Deletes { get; } = ImmutableArray.CreateBuilder<Frontend>();

        public ImmutableArray<RedirectExemption>.Builder NewExemptions { get; } = ImmutableArray.CreateBuilder<RedirectExemption>();

        public ImmutableArray<RedirectExemption>.Builder EndedExemptions { get; } = ImmutableArray.CreateBuilder<RedirectExemption>();

        public HashSet<FrontendOwner> Concerned { get; }

        public HashSet<RedirectPolicy> Redirects { get; }
    }
}
