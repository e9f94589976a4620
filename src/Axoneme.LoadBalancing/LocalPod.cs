// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

/// <summary>A port that a container wants to have on the node, as the pod writes it.</summary>
/// <param name="HostIP">Empty for every address of the node.</param>
public readonly record struct PodHostPort(int HostPort, int ContainerPort, string Protocol, string HostIP);

/// <summary>As much of a pod of this node as services have to know.</summary>
public sealed record LocalPod
{
    public required ResourceName Name { get; init; }

    public DateTimeOffset Created { get; init; } = DateTimeOffset.MaxValue;

    public IReadOnlyDictionary<string, string>? Labels { get; init; }

    public ImmutableArray<IpAddress> Addresses { get; init; } = [];

    public bool IsReady { get; init; }

    public bool IsTerminating { get; init; }

    /// <summary>Its ports are the node's anyway.</summary>
    public bool UsesHostNetwork { get; init; }

    public ImmutableArray<PodHostPort> HostPorts { get; init; } = [];

    /// <summary>Null for a pod that has ended: its addresses may be somebody else's.</summary>
    public static LocalPod? From(Pod pod)
    {
        ArgumentNullException.ThrowIfNull(pod);
        if (pod.Status.Phase is "Succeeded" or "Failed")
            return null;
        bool usesHostNetwork = pod.Spec.HostNetwork ?? false;
        return new LocalPod
        {
            Name = pod.ResourceName,
            Created = pod.Metadata.CreationTimestamp ?? DateTimeOffset.MaxValue,
            Labels = pod.Metadata.Labels,
            Addresses = ReadAddresses(pod.Status),
            IsReady = (pod.Status.Conditions ?? []).Any(c => c is { Type: "Ready", Status: "True" }),
            IsTerminating = pod.Metadata.DeletionTimestamp is not null,
            UsesHostNetwork = usesHostNetwork,
            HostPorts = usesHostNetwork ? [] : ReadHostPorts(pod.Spec),
        };
    }

    public bool Equals(LocalPod? other)
        => other is not null && Name == other.Name && Created == other.Created && IsReady == other.IsReady
            && IsTerminating == other.IsTerminating && UsesHostNetwork == other.UsesHostNetwork && SameLabels(Labels, other.Labels)
            && Addresses.AsSpan().SequenceEqual(other.Addresses.AsSpan()) && HostPorts.AsSpan().SequenceEqual(other.HostPorts.AsSpan());

    public override int GetHashCode() => Name.GetHashCode();

    private static ImmutableArray<IpAddress> ReadAddresses(PodStatus status)
    {
        IEnumerable<string?> texts = status.PodIPs is { Count: > 0 } many ? many.Select(a => (string?)a.Ip) : [status.PodIP];
        var addresses = ImmutableArray.CreateBuilder<IpAddress>();
        foreach (string? text in texts)
        {
            if (IpAddress.TryParse(text, out IpAddress address) && !addresses.Contains(address))
                addresses.Add(address);
        }

        return addresses.DrainToImmutable();
    }

    private static ImmutableArray<PodHostPort> ReadHostPorts(PodSpec spec)
        => [.. from container in (spec.InitContainers ?? []).Concat(spec.Containers ?? [])
               from port in container.Ports ?? []
               let number = port.HostPort ?? 0
               where number != 0
               select new PodHostPort(number, port.Number, port.Protocol ?? "TCP", port.HostIP ?? "")];

    private static bool SameLabels(IReadOnlyDictionary<string, string>? a, IReadOnlyDictionary<string, string>? b)
    {
        if (ReferenceEquals(a, b))
            return true;
        if (a is null || b is null || a.Count != b.Count)
            return false;
        foreach ((string key, string value) in a)
        {
            if (!b.TryGetValue(key, out string? other) || other != value)
                return false;
        }

        return true;
    }
}
