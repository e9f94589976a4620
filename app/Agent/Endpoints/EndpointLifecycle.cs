// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Cni;
using Axoneme.Agent.Identities;
using Axoneme.Agent.Nodes;
using Axoneme.Agent.Policies;
using Axoneme.Cni;
using Axoneme.Datapath;
using Axoneme.Ipam;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Linux;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Endpoints;

/// <summary>What an endpoint's life needs from the rest of the agent.</summary>
internal sealed record EndpointServices(
    EndpointDatapath Datapath,
    EndpointTables Tables,
    EndpointStateFile Files,
    EndpointNamespaces Namespaces,
    NodeIpam Ipam,
    PodDirectory Pods,
    IdentityDirectory Identities,
    PolicyController Policies);

/// <summary>Creates, keeps and removes endpoints: for the container runtime, after a restart, and when a pod's labels change.</summary>
/// <remarks>
/// The order of creation closes the gaps: policy reaches the kernel before the device exists, and the answer goes out after the
/// state is on disk. An agent killed in between leaves either nothing that counts or a complete endpoint.
/// </remarks>
internal sealed class EndpointLifecycle(EndpointServices services, NodeAttachment node, ILogger<EndpointLifecycle> log) : ICniHandler, IDisposable
{
    private const int LockStripes = 64;

    private readonly EndpointIds _ids = new();
    private readonly SemaphoreSlim[] _locks = [.. Enumerable.Range(0, LockStripes).Select(_ => new SemaphoreSlim(1))];

    public string? NotReadyReason => node.NotReadyReason();

    public void Dispose()
    {
        foreach (SemaphoreSlim gate in _locks)
            gate.Dispose();
    }

    /// <summary>Keeps a number from being given to a pod.</summary>
    public void Reserve(ushort id) => _ids.Restore(id);

    /// <summary>Takes over what an earlier run left, before anything else may touch it.</summary>
    public async Task RestoreAsync(DatapathReport report)
    {
        foreach (Endpoint saved in services.Files.LoadAll())
        {
            _ids.Restore(saved.Id);
            try
            {
                await RestoreOneAsync(saved, report);
            }
            catch (Exception e) when (e is SystemCallException or AddressUnavailableException or InvalidOperationException)
            {
                log.LogError(e, "Endpoint {Id} ({Pod}) could not be restored; its device is left as it is", saved.Id, saved.Pod);
            }
        }

        HashSet<ushort> known = [.. services.Tables.Endpoints.Snapshot().Keys];
        foreach (ushort stale in services.Datapath.Pinned().Where(id => !known.Contains(id)).ToList())
            services.Datapath.RemoveStale(stale);
        services.Tables.MarkInitialized();
    }

    public async Task<CniResult> AddAsync(CniCall call, NetworkNamespace podNamespace, CancellationToken cancellation)
    {
        if (NotReadyReason is { } reason)
            throw new CniException(CniErrorCode.TryAgainLater, reason);
        using IDisposable exclusive = await LockAsync(call.Attachment, cancellation);
        if (Find(call.Attachment) is { } existing)
        {
            // A runtime repeats an ADD whose answer it has not seen.
            if ((await services.Datapath.CheckAsync(SpecOf(existing), podNamespace)).Count == 0)
                return ResultOf(existing);
            await RemoveAsync(existing);
        }

        try
        {
            return ResultOf(await CreateAsync(call, podNamespace, cancellation));
        }
        catch (Exception e) when (e is AddressUnavailableException or KubernetesException or HttpRequestException)
        {
            throw new CniException(CniErrorCode.TryAgainLater, e.Message, e);
        }
    }

    public async Task DeleteAsync(CniAttachmentId attachment, CancellationToken cancellation)
    {
        using IDisposable exclusive = await LockAsync(attachment, cancellation);
        if (Find(attachment) is { } endpoint)
            await RemoveAsync(endpoint);
    }

    public async Task CheckAsync(CniCall call, NetworkNamespace podNamespace, CancellationToken cancellation)
    {
        Endpoint endpoint = Find(call.Attachment)
            ?? throw new CniException(CniErrorCode.UnknownContainer, $"there is no endpoint of {call.Attachment}");
        IReadOnlyList<string> differences = await services.Datapath.CheckAsync(SpecOf(endpoint), podNamespace);
        if (differences.Count > 0)
            throw new CniException(CniErrorCode.Internal, string.Join("; ", differences));
    }

