// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Agent.Identities;
using Axoneme.Agent.Ipcache;
using Axoneme.Agent.Nodes;
using Axoneme.Agent.Policies;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Endpoints;

/// <summary>
/// Pods of all nodes from CiliumEndpoint objects: the other nodes' addresses into the ipcache, everybody's container ports to
/// the policy engine, whose egress rules may name them.
/// </summary>
/// <remarks>
/// An address has the identity that its object says once the kernel's policies know that identity. Until then it is "unmanaged", which gets
/// through where every pod does and is denied what is denied to some pods; as what lies around it, which policies may well allow, it would
/// be the world. A pod whose identity changes keeps the one before, as if the change had not arrived yet, but not for longer than
/// <see cref="Patience"/>.
/// </remarks>
internal sealed class RemotePods
{
    /// <summary>How much later than the endpoint an identity may come before nothing is believed of the pod any more.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private const string Initializer = "cilium-endpoints";

    private readonly Table<ResourceName, CiliumEndpoint> _endpoints;
    private readonly LocalNode _node;
    private readonly Ipcache.Ipcache _ipcache;
    private readonly PolicyController _policies;
    private readonly Table<SecurityIdentity, IdentityRecord> _inForce;
    private readonly IdentityPorts _ports;
    private readonly TimeProvider _time;
    private readonly ILogger<RemotePods> _log;
    private readonly Lock _gate = new();
    private readonly Dictionary<ResourceName, RemotePod> _pods = [];
    private readonly Dictionary<SecurityIdentity, HashSet<ResourceName>> _byIdentity = [];

    public RemotePods(ControlPlane control, LocalNode node, TimeProvider time, ILogger<RemotePods> log)
    {
        _endpoints = control.Cluster.CiliumEndpoints;
        _node = node;
        _ipcache = control.Ipcache;
        _policies = control.Policies;
        _inForce = control.IdentityFollower.InForce;
        _ports = control.IdentityPorts;
        _time = time;
        _log = log;
        _ipcache.Table.RegisterInitializer(Initializer);
        control.IdentityFollower.BeforeForgottenAsync = ForgetAsync;
    }

    public Task RunAsync(CancellationToken cancellation)
        => Task.WhenAll(FollowEndpointsAsync(cancellation), FollowIdentitiesAsync(cancellation));

    /// <summary>The identity that an object states; null when it states none.</summary>
    public static SecurityIdentity? IdentityOf(Kubernetes.Resources.EndpointStatus? status)
        => status?.Identity is { Id: > 0 and <= uint.MaxValue } known ? new SecurityIdentity((uint)known.Id) : null;

    private async Task FollowEndpointsAsync(CancellationToken cancellation)
    {
        using ChangeStream<ResourceName, CiliumEndpoint> stream = _endpoints.Watch();
        await foreach (ChangeBatch<ResourceName, CiliumEndpoint> batch in stream.ReadAllAsync(cancellation))
        {
            await AnnouncePortsAsync(_ports.Apply(batch.Changes), cancellation);
            // The kernel has the addresses of before the restart, and by no means may all of them be unknown pods until identities are there.
            await _inForce.WhenInitializedAsync(cancellation);
            lock (_gate)
            {
                foreach (Change<ResourceName, CiliumEndpoint> change in batch.Changes)
                    Apply(change.Key, change.Value?.Status, cancellation);
            }

            if (batch.IsInitialized)
                _ipcache.Table.MarkInitialized(Initializer);
        }
    }

    private async Task FollowIdentitiesAsync(CancellationToken cancellation)
    {
        using ChangeStream<SecurityIdentity, IdentityRecord> stream = _inForce.Watch();
        await foreach (ChangeBatch<SecurityIdentity, IdentityRecord> batch in stream.ReadAllAsync(cancellation))
        {
            lock (_gate)
            {
                foreach (Change<SecurityIdentity, IdentityRecord> change in batch.Changes.Where(c => !c.IsDelete))
                {
                    foreach (ResourceName pod in PodsOf(change.Key))
                        Publish(pod, _pods[pod], change.Key);
                }
            }
        }
    }

    // Entries for named ports have to be there before the addresses that they are about.
    private async Task AnnouncePortsAsync(IReadOnlyCollection<SecurityIdentity> identities, CancellationToken cancellation)
    {
        if (identities.Count == 0)
            return;
        Task decided = _policies.ChangeAsync(engine =>
        {
            // One that is unknown so far brings its ports with its labels.
            foreach (PolicyIdentity identity in identities.Select(engine.FindIdentity).OfType<PolicyIdentity>())
                engine.UpsertIdentity(identity.Id, identity.Labels, _ports.Of(identity.Id));
        });
        if (!_policies.IsReleased)
            return;
        await decided.WaitAsync(cancellation);
        await _policies.WhenDecisionsInKernelAsync(cancellation);
    }

