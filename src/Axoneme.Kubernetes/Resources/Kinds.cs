// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Kubernetes.Resources;

/// <summary>The kinds that this library knows. Objects read through them have no managedFields (see <see cref="KubernetesJson.Lean"/>).</summary>
public static class Kinds
{
    private const string Apps = "apps";
    private const string CiliumGroup = "cilium.io";
    private const string PolicyGroup = "policy.networking.k8s.io";

    private static readonly KubernetesJson Json = KubernetesJson.Lean;

    public static readonly ResourceKind<Pod> Pods = new("", "v1", "pods", "Pod", true, Json.Pod);
    public static readonly ResourceKind<Node> Nodes = new("", "v1", "nodes", "Node", false, Json.Node);
    public static readonly ResourceKind<Namespace> Namespaces = new("", "v1", "namespaces", "Namespace", false, Json.Namespace);
    public static readonly ResourceKind<Service> Services = new("", "v1", "services", "Service", true, Json.Service);
    public static readonly ResourceKind<ConfigMap> ConfigMaps = new("", "v1", "configmaps", "ConfigMap", true, Json.ConfigMap);
    public static readonly ResourceKind<Secret> Secrets = new("", "v1", "secrets", "Secret", true, Json.Secret);

    public static readonly ResourceKind<ServiceAccount> ServiceAccounts =
        new("", "v1", "serviceaccounts", "ServiceAccount", true, Json.ServiceAccount);

    public static readonly ResourceKind<Event> Events = new("", "v1", "events", "Event", true, Json.Event);

    public static readonly ResourceKind<EndpointSlice> EndpointSlices =
        new("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", true, Json.EndpointSlice);

    public static readonly ResourceKind<NetworkPolicy> NetworkPolicies =
        new("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", true, Json.NetworkPolicy);

    public static readonly ResourceKind<Lease> Leases = new("coordination.k8s.io", "v1", "leases", "Lease", true, Json.Lease);

    public static readonly ResourceKind<Deployment> Deployments = new(Apps, "v1", "deployments", "Deployment", true, Json.Deployment);
    public static readonly ResourceKind<DaemonSet> DaemonSets = new(Apps, "v1", "daemonsets", "DaemonSet", true, Json.DaemonSet);
    public static readonly ResourceKind<ReplicaSet> ReplicaSets = new(Apps, "v1", "replicasets", "ReplicaSet", true, Json.ReplicaSet);

    public static readonly ResourceKind<CustomResourceDefinition> CustomResourceDefinitions = new(
        "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", false, Json.CustomResourceDefinition);

    public static readonly ResourceKind<CiliumNetworkPolicy> CiliumNetworkPolicies =
        new(CiliumGroup, "v2", "ciliumnetworkpolicies", "CiliumNetworkPolicy", true, Json.CiliumNetworkPolicy);

    public static readonly ResourceKind<CiliumClusterwideNetworkPolicy> CiliumClusterwideNetworkPolicies = new(
        CiliumGroup, "v2", "ciliumclusterwidenetworkpolicies", "CiliumClusterwideNetworkPolicy", false,
        Json.CiliumClusterwideNetworkPolicy);

    public static readonly ResourceKind<CiliumCIDRGroup> CiliumCIDRGroups =
        new(CiliumGroup, "v2", "ciliumcidrgroups", "CiliumCIDRGroup", false, Json.CiliumCIDRGroup);

    public static readonly ResourceKind<CiliumNode> CiliumNodes =
        new(CiliumGroup, "v2", "ciliumnodes", "CiliumNode", false, Json.CiliumNode);

    public static readonly ResourceKind<CiliumEndpoint> CiliumEndpoints =
        new(CiliumGroup, "v2", "ciliumendpoints", "CiliumEndpoint", true, Json.CiliumEndpoint);

    public static readonly ResourceKind<CiliumEndpointSlice> CiliumEndpointSlices =
        new(CiliumGroup, "v2alpha1", "ciliumendpointslices", "CiliumEndpointSlice", false, Json.CiliumEndpointSlice);

    public static readonly ResourceKind<CiliumIdentity> CiliumIdentities =
        new(CiliumGroup, "v2", "ciliumidentities", "CiliumIdentity", false, Json.CiliumIdentity);

    public static readonly ResourceKind<CiliumNodeConfig> CiliumNodeConfigs =
        new(CiliumGroup, "v2", "ciliumnodeconfigs", "CiliumNodeConfig", true, Json.CiliumNodeConfig);

    public static readonly ResourceKind<CiliumLocalRedirectPolicy> CiliumLocalRedirectPolicies = new(
        CiliumGroup, "v2", "ciliumlocalredirectpolicies", "CiliumLocalRedirectPolicy", true, Json.CiliumLocalRedirectPolicy);

    public static readonly ResourceKind<ClusterNetworkPolicy> ClusterNetworkPolicies =
        new(PolicyGroup, "v1alpha2", "clusternetworkpolicies", "ClusterNetworkPolicy", false, Json.ClusterNetworkPolicy);

    public static readonly ResourceKind<AdminNetworkPolicy> AdminNetworkPolicies =
        new(PolicyGroup, "v1alpha1", "adminnetworkpolicies", "AdminNetworkPolicy", false, Json.AdminNetworkPolicy);

    public static readonly ResourceKind<BaselineAdminNetworkPolicy> BaselineAdminNetworkPolicies = new(
        PolicyGroup, "v1alpha1", "baselineadminnetworkpolicies", "BaselineAdminNetworkPolicy", false, Json.BaselineAdminNetworkPolicy);
}