    public async Task CollectGarbageAsync(IReadOnlyCollection<CniAttachmentId> valid, CancellationToken cancellation)
    {
        var keep = valid.ToHashSet();
        foreach (Endpoint endpoint in services.Tables.Endpoints.Snapshot().Values.Where(e => !keep.Contains(e.Attachment)).ToList())
            await DeleteAsync(endpoint.Attachment, cancellation);
    }

    /// <summary>Gives the endpoint the identity of its pod's present labels.</summary>
    public async Task RelabelAsync(ResourceName podName, Pod pod, CancellationToken cancellation)
    {
        LabelSet labels = services.Pods.LabelsOf(pod);
        NamedPorts ports = PodPorts.Read(pod);
        foreach (Endpoint candidate in EndpointsOf(podName, pod.Metadata.Uid))
        {
            using IDisposable exclusive = await LockAsync(candidate.Attachment, cancellation);
            if (Find(candidate.Attachment) is not { } endpoint || (endpoint.Labels.Equals(labels) && endpoint.NamedPorts.Equals(ports)))
                continue;
            SecurityIdentity identity = await services.Identities.AllocateAsync(labels, cancellation);
            Endpoint changed = endpoint with { Labels = labels, Identity = identity, NamedPorts = ports };
            await services.Policies.UpsertEndpointAsync(changed.Id, identity, labels, ports, cancellation);
            EndpointInterface pair = await services.Datapath.UpdateAsync(SpecOf(changed));
            services.Files.Save(changed);
            services.Tables.Publish(changed, pair);
            log.LogInformation("Endpoint {Id} ({Pod}) has identity {Identity} now", changed.Id, changed.Pod, identity);
        }
    }

    private async Task RestoreOneAsync(Endpoint saved, DatapathReport report)
    {
        foreach (IpAddress address in saved.Addresses)
            services.Ipam.Reserve(address, saved.Pod.ToString());
        EndpointInterface? pair = await services.Datapath.AdoptAsync(SpecOf(saved), report);
        if (pair is null)
        {
            log.LogInformation("Endpoint {Id} ({Pod}) is gone since the last run", saved.Id, saved.Pod);
            await DismantleAsync(saved);
            return;
        }

        Endpoint endpoint = saved with { State = EndpointState.Ready };
        if (endpoint.NetworkNamespaceCookie == 0)
            endpoint = WithCookie(endpoint);
        // Held back by the controller until rules and identities are complete; the kernel has the policy of before.
        _ = services.Policies.ChangeAsync(engine => engine.UpsertEndpoint(endpoint.Id, endpoint.Identity, endpoint.Labels, endpoint.NamedPorts));
        services.Tables.Publish(endpoint, pair);
    }

    // An agent of an earlier version did not write it down.
    private Endpoint WithCookie(Endpoint endpoint)
    {
        try
        {
            using NetworkNamespace pod = services.Namespaces.Open(endpoint);
            Endpoint known = endpoint with { NetworkNamespaceCookie = pod.ReadCookie() };
            services.Files.Save(known);
            return known;
        }
        catch (SystemCallException e)
        {
            log.LogWarning("Endpoint {Id} ({Pod}): {Reason}", endpoint.Id, endpoint.Pod, e.Message);
            return endpoint;
        }
    }

    private async Task<Endpoint> CreateAsync(CniCall call, NetworkNamespace podNamespace, CancellationToken cancellation)
    {
        (LabelSet labels, NamedPorts ports) = await DescribeAsync(call, cancellation);
        SecurityIdentity identity = call.PodName.Length == 0
            ? SecurityIdentity.Init
            : await services.Identities.AllocateAsync(labels, cancellation);
        var pod = new ResourceName(call.PodNamespace, call.PodName);
        PodAddresses addresses = services.Ipam.Allocate(pod.Name.Length == 0 ? call.Attachment.ToString() : pod.ToString());
        ushort id = _ids.Allocate();
        var endpoint = new Endpoint
        {
            Id = id,
            Attachment = call.Attachment,
            NetworkNamespace = call.NetworkNamespace,
            NetworkNamespaceCookie = podNamespace.ReadCookie(),
            Pod = pod,
            PodUid = call.PodUid,
            HostInterface = EndpointInterfaceSpec.DeviceName(call.Attachment.ContainerId, call.Attachment.InterfaceName),
            HostMac = default,
            PodMac = default,
            IPv4 = addresses.V4,
            IPv6 = addresses.V6,
            Labels = labels,
            Identity = identity,
            NamedPorts = ports,
            State = EndpointState.Ready,
        };
        try
        {
            await services.Policies.UpsertEndpointAsync(id, identity, labels, ports, cancellation);
            EndpointInterface pair = await services.Datapath.CreateAsync(SpecOf(endpoint), podNamespace);
            endpoint = endpoint with { HostMac = pair.HostMac, PodMac = pair.PodMac };
            services.Files.Save(endpoint);
            services.Tables.Publish(endpoint, pair);
            foreach (IpAddress address in endpoint.Addresses)
                await node.WhenAddressInKernelAsync(address, cancellation);
            return endpoint;
        }
        catch
        {
            await RemoveAsync(endpoint);
            throw;
        }
    }

