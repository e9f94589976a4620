// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Endpoints;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Tables;

namespace Axoneme.Agent.Identities;

/// <summary>Container ports with names, of all pods of each identity; rules for egress may name them.</summary>
internal sealed class IdentityPorts
{
    private readonly Lock _gate = new();
    private readonly Dictionary<ResourceName, SecurityIdentity> _identities = [];
    private readonly Dictionary<SecurityIdentity, Dictionary<ResourceName, NamedPorts>> _ports = [];

    public NamedPorts Of(SecurityIdentity id)
    {
        lock (_gate)
        {
            return _ports.TryGetValue(id, out Dictionary<ResourceName, NamedPorts>? pods)
                ? NamedPorts.From(pods.Values.SelectMany(p => p.Ports))
                : NamedPorts.Empty;
        }
    }

    /// <summary>Takes over what pods say now. What comes back are the identities that may have other ports than before.</summary>
    public IReadOnlyCollection<SecurityIdentity> Apply(IEnumerable<Change<ResourceName, CiliumEndpoint>> changes)
    {
        var touched = new HashSet<SecurityIdentity>();
        lock (_gate)
        {
            foreach (Change<ResourceName, CiliumEndpoint> change in changes)
                Apply(change.Key, change.Value?.Status, touched);
        }

        return touched;
    }

    private void Apply(ResourceName pod, Kubernetes.Resources.EndpointStatus? status, HashSet<SecurityIdentity> touched)
    {
        NamedPorts after = status?.NamedPorts is { Count: > 0 } declared ? PodPorts.Read(declared) : NamedPorts.Empty;
        SecurityIdentity? identity = RemotePods.IdentityOf(status);
        if (_identities.Remove(pod, out SecurityIdentity before) && _ports.TryGetValue(before, out Dictionary<ResourceName, NamedPorts>? old))
        {
            if (!old.Remove(pod, out NamedPorts? held) || before != identity || !held.Equals(after))
                touched.Add(before);
            if (old.Count == 0)
                _ports.Remove(before);
        }

        if (identity is not { } id || after.Ports.IsEmpty)
            return;
        if (!_ports.TryGetValue(id, out Dictionary<ResourceName, NamedPorts>? pods))
            _ports[id] = pods = [];
        pods[pod] = after;
        _identities[pod] = id;
        if (before != id)
            touched.Add(id);
    }
}
