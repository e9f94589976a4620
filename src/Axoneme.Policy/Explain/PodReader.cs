// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Globalization;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

/// <summary>Pods from what there is: Pod objects, CiliumEndpoints of pods on other nodes, and templates of workloads without pods.</summary>
internal static class PodReader
{
    private static readonly IReadOnlyDictionary<string, string> NoLabels = new Dictionary<string, string>();

    public static IEnumerable<ClusterPod> Read(ClusterObjects objects, Func<LabelSet, SecurityIdentity> identityOf)
    {
        Dictionary<string, Namespace> namespaces = objects.Of<Namespace>().DistinctBy(n => n.Metadata.Name).ToDictionary(n => n.Metadata.Name);
        Dictionary<ResourceName, CiliumEndpoint> endpoints = objects.Of<CiliumEndpoint>().Concat(objects.Of<CiliumEndpointSlice>().SelectMany(EndpointsOf))
            .DistinctBy(e => e.ResourceName).ToDictionary(e => e.ResourceName);
        Dictionary<string, CiliumIdentity> identities = objects.Of<CiliumIdentity>().DistinctBy(i => i.Metadata.Name).ToDictionary(i => i.Metadata.Name);
        var seen = new HashSet<ResourceName>();
        var owners = new HashSet<(string Kind, ResourceName Name)>();
        foreach (Pod pod in objects.Of<Pod>())
        {
            seen.Add(pod.ResourceName);
            foreach (OwnerReference owner in pod.Metadata.OwnerReferences ?? [])
                owners.Add(Workloads.OwnerOf(pod, owner));
            if (pod.Status.Phase is "Succeeded" or "Failed")
                continue;
            LabelSet labels = LabelsOf(pod.Metadata, pod.Spec);
            yield return FromPod(pod, labels, endpoints.GetValueOrDefault(pod.ResourceName));
        }

        foreach (CiliumEndpoint endpoint in endpoints.Values)
        {
            if (seen.Add(endpoint.ResourceName) && FromEndpoint(endpoint) is { } pod)
                yield return pod;
        }

        foreach ((string kind, ObjectMeta metadata, PodTemplateSpec template) in Workloads.TemplatesOf(objects))
        {
            var name = new ResourceName(metadata.Namespace, metadata.Name);
            if (owners.Contains((kind, name)) || !seen.Add(name))
                continue;
            ObjectMeta podMetadata = template.Metadata with { Namespace = metadata.Namespace, Name = metadata.Name };
            LabelSet labels = LabelsOf(podMetadata, template.Spec);
            yield return new ClusterPod(
                name, podMetadata.Labels ?? NoLabels, labels, identityOf(labels), PortsOf(template.Spec), "", template.Spec.HostNetwork == true, [])
            {
                Workload = kind,
            };
        }

        LabelSet LabelsOf(ObjectMeta metadata, PodSpec spec) => PodLabels.For(
            new PodIdentitySource
            {
                Namespace = metadata.Namespace,
                Cluster = objects.Options.ClusterName,
                ServiceAccount = spec.ServiceAccountName ?? "default",
                Labels = metadata.Labels ?? NoLabels,
                // The API server gives every namespace its name as a label.
                NamespaceLabels = namespaces.GetValueOrDefault(metadata.Namespace)?.Metadata.Labels
                    ?? new Dictionary<string, string> { ["kubernetes.io/metadata.name"] = metadata.Namespace },
            },
            objects.Filter);

        ClusterPod FromPod(Pod pod, LabelSet labels, CiliumEndpoint? endpoint)
        {
            SecurityIdentity identity = endpoint?.Status?.Identity is { Id: > 0 and <= uint.MaxValue } known
                && LabelSet.Parse(known.Labels ?? []).Equals(labels) ? new SecurityIdentity((uint)known.Id) : identityOf(labels);
            IEnumerable<string?> addresses = (pod.Status.PodIPs ?? []).Select(a => (string?)a.Ip).Append(pod.Status.PodIP);
            return new ClusterPod(
                pod.ResourceName, pod.Metadata.Labels ?? NoLabels, labels, identity, PortsOf(pod.Spec), pod.Spec.NodeName ?? "",
                pod.Spec.HostNetwork == true, AddressesOf(addresses));
        }

        ClusterPod? FromEndpoint(CiliumEndpoint endpoint)
        {
            if (endpoint.Status?.Identity is not { Id: > 0 and <= uint.MaxValue } identity)
                return null;
            // Slices of endpoints have the numbers of identities, and not their labels.
            LabelSet labels = identity.Labels is { Count: > 0 } known ? LabelSet.Parse(known)
                : identities.GetValueOrDefault(identity.Id.ToString(CultureInfo.InvariantCulture))?.SecurityLabels is { } named
                    ? PodLabels.FromSecurityLabels(named) : LabelSet.Empty;
            if (labels.Count == 0)
                return null;
            IReadOnlyDictionary<string, string> own = labels.Where(l => l.Source == Label.Kubernetes && !IsDerived(l.Key)).ToDictionary(l => l.Key, l => l.Value);
            var ports = NamedPorts.From((endpoint.Status.NamedPorts ?? []).Where(p => !string.IsNullOrEmpty(p.Name) && p.Port is > 0 and <= ushort.MaxValue)
                .Select(p => new NamedPort(p.Name!, ProtocolOf(p.Protocol), (ushort)p.Port!.Value)));
            string node = NodeOf(objects, endpoint.Status.Networking?.Node);
            IEnumerable<string?> addresses = (endpoint.Status.Networking?.Addressing ?? []).SelectMany(a => new[] { a.Ipv4, a.Ipv6 });
            return new ClusterPod(
                endpoint.ResourceName, own, labels, new SecurityIdentity((uint)identity.Id), ports, node, false, AddressesOf(addresses));
        }
    }

