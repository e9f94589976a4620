// SPDX-License-Identifier: Apache-2.0
using Axoneme.AgentApi;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.LoadBalancing;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.Agent.Api;

/// <summary>The service addresses that this node translates.</summary>
internal sealed class ServiceViews(ApiSources sources)
{
    public IReadOnlyList<ServiceModel> All()
    {
        // An address that the maps are not to have is not served, whatever the Service object asks for.
        TableSnapshot<ServiceMapKey, ServiceMapEntry> served = sources.Control.Services.Maps.Snapshot();
        return
        [
            .. sources.Control.Services.Frontends.Snapshot().Values
                .Where(frontend => served.Contains(new ServiceMapKey(frontend.Address)))
                .OrderBy(frontend => frontend.Address)
                .SelectMany(Models),
        ];
    }

    // Where the inside has backends of its own, the maps hold two services, and so does the list.
    private IEnumerable<ServiceModel> Models(Frontend frontend)
    {
        yield return Model(frontend, LbScope.External, frontend.Outside);
        if (!ReferenceEquals(frontend.Inside, frontend.Outside))
            yield return Model(frontend, LbScope.Internal, frontend.Inside);
    }

    private ServiceModel Model(Frontend frontend, LbScope scope, BackendSet set)
    {
        ushort? id = sources.Running?.Services?.FindId(new ServiceMapKey(frontend.Address, scope));
        var spec = new ServiceSpec
        {
            Id = id ?? 0,
            FrontendAddress = new FrontendAddress(
                frontend.Address.Address.ToString(), frontend.Address.Port, ProtocolName(frontend.Address.Protocol),
                scope == LbScope.External ? "external" : "internal"),
            BackendAddresses = [.. set.Backends.Select((backend, slot) => Backend(backend, isUsable: slot < set.UsableCount))],
            Flags = new ServiceFlags
            {
                Type = frontend.Type.ToString(),
                Name = frontend.Service.Name,
                Namespace = frontend.Service.Namespace,
                Cluster = sources.Options.ClusterName,
                TrafficPolicy = frontend.ExternalTrafficPolicy.ToString(),
                ExtTrafficPolicy = frontend.ExternalTrafficPolicy.ToString(),
                IntTrafficPolicy = frontend.InternalTrafficPolicy.ToString(),
                HealthCheckNodePort = frontend.HealthCheckNodePort == 0 ? null : frontend.HealthCheckNodePort,
            },
        };
        // The number is given out when the kernel learns of the service.
        return new ServiceModel(spec, id is null ? null : new ServiceStatus(spec));
    }

    private static BackendAddress Backend(Backend backend, bool isUsable) => new()
    {
        Ip = backend.Address.Address.ToString(),
        Port = backend.Address.Port,
        Protocol = ProtocolName(backend.Address.Protocol),
        NodeName = backend.NodeName.Length == 0 ? null : backend.NodeName,
        Zone = backend.Zone.Length == 0 ? null : backend.Zone,
        State = backend.State.ToString().ToLowerInvariant(),
        Preferred = isUsable,
        Weight = backend.Weight,
    };

    private static string ProtocolName(L4Protocol protocol) => protocol.ToString().ToUpperInvariant();
}
