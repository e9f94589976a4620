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
public sealed record PolicyStatus(PolicyObjectKey Policy, long Generation, bool Valid, string Message);

/// <summary>The policy objects of the API: translates them, keeps the last valid version of each in the engine, and knows their status.</summary>
public sealed class PolicyRepository(PolicyEngine engine)
{
    private readonly CidrGroups _groups = new();
    private readonly Dictionary<PolicyObjectKey, PolicyStatus> _statuses = [];

    // Policies that mention groups of address blocks: translated again when a group changes.
    private readonly Dictionary<PolicyObjectKey, Func<PolicyStatus>> _usesGroups = [];

    public IReadOnlyDictionary<PolicyObjectKey, PolicyStatus> Statuses => _statuses;

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

    public void Delete(PolicyObjectKey key)
    {
        _statuses.Remove(key);
        _usesGroups.Remove(key);
        engine.DeletePolicy(key);
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
        return TranslateAgain();
    }

    public IReadOnlyList<PolicyStatus> DeleteCidrGroup(string name) => _groups.Remove(name) ? TranslateAgain() : [];

    private PolicyStatus[] TranslateAgain() => [.. _usesGroups.Values.ToArray().Select(translate => translate())];

    private PolicyStatus Upsert(PolicyObjectKey key, ObjectMeta metadata, PolicyRule? spec, IReadOnlyList<PolicyRule>? specs)
    {
        PolicyStatus Translate()
        {
            var context = new TranslationContext(key, metadata, engine.Options);
            return Apply(key, metadata, CiliumPolicyTranslation.Translate(context, spec, specs, _groups));
        }

        PolicyStatus status = Translate();
        // An invalid version changes nothing, so the groups of the one before it still count.
        if (status.Valid && (specs ?? []).Prepend(spec).Any(MentionsGroups))
            _usesGroups[key] = Translate;
        else if (status.Valid)
            _usesGroups.Remove(key);
        return status;
    }

    private static bool MentionsGroups(PolicyRule? rule)
        => rule is not null
            && new[] { rule.Ingress, rule.IngressDeny }.SelectMany(r => r ?? []).SelectMany(r => r.FromCIDRSet ?? [])
                .Concat(new[] { rule.Egress, rule.EgressDeny }.SelectMany(r => r ?? []).SelectMany(r => r.ToCIDRSet ?? []))
                .Any(c => c.Cidr is null);

    private PolicyStatus Apply(PolicyObjectKey key, ObjectMeta metadata, PolicyTranslation translation)
    {
        if (translation.Document is { } document)
            engine.UpsertPolicy(document);
        IEnumerable<string> findings = translation.Document is null ? translation.Errors : translation.Warnings;
        var status = new PolicyStatus(key, metadata.Generation ?? 0, translation.Document is not null, string.Join('\n', findings));
        _statuses[key] = status;
        return status;
    }
}
