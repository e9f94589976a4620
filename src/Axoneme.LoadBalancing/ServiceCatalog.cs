// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

/// <summary>
/// Services and their endpoint slices as frontends. Each event returns what it changed, and costs as much as the service it is about.
/// Where two services want one address, port and protocol, the older one has it and the other one is told (<see cref="ProblemsOf"/>).
/// Not thread-safe: one owner calls it; what it returns is immutable.
/// </summary>
public sealed class ServiceCatalog(string nodeName)
{
    private readonly Dictionary<ResourceName, ServiceState> _services = [];
    private readonly Dictionary<ResourceName, SliceContents> _slices = [];
    private readonly Dictionary<L4Address, SortedSet<Claim>> _claims = [];
    private readonly Dictionary<L4Address, Frontend> _frontends = [];
    private IReadOnlyList<IpAddress> _nodeAddresses = [];

    public IReadOnlyCollection<Frontend> Frontends => _frontends.Values;

    public IEnumerable<ResourceName> Services => _services.Where(s => s.Value.Service is not null).Select(s => s.Key);

    public Frontend? Find(L4Address address) => _frontends.GetValueOrDefault(address);

    public CatalogChange Upsert(Service service)
    {
        ArgumentNullException.ThrowIfNull(service);
        return Specify(service.ResourceName, service);
    }

    public CatalogChange DeleteService(ResourceName name) => Specify(name, null);

    public CatalogChange Upsert(EndpointSlice slice)
    {
        ArgumentNullException.ThrowIfNull(slice);
        return Replace(slice.ResourceName, SliceContents.From(slice));
    }

    public CatalogChange DeleteSlice(ResourceName name) => Replace(name, null);

    /// <summary>Addresses of this node on which node ports are served.</summary>
    public CatalogChange SetNodeAddresses(IReadOnlyList<IpAddress> addresses)
    {
        _nodeAddresses = [.. addresses];
        var touched = new SortedSet<L4Address>();
        foreach (ServiceState state in _services.Values)
        {
            if (state.Service is { Spec.Type: "NodePort" or "LoadBalancer" } service)
                MakeClaims(state, ServiceSpecification.From(service, _nodeAddresses), touched);
        }

        return Recompute(touched);
    }

    /// <summary>All that is wrong with a service and its slices, and which of its addresses another service has.</summary>
    public ImmutableArray<string> ProblemsOf(ResourceName service)
    {
        if (!_services.TryGetValue(service, out ServiceState? state) || state.Specification is not { } specification)
            return [];
        IEnumerable<string> conflicts = specification.Frontends
            .Where(f => _claims[f.Address].Min!.Service != service)
            .Select(f => $"spec.ports: {f.Address} belongs to service {_claims[f.Address].Min!.Service}, which is older");
        return [.. specification.Problems, .. state.Slices.Values.SelectMany(s => s.Problems), .. conflicts];
    }

    private CatalogChange Specify(ResourceName name, Service? service)
    {
        ServiceState state = StateOf(name);
        state.Service = service;
        var touched = new SortedSet<L4Address>();
        MakeClaims(state, service is null ? null : ServiceSpecification.From(service, _nodeAddresses), touched);
        Forget(name, state);
        return Recompute(touched);
    }

    private CatalogChange Replace(ResourceName name, SliceContents? contents)
    {
        var touched = new SortedSet<L4Address>();
        if (_slices.Remove(name, out SliceContents? old))
        {
            ServiceState owner = StateOf(old.Service);
            owner.Slices.Remove(name);
            Touch(owner);
            Forget(old.Service, owner);
        }

        if (contents is not null)
        {
            _slices[name] = contents;
            ServiceState owner = StateOf(contents.Service);
            owner.Slices[name] = contents;
            Touch(owner);
        }

        return Recompute(touched);

        void Touch(ServiceState owner) => touched.UnionWith(owner.Specification?.Frontends.Select(f => f.Address) ?? []);
    }

    // Gives up the claims of the service's old specification and makes those of the new one.
    private void MakeClaims(ServiceState state, ServiceSpecification? next, SortedSet<L4Address> touched)
    {
        foreach (WantedFrontend wanted in state.Specification?.Frontends ?? [])
        {
            SortedSet<Claim> claims = _claims[wanted.Address];
            claims.RemoveWhere(c => c.Service == state.Specification!.Name);
            if (claims.Count == 0)
                _claims.Remove(wanted.Address);
            touched.Add(wanted.Address);
        }

        state.Specification = next;
        foreach (WantedFrontend wanted in next?.Frontends ?? [])
        {
            (CollectionsMarshal.GetValueRefOrAddDefault(_claims, wanted.Address, out _) ??= []).Add(new Claim(next!.Created, next.Name, wanted));
            touched.Add(wanted.Address);
        }
    }