    /// <summary>Labels of an identity that the pod's object does not have.</summary>
    public static bool IsDerived(string key)
        => key.StartsWith("io.cilium.k8s.", StringComparison.Ordinal) || key.StartsWith("io.kubernetes.pod.", StringComparison.Ordinal);

    private static IEnumerable<CiliumEndpoint> EndpointsOf(CiliumEndpointSlice slice)
        => from core in slice.Endpoints ?? []
           select new CiliumEndpoint
           {
               Metadata = new ObjectMeta { Namespace = slice.Namespace ?? "", Name = core.Name ?? "" },
               Status = new EndpointStatus { Identity = new EndpointIdentity { Id = core.Id }, Networking = core.Networking, NamedPorts = core.NamedPorts },
           };

    private static string NodeOf(ClusterObjects objects, string? address)
        => string.IsNullOrEmpty(address) ? ""
            : objects.Of<CiliumNode>().FirstOrDefault(n => (n.Spec.Addresses ?? []).Any(a => a.Ip == address))?.Metadata.Name ?? address;

    private static NamedPorts PortsOf(PodSpec spec) => NamedPorts.From(
        from container in spec.Containers ?? []
        from port in container.Ports ?? []
        where !string.IsNullOrEmpty(port.Name) && port.Number is > 0 and <= ushort.MaxValue
        select new NamedPort(port.Name!, ProtocolOf(port.Protocol), (ushort)port.Number));

    private static L4Protocol ProtocolOf(string? text) => text?.ToUpperInvariant() switch
    {
        "UDP" => L4Protocol.Udp,
        "SCTP" => L4Protocol.Sctp,
        _ => L4Protocol.Tcp,
    };

    private static ImmutableArray<IpAddress> AddressesOf(IEnumerable<string?> texts)
        => [.. texts.Select(t => IpAddress.TryParse(t, out IpAddress address) ? address : (IpAddress?)null).OfType<IpAddress>().Distinct()];
}
