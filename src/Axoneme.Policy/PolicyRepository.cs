// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>What the object's condition <c>Valid</c> has to say.</summary>
/// <param name="Policy">The object.</param>
/// <param name="Generation">Of the object when it was judged.</param>
/// <param name="Valid">False: the version before it, if any, stays in force.</param>
/// <param name="Message">All errors, or all warnings, one a line, each with the path of its field; empty when there is nothing to say.</param>
public sealed record PolicyStatus(PolicyObjectKey Policy, long Generation, bool Valid, string Message)
{
    /// <summary>Of the version that the engine has; null when it has none.</summary>
    public long? GenerationInForce { get; init; }

    /// <summary>The rules are computed beside those in force, and enforced by nobody.</summary>
    public bool Shadow { get; init; }
}

/// <summary>The policy objects of the API: translates them, keeps the last valid version of each in the engine, and knows their status.</summary>
public sealed class PolicyRepository(PolicyEngine engine, IServiceDirectory? services = null)
{
    private readonly CidrGroups _groups = new();
    private readonly Dictionary<PolicyObjectKey, PolicyStatus> _statuses = [];

    // Policies that mention other objects: translated again when such an object changes.
    private readonly Dictionary<PolicyObjectKey, (PolicyReferences To, Func<PolicyStatus> TranslateAgain)> _references = [];

    public IReadOnlyDictionary<PolicyObjectKey, PolicyStatus> Statuses => _statuses;

    /// <summary>
    /// Called with each object's new meaning, null when the object is gone, for what the engine is to have of it: null for nothing. By
    /// default that is what users wrote.
    /// </summary>
    public Func<PolicyObjectKey, PolicyDocument?, PolicyDocument?> Amend { get; set; } = static (_, document) => document;

    public static PolicyObjectKey KeyOf(NetworkPolicy policy)
        => new(PolicyKind.NetworkPolicy, policy.Metadata.Namespace, policy.Metadata.Name);

    public static PolicyObjectKey KeyOf(CiliumNetworkPolicy policy)
        => new(PolicyKind.CiliumNetworkPolicy, policy.Metadata.Namespace, policy.Metadata.Name);

    public static PolicyObjectKey KeyOf(CiliumClusterwideNetworkPolicy policy)
        => new(PolicyKind.CiliumClusterwideNetworkPolicy, "", policy.Metadata.Name);

    public PolicyStatus Upsert(NetworkPolicy policy)
        => Apply(KeyOf(policy), policy.Metadata, NetworkPolicyTranslation.Translate(policy, engine.Options));

    public PolicyStatus Upsert(CiliumNetworkPolicy policy) => Upsert(KeyOf(policy), policy.Metadata, policy.Spec, policy.Specs);

    public PolicyStatus Upsert(CiliumClusterwideNetworkPolicy policy) => Upsert(KeyOf(policy), policy.Metadata, policy.Spec, policy.Specs);

    public PolicyStatus Upsert(ClusterNetworkPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        var context = new TranslationContext(KeyOf(PolicyKind.ClusterNetworkPolicy, policy), policy.Metadata, engine.Options);
        return Apply(context.Key, policy.Metadata, TierPolicyTranslation.Translate(context, policy.Spec));
    }

    public PolicyStatus Upsert(AdminNetworkPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        var context = new TranslationContext(KeyOf(PolicyKind.AdminNetworkPolicy, policy), policy.Metadata, engine.Options);
        return Apply(context.Key, policy.Metadata, TierPolicyTranslation.Translate(context, policy.Spec));
    }

    public PolicyStatus Upsert(BaselineAdminNetworkPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        var context = new TranslationContext(KeyOf(PolicyKind.BaselineAdminNetworkPolicy, policy), policy.Metadata, engine.Options);
        return Apply(context.Key, policy.Metadata, TierPolicyTranslation.Translate(context, policy.Spec));
    }

    private static PolicyObjectKey KeyOf(PolicyKind kind, Resource policy) => new(kind, "", policy.Metadata.Name);

    public void Delete(PolicyObjectKey key)
    {
        _statuses.Remove(key);
        _references.Remove(key);
        Hand(key, Amend(key, null));
    }

    /// <summary>The policies whose meaning the group changed, with their status. Members that are no address block are left out and named.</summary>
    public IReadOnlyList<PolicyStatus> Upsert(CiliumCIDRGroup group, out IReadOnlyList<string> errors)
    {
        var prefixes = ImmutableArray.CreateBuilder<IpPrefix>();
        var findings = new List<string>();
        IReadOnlyList<string> members = group.Spec.ExternalCIDRs ?? [];
        for (int i = 0; i < members.Count; i++)
        {
            if (IpPrefix.TryParse(members[i], out IpPrefix prefix))
                prefixes.Add(prefix);
            else
                findings.Add($"spec.externalCIDRs[{i}]: '{members[i]}' is not an address block");
        }

        errors = findings;
        _groups.Set(group, prefixes.ToImmutable());
        return TranslateAgain(r => r.CidrGroups);
    }

    public IReadOnlyList<PolicyStatus> DeleteCidrGroup(string name) => _groups.Remove(name) ? TranslateAgain(r => r.CidrGroups) : [];

    /// <summary>The service came, went or changed labels, selector or addresses. Gives the policies that it may concern.</summary>
    public IReadOnlyList<PolicyStatus> ServiceChanged(ResourceName service) => TranslateAgain(r => r.Mention(service));

    /// <summary>Some policy speaks of the service, by name or by any of its labels.</summary>
    public bool Mentions(ResourceName service) => _references.Values.Any(r => r.To.Mention(service));

    private PolicyStatus[] TranslateAgain(Predicate<PolicyReferences> concerns)
        => [.. _references.Values.Where(r => concerns(r.To)).ToArray().Select(r => r.TranslateAgain())];

    private PolicyStatus Upsert(PolicyObjectKey key, ObjectMeta metadata, PolicyRule? spec, IReadOnlyList<PolicyRule>? specs)
    {
        PolicyStatus Translate()
        {
            var context = new TranslationContext(key, metadata, engine.Options, services);
            PolicyStatus status = Apply(key, metadata, CiliumPolicyTranslation.Translate(context, spec, specs, _groups));
            // An invalid version changes nothing, so what the one before it mentions still counts.
            if (status.Valid && !context.References.IsEmpty)
                _references[key] = (context.References, Translate);
            else if (status.Valid)
                _references.Remove(key);
            return status;
        }

        return Translate();
    }

    private void Hand(PolicyObjectKey key, PolicyDocument? document)
    {
        if (document is null)
            engine.DeletePolicy(key);
        else if (!(engine.FindPolicy(key)?.MeansTheSameAs(document) ?? false))
            engine.UpsertPolicy(document);
    }

    private PolicyStatus Apply(PolicyObjectKey key, ObjectMeta metadata, PolicyTranslation translation)
    {
        bool valid = translation.Document is not null;
        long generation = metadata.Generation ?? 0;
        if (translation.Document is { } document)
            Hand(key, Amend(key, document));
        var status = new PolicyStatus(key, generation, valid, string.Join('\n', valid ? translation.Warnings : translation.Errors))
        {
            GenerationInForce = valid ? generation : _statuses.GetValueOrDefault(key)?.GenerationInForce,
            Shadow = engine.FindPolicy(key)?.Rules.Any(r => r.Shadow) ?? false,
        };
        _statuses[key] = status;
        return status;
    }
}