    private async Task<(LabelSet Labels, NamedPorts Ports)> DescribeAsync(CniCall call, CancellationToken cancellation)
    {
        // Not a pod: some other user of the plugin. It gets a network, and the policy of things without labels.
        if (call.PodName.Length == 0)
            return (LabelSet.Reserved("init"), NamedPorts.Empty);
        Pod pod = await services.Pods.WaitForPodAsync(call, cancellation);
        return (services.Pods.LabelsOf(pod), PodPorts.Read(pod));
    }

    private async Task RemoveAsync(Endpoint endpoint)
    {
        services.Tables.Withdraw(endpoint);
        await DismantleAsync(endpoint);
    }

    private async Task DismantleAsync(Endpoint endpoint)
    {
        await services.Datapath.DetachAsync(SpecOf(endpoint));
        services.Policies.RemoveEndpoint(endpoint.Id);
        _ = ReleaseAsync(endpoint);
    }

    /// <summary>
    /// Finding the connections of an endpoint takes a walk over whole maps, which a runtime that deletes a pod need not wait for. Until they are
    /// gone nobody gets the addresses and the number; the state file goes last, so that an agent that is killed meanwhile goes on with it.
    /// </summary>
    private async Task ReleaseAsync(Endpoint endpoint)
    {
        try
        {
            await services.Datapath.ForgetConnectionsAsync(SpecOf(endpoint));
        }
        catch (ObjectDisposedException)
        {
            // The agent ends; the next one finds the state file and goes on.
            return;
        }
        catch (SystemCallException e)
        {
            log.LogWarning("Connections of endpoint {Id} ({Pod}) could not be removed: {Reason}", endpoint.Id, endpoint.Pod, e.Message);
        }

        services.Files.Delete(endpoint.Id);
        foreach (IpAddress address in endpoint.Addresses)
            services.Ipam.Release(address);
        _ids.Release(endpoint.Id);
    }

    private Endpoint? Find(CniAttachmentId attachment)
        => services.Tables.Endpoints.Snapshot().Values.FirstOrDefault(e => e.Attachment == attachment);

    private List<Endpoint> EndpointsOf(ResourceName pod, string? uid)
        => [.. services.Tables.Endpoints.Snapshot().Values.Where(e => e.Pod == pod && (e.PodUid.Length == 0 || e.PodUid == uid))];

    private static EndpointInterfaceSpec SpecOf(Endpoint endpoint) => new(endpoint.Id)
    {
        Identity = endpoint.Identity,
        HostDevice = endpoint.HostInterface,
        PodDevice = endpoint.Attachment.InterfaceName,
        IPv4 = endpoint.IPv4,
        IPv6 = endpoint.IPv6,
    };

    private CniResult ResultOf(Endpoint endpoint) => new(
        endpoint.HostInterface,
        endpoint.HostMac,
        endpoint.PodMac,
        node.DeviceMtu,
        [.. endpoint.Addresses],
        [.. endpoint.Addresses.Select(a => (a.IsV6 ? node.Local.IPv6Router : node.Local.IPv4Router)!.Value)]);

    private async Task<IDisposable> LockAsync(CniAttachmentId attachment, CancellationToken cancellation)
    {
        SemaphoreSlim gate = _locks[(uint)attachment.GetHashCode() % LockStripes];
        await gate.WaitAsync(cancellation);
        return new Releaser(gate);
    }

    private sealed class Releaser(SemaphoreSlim gate) : IDisposable
    {
        public void Dispose() => gate.Release();
    }
}

/// <summary>What endpoints need to know of their node.</summary>
/// <param name="Local">Who the node is.</param>
/// <param name="DeviceMtu">Of pods' devices, in bytes.</param>
/// <param name="NotReadyReason">Why no pod can be attached now, or null.</param>
internal sealed record NodeAttachment(LocalNode Local, int DeviceMtu, Func<string?> NotReadyReason)
{
    /// <summary>Completes when packets to the address are delivered. Set by whoever runs the reconciler.</summary>
    public Func<IpAddress, CancellationToken, Task> WhenAddressInKernelAsync { get; set; } = static (_, _) => Task.CompletedTask;
}
