// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Policy.Explain;

/// <summary>Policies by what users call them.</summary>
public static class PolicyNames
{
    /// <summary>Null for what is no policy.</summary>
    public static PolicyObjectKey? KeyOf(Resource item) => item switch
    {
        NetworkPolicy policy => PolicyRepository.KeyOf(policy),
        CiliumNetworkPolicy policy => PolicyRepository.KeyOf(policy),
        CiliumClusterwideNetworkPolicy policy => PolicyRepository.KeyOf(policy),
        ClusterNetworkPolicy policy => new PolicyObjectKey(PolicyKind.ClusterNetworkPolicy, "", policy.Metadata.Name),
        AdminNetworkPolicy policy => new PolicyObjectKey(PolicyKind.AdminNetworkPolicy, "", policy.Metadata.Name),
        BaselineAdminNetworkPolicy policy => new PolicyObjectKey(PolicyKind.BaselineAdminNetworkPolicy, "", policy.Metadata.Name),
        _ => null,
    };

    /// <summary>Kind and name of <c>cnp/shop/db</c> or <c>ccnp/db</c>.</summary>
    /// <exception cref="UnknownEndException">It is neither, or the kind is no policy.</exception>
    public static (string Kind, ResourceName Name) Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string[] parts = text.Split('/');
        string? kind = parts[0].ToLowerInvariant() switch
        {
            "cnp" or "ciliumnetworkpolicy" or "ciliumnetworkpolicies" => nameof(CiliumNetworkPolicy),
            "ccnp" or "ciliumclusterwidenetworkpolicy" or "ciliumclusterwidenetworkpolicies" => nameof(CiliumClusterwideNetworkPolicy),
            "cnetpol" or "clusternetworkpolicy" or "clusternetworkpolicies" => nameof(ClusterNetworkPolicy),
            "anp" or "adminnetworkpolicy" or "adminnetworkpolicies" => nameof(AdminNetworkPolicy),
            "banp" or "baselineadminnetworkpolicy" or "baselineadminnetworkpolicies" => nameof(BaselineAdminNetworkPolicy),
            "netpol" or "networkpolicy" or "networkpolicies" => nameof(NetworkPolicy),
            _ => null,
        };
        int wanted = kind is nameof(CiliumNetworkPolicy) or nameof(NetworkPolicy) ? 3 : 2;
        if (kind is null)
            throw new UnknownEndException($"'{text}': {parts[0]} is not one of cnp, ccnp, netpol, cnetpol, anp, banp");
        if (parts.Length != wanted || parts.Any(p => p.Length == 0))
            throw new UnknownEndException($"'{text}' is not {parts[0]}/{(wanted == 3 ? "NAMESPACE/" : "")}NAME");
        return (kind, wanted == 2 ? new ResourceName(parts[1]) : new ResourceName(parts[1], parts[2]));
    }
}
