// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

/// <summary>A service object after validation: what it asks for, and what is wrong with the rest of it.</summary>
internal sealed record ServiceSpecification
{
    private const uint DefaultAffinitySeconds = 10800;
    private const uint MaximalAffinitySeconds = 86400;
    private const string ProxyNameLabel = "service.kubernetes.io/service-proxy-name";
    private const string HeadlessLabel = "service.kubernetes.io/headless";

    public ImmutableArray<WantedFrontend> Frontends { get; init; } = [];

    public TrafficPolicy InternalTrafficPolicy { get; init; }

    public TrafficPolicy ExternalTrafficPolicy { get; init; }

    public uint? AffinityTimeoutSeconds { get; init; }

    /// <summary>Null: nobody is asked.</summary>
    public ImmutableArray<IpPrefix>? SourceRanges { get; init; }

    public ushort HealthCheckNodePort { get; init; }

    public string LoadBalancerClass { get; init; } = "";

    public required ServiceAnnotations Annotations { get; init; }

    public ImmutableArray<string> Problems { get; init; } = [];

    /// <summary>What the node's addresses decide: which node ports there are.</summary>
    public bool HasNodePorts { get; init; }

    public static ServiceSpecification From(Service service, CatalogOptions options, NodeFacts node)
    {
        var problems = new List<string>();
        var annotations = ServiceAnnotations.From(service, options, node, problems);
        ServiceSpec spec = service.Spec;
        // Headless services and external names are for DNS alone; those of another proxy are its business.
        bool isServed = spec.Type != "ExternalName" && spec.ClusterIP != "None" && spec.ClusterIPs is not ["None", ..]
            && service.Metadata.Label(HeadlessLabel) is null
            && (service.Metadata.Label(ProxyNameLabel) ?? "") == options.ServiceProxyName
            && annotations.IsForThisNode;
        if (!isServed)
            return new ServiceSpecification { Annotations = annotations, Problems = [.. problems] };
        var reader = new Reader(service, problems);
        return new ServiceSpecification
        {
            Annotations = annotations,
            Frontends = new ServiceFrontends(service, annotations.OnlyType, options, node, problems).Read(),
            InternalTrafficPolicy = options.InternalTrafficPolicy
                ? reader.Policy("spec.internalTrafficPolicy", spec.InternalTrafficPolicy) : TrafficPolicy.Cluster,
            ExternalTrafficPolicy = reader.Policy("spec.externalTrafficPolicy", spec.ExternalTrafficPolicy),
            AffinityTimeoutSeconds = reader.Affinity(),
            SourceRanges = options.SourceRanges ? reader.SourceRanges() : null,
            HealthCheckNodePort = reader.HealthCheckNodePort(),
            LoadBalancerClass = spec.LoadBalancerClass ?? "",
            HasNodePorts = spec.Type is "NodePort" or "LoadBalancer",
            Problems = [.. problems],
        };
    }

    private sealed class Reader(Service service, List<string> problems)
    {
        private readonly ServiceSpec _spec = service.Spec;

        public TrafficPolicy Policy(string path, string? written)
        {
            if (written is not (null or "" or "Cluster" or "Local"))
                problems.Add($"{path}: '{written}' is not one of Cluster, Local");
            return written == "Local" ? TrafficPolicy.Local : TrafficPolicy.Cluster;
        }

        public uint? Affinity()
        {
            if (_spec.SessionAffinity is null or "" or "None")
                return null;
            if (_spec.SessionAffinity != "ClientIP")
            {
                problems.Add($"spec.sessionAffinity: '{_spec.SessionAffinity}' is not one of None, ClientIP");
                return null;
            }

            int seconds = _spec.SessionAffinityConfig?.ClientIP?.TimeoutSeconds ?? (int)DefaultAffinitySeconds;
            if (seconds is > 0 and <= (int)MaximalAffinitySeconds)
                return (uint)seconds;
            problems.Add($"spec.sessionAffinityConfig.clientIP.timeoutSeconds: {seconds} is not in the range 1 to {MaximalAffinitySeconds}");
            return DefaultAffinitySeconds;
        }

        public ImmutableArray<IpPrefix>? SourceRanges()
        {
            if (_spec.LoadBalancerSourceRanges is null or { Count: 0 })
                return null;
            var ranges = ImmutableArray.CreateBuilder<IpPrefix>();
            for (int i = 0; i < _spec.LoadBalancerSourceRanges.Count; i++)
            {
                string text = _spec.LoadBalancerSourceRanges[i].Trim();
                if (IpPrefix.TryParse(text, out IpPrefix prefix))
                    ranges.Add(prefix);
                else
                    problems.Add($"spec.loadBalancerSourceRanges[{i}]: '{text}' is not an address block");
            }

            return ranges.DrainToImmutable();
        }

        public ushort HealthCheckNodePort()
        {
            if (_spec is not { Type: "LoadBalancer", ExternalTrafficPolicy: "Local", HealthCheckNodePort: { } port and not 0 })
                return 0;
            if (port is > 0 and <= ushort.MaxValue)
                return (ushort)port;
            problems.Add($"spec.healthCheckNodePort: {port} is not in the range 1 to {ushort.MaxValue}");
            return 0;
        }
    }
}
