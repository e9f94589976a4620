// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Endpoints;
using Axoneme.AgentApi;
using Axoneme.Kubernetes.Resources;
using Axoneme.LoadBalancing;
using Axoneme.Network;

namespace Axoneme.Agent.Api;

/// <summary>Local redirect policies and the frontends that they took over on this node.</summary>
internal sealed class RedirectViews(ApiSources sources)
{
    public IReadOnlyList<RedirectPolicyModel> All()
    {
        ILookup<ResourceName?, Frontend> frontends = sources.Control.Services.Frontends.Snapshot().Values
            .Where(frontend => frontend.RedirectPolicy is not null).ToLookup(frontend => frontend.RedirectPolicy);
        Dictionary<IpAddress, string> pods = PodsByAddress();
        return
        [
            .. sources.Control.Cluster.CiliumLocalRedirectPolicies.Snapshot().Values.OrderBy(policy => policy.ResourceName)
                .Select(policy => Model(policy, frontends[policy.ResourceName].OrderBy(f => f.Address), pods)),
        ];
    }

    private static RedirectPolicyModel Model(CiliumLocalRedirectPolicy policy, IEnumerable<Frontend> frontends, Dictionary<IpAddress, string> pods)
    {
        RedirectService? service = policy.Spec.RedirectFrontend.ServiceMatcher;
        return new RedirectPolicyModel
        {
            Name = policy.Metadata.Name,
            Namespace = policy.Metadata.Namespace,
            Uid = policy.Metadata.Uid,
            ServiceId = service is null ? null : $"{(service.Namespace.Length > 0 ? service.Namespace : policy.Metadata.Namespace)}/{service.ServiceName}",
            LrpType = service is null ? "addr" : "svc",
            FrontendType = FrontendType(policy.Spec.RedirectFrontend),
            FrontendMappings =
            [
                .. frontends.Select(frontend => new RedirectMapping(
                    Address(frontend.Address),
                    [.. frontend.Inside.Backends.Select(b => new RedirectTarget(pods.GetValueOrDefault(b.Address.Address, ""), Address(b.Address)))])),
            ],
        };
    }

    private static string FrontendType(RedirectFrontend frontend)
    {
        (string what, IReadOnlyList<RedirectPort>? ports) = frontend.ServiceMatcher is { } service
            ? ("clusterIP", service.ToPorts) : ("IP", frontend.AddressMatcher?.ToPorts);
        return (ports?.Count ?? 0) switch
        {
            0 => $"{what} + all svc ports",
            1 => $"{what} + port",
            _ => $"{what} + named ports",
        };
    }

    private Dictionary<IpAddress, string> PodsByAddress()
    {
        var pods = new Dictionary<IpAddress, string>();
        foreach (Endpoint endpoint in sources.Running?.Endpoints.Endpoints.Snapshot().Values ?? [])
        {
            foreach (IpAddress address in endpoint.Addresses)
                pods[address] = endpoint.Pod.ToString();
        }

        return pods;
    }

    private static FrontendAddress Address(L4Address address)
        => new(address.Address.ToString(), address.Port, address.Protocol.ToString().ToUpperInvariant());
}
