// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Agent.Cluster;

/// <summary>
/// Keeps of a service what the agent needs: not the copy that kubectl leaves in an annotation, nor each of the few words of the API once more for
/// every service.
/// </summary>
internal sealed class ServiceTrimming
{
    private const string LastApplied = "kubectl.kubernetes.io/last-applied-configuration";

    private readonly NamePool _names = new();

    public Service Trim(Service service) => service with
    {
        ApiVersion = service.Definition.ApiVersion,
        Kind = service.Definition.Kind,
        Metadata = service.Metadata with
        {
            Namespace = _names.Share(service.Metadata.Namespace)!,
            Labels = _names.Share(service.Metadata.Labels, static _ => true),
            Annotations = _names.Share(service.Metadata.Annotations, static key => key != LastApplied),
            OwnerReferences = null,
            Finalizers = null,
        },
        Spec = Trim(service.Spec),
    };

    private ServiceSpec Trim(ServiceSpec spec) => spec with
    {
        Type = _names.Share(spec.Type),
        Selector = spec.Selector is { Count: > 0 } ? _names.Share(spec.Selector, static _ => true) : spec.Selector,
        IpFamilies = spec.IpFamilies is { } families ? [.. families.Select(f => _names.Share(f)!)] : null,
        IpFamilyPolicy = _names.Share(spec.IpFamilyPolicy),
        SessionAffinity = _names.Share(spec.SessionAffinity),
        ExternalTrafficPolicy = _names.Share(spec.ExternalTrafficPolicy),
        InternalTrafficPolicy = _names.Share(spec.InternalTrafficPolicy),
        TrafficDistribution = _names.Share(spec.TrafficDistribution),
        Ports = spec.Ports is { } ports
            ? [.. ports.Select(p => p with { Name = _names.Share(p.Name), Protocol = _names.Share(p.Protocol), AppProtocol = _names.Share(p.AppProtocol) })]
            : null,
    };
}
