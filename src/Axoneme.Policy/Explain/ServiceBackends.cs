// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

/// <summary>One place that a service's connections go to.</summary>
public sealed record ServiceBackend(TrafficEnd End, ushort Port);

/// <summary>What a service's port is translated to.</summary>
/// <param name="Service">Its name.</param>
/// <param name="Port">As the service calls it.</param>
/// <param name="Backends">Those that get new connections.</param>
/// <param name="BySelector">From the selector: there is no endpoint slice of the service.</param>
public sealed record ServiceTranslation(ResourceName Service, string Port, ImmutableArray<ServiceBackend> Backends, bool BySelector);

/// <summary>Backends from endpoint slices or, where there are none (manifests that were never applied), from the selector.</summary>
public sealed class ServiceBackends(ClusterModel model, EndResolver ends)
{
    /// <exception cref="UnknownEndException">The service has no such port.</exception>
    public ServiceTranslation Translate(Service service, PortText port)
    {
        ArgumentNullException.ThrowIfNull(service);
        ArgumentNullException.ThrowIfNull(port);
        ServicePort found = FindPort(service, port);
        string text = $"{found.Port}/{PortText.NameOf(port.Protocol)}{(string.IsNullOrEmpty(found.Name) ? "" : $" ({found.Name})")}";
        EndpointSlice[] slices = [.. model.Objects.Of<EndpointSlice>().Where(s =>
            s.Metadata.Namespace == service.Metadata.Namespace && s.Metadata.Label("kubernetes.io/service-name") == service.Metadata.Name)];
        IEnumerable<ServiceBackend> backends = slices.Length > 0 ? FromSlices(slices, found) : FromSelector(service, found, port.Protocol);
        // A pod of both families is in two slices, and one to policy.
        return new ServiceTranslation(service.ResourceName, text, [.. backends.DistinctBy(b => (b.End.Name, b.Port))], slices.Length == 0);
    }

    private static ServicePort FindPort(Service service, PortText port)
    {
        IReadOnlyList<ServicePort> ports = service.Spec.Ports ?? [];
        ServicePort? found = ports.FirstOrDefault(p => ProtocolOf(p) == port.Protocol
            && (port.Number is { } number ? p.Port == number : string.Equals(p.Name, port.Name, StringComparison.OrdinalIgnoreCase)));
        if (found is not null)
            return found;
        string known = ports.Count == 0 ? "it has none" : $"it has {string.Join(", ", ports.Select(p => $"{p.Port}/{PortText.NameOf(ProtocolOf(p))}"))}";
        throw new UnknownEndException($"service {service.ResourceName} has no port {port}: {known}");
    }

    private static L4Protocol ProtocolOf(ServicePort port) => port.Protocol?.ToUpperInvariant() switch
    {
        "UDP" => L4Protocol.Udp,
        "SCTP" => L4Protocol.Sctp,
        _ => L4Protocol.Tcp,
    };

    private IEnumerable<ServiceBackend> FromSlices(EndpointSlice[] slices, ServicePort port)
    {
        foreach (EndpointSlice slice in slices.OrderBy(s => s.AddressType, StringComparer.Ordinal))
        {
            int? number = (slice.Ports ?? []).FirstOrDefault(p => (p.Name ?? "") == (port.Name ?? ""))?.Port;
            if (number is not (> 0 and <= ushort.MaxValue))
                continue;
            foreach (string text in (slice.Endpoints ?? []).Where(e => e.Conditions?.Ready != false).SelectMany(e => e.Addresses ?? []))
            {
                if (IpAddress.TryParse(text, out IpAddress address))
                    yield return new ServiceBackend(ends.OfAddress(address), (ushort)number);
            }
        }
    }

    private IEnumerable<ServiceBackend> FromSelector(Service service, ServicePort port, L4Protocol protocol)
    {
        if (service.Spec.Selector is not { Count: > 0 } selector)
            yield break;
        foreach (ClusterPod pod in model.Pods.Values.OrderBy(p => p.Name))
        {
            if (pod.Name.Namespace != service.Metadata.Namespace || !selector.All(s => pod.Own.GetValueOrDefault(s.Key) == s.Value))
                continue;
            string target = port.TargetPort?.ToString() ?? "";
            if (target.Length == 0 || target == "0")
                target = port.Port.ToString();
            if (ushort.TryParse(target, out ushort number))
                yield return new ServiceBackend(ends.OfPod(pod), number);
            else if (pod.Ports.Find(target, protocol).Select(p => (ushort?)p.Port).FirstOrDefault() is { } named)
                yield return new ServiceBackend(ends.OfPod(pod), named);
        }
    }
}
