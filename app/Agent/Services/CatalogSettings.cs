// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Configuration;
using Axoneme.LoadBalancing;

namespace Axoneme.Agent.Services;

/// <summary>From the agent's settings to those of the service catalogue.</summary>
internal static class CatalogSettings
{
    public static CatalogOptions For(AgentOptions options)
    {
        ServiceOptions services = options.Services;
        return new CatalogOptions
        {
            NodeName = options.NodeName,
            EnableIPv4 = options.EnableIPv4,
            EnableIPv6 = options.EnableIPv6,
            ServeOutside = services.ReplaceKubeProxy,
            ServiceProxyName = services.ServiceProxyName ?? "",
            NodePortMinimum = services.NodePortMin,
            NodePortMaximum = services.NodePortMax,
            DefaultSelection = services.Algorithm,
            SelectionByAnnotation = services.AlgorithmAnnotation,
            DefaultForwarding = services.Mode switch
            {
                LoadBalancerMode.Dsr => DefaultForwarding.Dsr,
                LoadBalancerMode.Hybrid => DefaultForwarding.Hybrid,
                _ => DefaultForwarding.Snat,
            },
            ForwardingByAnnotation = services.ModeAnnotation,
            ExternalClusterIP = services.ExternalClusterIP,
            InternalTrafficPolicy = services.InternalTrafficPolicy,
            SourceRanges = services.CheckSourceRanges,
            SourceRangesForAllTypes = services.SourceRangesOfAllTypes,
            ServiceTopology = services.Topology,
            HealthChecksOnLoadBalancers = services is { HealthCheckNodePort: true, HealthCheckLoadBalancerIP: true },
            LocalRedirectPolicies = services.LocalRedirectPolicies,
            RedirectableAddresses = services.LocalRedirectAddresses,
        };
    }
}