    private void Apply(ResourceName name, Kubernetes.Resources.EndpointStatus? status, CancellationToken cancellation)
    {
        RemotePod? before = _pods.GetValueOrDefault(name);
        if (before is not null && _byIdentity.TryGetValue(before.Identity, out HashSet<ResourceName>? others) && others.Remove(name) && others.Count == 0)
            _byIdentity.Remove(before.Identity);
        if (Read(name, status) is not { } pod)
        {
            _ipcache.Replace(Prefixes(before), [], IpcacheSource.Pod, name.ToString());
            _pods.Remove(name);
            return;
        }

        pod = pod with { Published = before?.Published ?? [] };
        if (!_byIdentity.TryGetValue(pod.Identity, out HashSet<ResourceName>? pods))
            _byIdentity[pod.Identity] = pods = [];
        pods.Add(name);
        if (IsInForce(pod.Identity))
        {
            Publish(name, pod, pod.Identity);
            return;
        }

        Publish(name, pod, null);
        if (_pods[name].Published.Any(r => r.Identity != SecurityIdentity.Unmanaged))
            _ = LosePatienceAsync(name, pod.Identity, cancellation);
    }

    /// <param name="name">Of the pod.</param>
    /// <param name="pod">As its object says.</param>
    /// <param name="identity">Null: each address keeps the one that it has, if it is one of this pod's.</param>
    private void Publish(ResourceName name, RemotePod pod, SecurityIdentity? identity)
    {
        ImmutableArray<IpcacheRecord> statements =
        [
            .. pod.Addresses.Select(prefix => new IpcacheRecord(
                prefix, identity ?? pod.PublishedFor(prefix) ?? SecurityIdentity.Unmanaged, pod.Host, IpcacheSource.Pod, name.ToString())),
        ];
        _ipcache.Replace(Prefixes(pod), statements, IpcacheSource.Pod, name.ToString());
        _pods[name] = pod with { Published = statements };
    }

    private async Task LosePatienceAsync(ResourceName name, SecurityIdentity identity, CancellationToken cancellation)
    {
        await Task.Delay(Patience, _time, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        lock (_gate)
        {
            if (cancellation.IsCancellationRequested || !_pods.TryGetValue(name, out RemotePod? pod) || pod.Identity != identity || IsInForce(identity))
                return;
            Publish(name, pod, SecurityIdentity.Unmanaged);
        }

        _log.LogWarning("CiliumEndpoint {Pod}: its identity {Identity} is not known here; the pod counts as unmanaged until it is", name, identity);
    }

    private async Task ForgetAsync(IReadOnlyCollection<SecurityIdentity> identities, CancellationToken cancellation)
    {
        List<IpPrefix> prefixes = [];
        lock (_gate)
        {
            foreach (ResourceName name in identities.SelectMany(PodsOf).ToList())
            {
                Publish(name, _pods[name], SecurityIdentity.Unmanaged);
                prefixes.AddRange(_pods[name].Addresses);
            }
        }

        await _policies.WhenAddressesInKernelAsync(prefixes, cancellation);
    }

    private RemotePod? Read(ResourceName pod, Kubernetes.Resources.EndpointStatus? status)
    {
        bool isRemote = IpAddress.TryParse(status?.Networking?.Node, out IpAddress host) && !_node.NodeAddresses.Contains(host);
        if (!isRemote || IdentityOf(status) is not { } identity)
            return null;
        var addresses = ImmutableArray.CreateBuilder<IpPrefix>();
        foreach (string? text in (status!.Networking!.Addressing ?? []).SelectMany(pair => new[] { pair.Ipv4, pair.Ipv6 }))
        {
            if (IpAddress.TryParse(text, out IpAddress address))
                addresses.Add(IpPrefix.Single(address));
            else if (!string.IsNullOrEmpty(text))
                _log.LogWarning("CiliumEndpoint {Pod}: status.networking.addressing has '{Text}', which is not an address", pod, text);
        }

        return new RemotePod(identity, host, addresses.ToImmutable());
    }

    // Reserved numbers stand for the same labels everywhere and always.
    private bool IsInForce(SecurityIdentity id) => id.IsReserved || _inForce.Snapshot().Contains(id);

    private IReadOnlyCollection<ResourceName> PodsOf(SecurityIdentity id)
        => _byIdentity.TryGetValue(id, out HashSet<ResourceName>? pods) ? pods : [];

    private static IEnumerable<IpPrefix> Prefixes(RemotePod? pod) => pod?.Published.Select(record => record.Prefix) ?? [];

    /// <param name="Identity">That its object states.</param>
    /// <param name="Host">The node that it runs on.</param>
    /// <param name="Addresses">Each as a prefix of its own.</param>
    private sealed record RemotePod(SecurityIdentity Identity, IpAddress Host, ImmutableArray<IpPrefix> Addresses)
    {
        /// <summary>What the ipcache says of it.</summary>
        public ImmutableArray<IpcacheRecord> Published { get; init; } = [];

        public SecurityIdentity? PublishedFor(IpPrefix prefix) => Published.FirstOrDefault(record => record.Prefix == prefix)?.Identity;
    }
}
