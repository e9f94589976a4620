// SPDX-License-Identifier: Apache-2.0
using System.Net;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Cli.Explanations;

/// <summary>The objects that policy is computed from, as the Kubernetes API has them.</summary>
internal static class ApiObjects
{
    private const string ConfigNamespace = "kube-system";

    /// <exception cref="UserErrorException">The file cannot be used, or the API server not be asked.</exception>
    public static async Task<IReadOnlyList<Resource>> ReadAsync(string kubeconfig, CancellationToken cancellation)
    {
        try
        {
            using var client = new KubernetesClient(Kubeconfig.Load(kubeconfig), new KubernetesClientOptions { Qps = 50, Burst = 100, UserAgent = "axoneme explain" });
            return
            [
                .. await Of(Kinds.Namespaces), .. await Of(Kinds.Nodes), .. await Of(Kinds.CiliumNodes), .. await Of(Kinds.Pods), .. await Of(Kinds.CiliumIdentities),
                .. await Of(Kinds.CiliumEndpoints), .. await Of(Kinds.Services), .. await Of(Kinds.EndpointSlices), .. await Of(Kinds.NetworkPolicies),
                .. await Of(Kinds.CiliumNetworkPolicies), .. await Of(Kinds.CiliumClusterwideNetworkPolicies), .. await Of(Kinds.CiliumCIDRGroups),
                .. await Of(Kinds.ClusterNetworkPolicies), .. await Of(Kinds.AdminNetworkPolicies), .. await Of(Kinds.BaselineAdminNetworkPolicies),
                .. await ConfigAsync(),
            ];

            async Task<IEnumerable<Resource>> Of<T>(ResourceKind<T> kind)
                where T : Resource
            {
                try
                {
                    return (await client.Of(kind).ListAsync(cancellationToken: cancellation).ConfigureAwait(false)).Items;
                }
                catch (KubernetesException e) when (e.Code == HttpStatusCode.NotFound)
                {
                    // The cluster does not have the kind.
                    return [];
                }
            }

            async Task<IEnumerable<Resource>> ConfigAsync()
                => await client.Of(Kinds.ConfigMaps).FindAsync(new ResourceName(ConfigNamespace, Manifests.ConfigName), cancellation).ConfigureAwait(false) is { } config
                    ? [config] : [];
        }
        catch (Exception e) when (e is KubernetesException or KubernetesConfigException or HttpRequestException or IOException)
        {
            throw new UserErrorException($"--kubeconfig {kubeconfig}: {e.Message}");
        }
    }
}
