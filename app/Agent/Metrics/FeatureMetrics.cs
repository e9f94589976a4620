// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Configuration;
using Axoneme.LoadBalancing;
using Axoneme.Metrics;

namespace Axoneme.Agent.Metrics;

/// <summary>Which features are on: what "cilium features status" collects from all nodes.</summary>
internal static class FeatureMetrics
{
    public static void Register(MetricRegistry registry, AgentOptions options)
    {
        AddControlPlane(registry);
        AddDatapath(registry, options);
        AddPolicies(registry, options);
        AddServices(registry, options);
    }

    private static void AddControlPlane(MetricRegistry registry)
    {
        Mode(registry, "controlplane_identity_allocation", "How identities are allocated", "crd");
        Mode(registry, "controlplane_ipam", "Who gives addresses to pods", "kubernetes");
        Switch(registry, "controlplane_cilium_endpoint_slices_enabled", "CiliumEndpointSlices", false);
    }

    private static void AddDatapath(MetricRegistry registry, AgentOptions options)
    {
        Mode(registry, "datapath_chaining_enabled", "CNI chaining", "none");
        Mode(registry, "datapath_config", "Kind of pods' devices", "veth");
        Switch(registry, "datapath_endpoint_routes_enabled", "A route for each endpoint", false);
        Mode(registry, "datapath_network", "How packets get to other nodes", options.RoutingMode == RoutingMode.Native ? "direct-routing" : "overlay-vxlan");
        string families = (options.EnableIPv4, options.EnableIPv6) switch
        {
            (true, true) => "ipv4-ipv6-dual-stack",
            (false, true) => "ipv6-only",
            _ => "ipv4-only",
        };
        Labelled(registry, "datapath_internet_protocol", "Address families", ["address_family"], families);
        Labelled(registry, "datapath_kernel_version", "The node's kernel", ["version"], Environment.OSVersion.Version.ToString(3));
    }

    private static void AddPolicies(MetricRegistry registry, AgentOptions options)
    {
        Switch(registry, "network_policies_host_firewall_enabled", "Policies for the node itself", false);
        Switch(registry, "network_policies_local_redirect_policy_enabled", "Local redirect policies", options.Services.LocalRedirectPolicies);
        Switch(registry, "network_policies_mutual_auth_enabled", "Mutual authentication", false);
        Switch(registry, "network_policies_non_defaultdeny_policies_enabled", "Policies without default deny", options.EnableNonDefaultDenyPolicies);
    }

    private static void AddServices(MetricRegistry registry, AgentOptions options)
    {
        ServiceOptions services = options.Services;
        Switch(registry, "adv_connect_and_lb_kube_proxy_replacement_enabled", "Services without kube-proxy", services.ReplaceKubeProxy);
        Switch(registry, "adv_connect_and_lb_k8s_internal_traffic_policy_enabled", "internalTrafficPolicy of services", services.InternalTrafficPolicy);
        Switch(registry, "adv_connect_and_lb_bandwidth_manager_enabled", "Bandwidth manager", false);
        Switch(registry, "adv_connect_and_lb_bgp_enabled", "BGP control plane", false);
        Switch(registry, "adv_connect_and_lb_egress_gateway_enabled", "Egress gateways", false);
        Switch(registry, "adv_connect_and_lb_l2_lb_enabled", "Announcements on layer 2", false);
        Switch(registry, "adv_connect_and_lb_sctp_enabled", "SCTP in services", true);
        // What is on is not forwarded where no node port is served.
        if (!services.ReplaceKubeProxy)
            return;
        Labelled(
            registry, "adv_connect_and_lb_node_port_configuration", "How node ports are served", ["acceleration", "algorithm", "mode"],
            Acceleration(services.Acceleration), services.Algorithm == BackendSelection.Maglev ? "maglev" : "random",
            services.Mode.ToString().ToLowerInvariant());
    }

    private static string Acceleration(XdpAcceleration acceleration) => acceleration switch
    {
        XdpAcceleration.Native => "native",
        XdpAcceleration.BestEffort => "best-effort",
        XdpAcceleration.TestingOnly => "testing-only",
        _ => "disabled",
    };

    private static void Switch(MetricRegistry registry, string name, string help, bool isOn)
        => registry.AddGauge("feature_" + name, help).With().Value = isOn ? 1 : 0;

    private static void Mode(MetricRegistry registry, string name, string help, string mode) => Labelled(registry, name, help, ["mode"], mode);

    private static void Labelled(MetricRegistry registry, string name, string help, string[] labels, params string[] values)
        => registry.AddGauge("feature_" + name, help, labels).With(values).Value = 1;
}