    private CatalogChange Recompute(SortedSet<L4Address> touched)
    {
        var upserts = ImmutableArray.CreateBuilder<Frontend>();
        var deletes = ImmutableArray.CreateBuilder<Frontend>();
        var concerned = new SortedSet<ResourceName>();
        foreach (L4Address address in touched)
        {
            _frontends.TryGetValue(address, out Frontend? old);
            Frontend? next = _claims.TryGetValue(address, out SortedSet<Claim>? claims) ? Compute(claims.Min!) : null;
            concerned.UnionWith(claims?.Select(c => c.Service) ?? []);
            if (next is null)
            {
                if (_frontends.Remove(address))
                    deletes.Add(old!);
            }
            else if (!next.Equals(old))
            {
                _frontends[address] = next;
                upserts.Add(next);
            }
        }

        return new CatalogChange(upserts.ToImmutable(), deletes.ToImmutable()) { Concerned = [.. concerned] };
    }

    private Frontend Compute(Claim claim)
    {
        ServiceState state = _services[claim.Service];
        ServiceSpecification specification = state.Specification!;
        WantedFrontend wanted = claim.Frontend;
        TrafficPolicy policy = wanted.Type == FrontendType.ClusterIP ? specification.InternalTrafficPolicy : specification.ExternalTrafficPolicy;
        List<SliceBackend> candidates = Candidates(state, wanted, localOnly: policy == TrafficPolicy.Local);
        // Endpoints on their way out serve new connections only when that is better than refusing them.
        Readiness usable = candidates.Exists(c => c.Readiness == Readiness.Ready) ? Readiness.Ready : Readiness.Serving;
        var backends = ImmutableArray.CreateBuilder<Backend>(candidates.Count);
        foreach (SliceBackend candidate in candidates)
        {
            BackendState backendState = candidate.Readiness == Readiness.Ready ? BackendState.Active : BackendState.Terminating;
            backends.Add(new Backend(candidate.Address, backendState, candidate.NodeName, candidate.Zone));
        }

        return new Frontend
        {
            Address = wanted.Address,
            Type = wanted.Type,
            Service = claim.Service,
            PortName = wanted.PortName,
            InternalTrafficPolicy = specification.InternalTrafficPolicy,
            ExternalTrafficPolicy = specification.ExternalTrafficPolicy,
            AffinityTimeoutSeconds = specification.AffinityTimeoutSeconds,
            SourceRanges = wanted.Type is FrontendType.LoadBalancer or FrontendType.ExternalIPs ? specification.SourceRanges : [],
            Backends = backends.DrainToImmutable(),
            UsableCount = candidates.Count(c => c.Readiness <= usable),
        };
    }

    /// <summary>
    /// The service's endpoints on the frontend's port and family, each once: slices overlap while an endpoint moves between them, and then
    /// the more willing mention counts.
    /// </summary>
    private List<SliceBackend> Candidates(ServiceState state, WantedFrontend wanted, bool localOnly)
    {
        var byAddress = new Dictionary<L4Address, SliceBackend>();
        foreach (SliceContents slice in state.Slices.Values)
        {
            foreach (SliceBackend backend in slice.Backends)
            {
                if (backend.PortName != wanted.PortName || backend.Address.Protocol != wanted.Address.Protocol
                    || backend.Address.Address.IsV6 != wanted.Address.Address.IsV6 || (localOnly && backend.NodeName != nodeName))
                    continue;
                ref SliceBackend? held = ref CollectionsMarshal.GetValueRefOrAddDefault(byAddress, backend.Address, out _);
                if (held is null || backend.Readiness < held.Readiness)
                    held = backend;
            }
        }

        return [.. byAddress.Values.OrderBy(b => b.Readiness).ThenBy(b => b.Address)];
    }

    private ServiceState StateOf(ResourceName name)
        => CollectionsMarshal.GetValueRefOrAddDefault(_services, name, out _) ??= new ServiceState();

    private void Forget(ResourceName name, ServiceState state)
    {
        if (state.Service is null && state.Slices.Count == 0)
            _services.Remove(name);
    }

    private sealed class ServiceState
    {
        /// <summary>Null while only slices of it are known.</summary>
        public Service? Service { get; set; }

        public ServiceSpecification? Specification { get; set; }

        // Sorted, so that the first of two equal mentions of an endpoint is the same one after a restart.
        public SortedDictionary<ResourceName, SliceContents> Slices { get; } = [];
    }

    private sealed record Claim(DateTimeOffset Created, ResourceName Service, WantedFrontend Frontend) : IComparable<Claim>
    {
        public int CompareTo(Claim? other)
        {
            int order = Created.CompareTo(other!.Created);
            return order != 0 ? order : Service.CompareTo(other.Service);
        }
    }
}
