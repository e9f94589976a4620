// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

/// <summary>A service with its slices and the policies that redirect it.</summary>
internal sealed class ServiceState(ResourceName name, CatalogOptions options, NodeReference node)
    : FrontendOwner(new CatalogObject(CatalogObjectKind.Service, name))
{
    // Reused for every port: commits run one at a time.
    [ThreadStatic]
    private static BackendChoice? _choice;

    private ImmutableArray<SliceContents> _slices = [];
    private ImmutableArray<PortBackends> _ports = [];
    private ImmutableArray<string> _overflows = [];

    /// <summary>Null while only slices of it are known.</summary>
    public Service? Service { get; private set; }

    public ServiceSpecification? Specification { get; private set; }

    /// <summary>Policies that want the service, the first one first.</summary>
    public ImmutableArray<RedirectPolicy> Redirects { get; set; } = [];

    public bool IsEmpty => Service is null && _slices.IsEmpty && Redirects.IsEmpty;

    public override string Field => "spec.ports";

    public override IEnumerable<string> OwnProblems
        => Specification is null ? [] : [.. Specification.Problems, .. _slices.SelectMany(s => s.Problems), .. _overflows];

    public void Specify(Service? service)
    {
        Service = service;
        Created = service?.Metadata.CreationTimestamp ?? DateTimeOffset.MaxValue;
        Specification = service is null ? null : ServiceSpecification.From(service, options, node.Facts);
    }

    /// <summary>Adds or replaces the slice.</summary>
    public void Set(SliceContents slice)
    {
        Remove(slice.Name);
        // In one order, so that the first of two equal mentions of an endpoint is the same one after a restart.
        int at = 0;
        while (at < _slices.Length && _slices[at].Name.CompareTo(slice.Name) < 0)
            at++;
        _slices = _slices.Insert(at, slice);
    }

    public void Remove(ResourceName slice) => _slices = _slices.RemoveAll(s => s.Name == slice);

    public override void Refresh()
    {
        _overflows = [];
        if (Specification is not { } specification || Wanted.IsEmpty)
        {
            _ports = [];
            return;
        }

        var ports = ImmutableArray.CreateBuilder<PortBackends>(1);
        foreach (WantedFrontend wanted in Wanted.Where(w => !w.IsHealthCheck))
        {
            var key = PortKey.Of(wanted);
            if (!ports.Any(p => p.Key == key))
                ports.Add(Compute(key, specification));
        }

        _ports = ports.DrainToImmutable();
    }

    public override Frontend? Build(WantedFrontend wanted)
    {
        ServiceSpecification specification = Specification!;
        if (wanted.IsHealthCheck)
            return BuildHealthCheck(wanted);
        (BackendSet inside, BackendSet outside) = SetsOf(wanted);
        var frontend = new Frontend
        {
            Address = wanted.Address,
            Type = wanted.Type,
            Service = About.Name,
            PortName = wanted.PortName,
            AppProtocol = wanted.AppProtocol,
            Inside = inside,
            Outside = outside,
            InternalTrafficPolicy = specification.InternalTrafficPolicy,
            ExternalTrafficPolicy = specification.ExternalTrafficPolicy,
            AffinityTimeoutSeconds = specification.AffinityTimeoutSeconds,
            ChecksSource = specification.SourceRanges is not null && HasSourceRanges(wanted),
            DenySourceRanges = specification.Annotations.DenySourceRanges && HasSourceRanges(wanted),
            SourceRanges = HasSourceRanges(wanted) ? RangesOf(specification, wanted.Address.Address.IsV6) : [],
            Selection = SelectionOf(wanted),
            Forwarding = ForwardingOf(wanted),
            DelegatesToNode = specification.Annotations.DelegatesToNode,
            HealthCheckNodePort = specification.HealthCheckNodePort,
            LoadBalancerClass = specification.LoadBalancerClass,
        };
        return Redirect(wanted, frontend) ?? frontend;
    }

    // The node answers on all of its addresses; which one is meant does not matter to it.
    private Frontend? BuildHealthCheck(WantedFrontend wanted)
    {
        foreach (IpAddress own in node.Facts.NodePortAddresses)
        {
            if (own.IsV6 != wanted.Address.Address.IsV6)
                continue;
            var set = new BackendSet([new Backend(wanted.Address with { Address = own }, BackendState.Active, options.NodeName, "")], 1);
            return new Frontend
            {
                Address = wanted.Address,
                Type = wanted.Type,
                Service = new ResourceName(About.Name.Namespace, $"{About.Name.Name}-healthCheck"),
                Inside = set,
                Outside = set,
            };
        }

        return null;
    }

    private Frontend? Redirect(WantedFrontend wanted, Frontend frontend)
    {
        if (wanted.Type != FrontendType.ClusterIP)
            return null;
        foreach (RedirectPolicy policy in Redirects)
        {
            BackendSet set = policy.BackendsFor(wanted);
            if (set.UsableCount == 0)
                continue;
            return frontend with
            {
                Type = FrontendType.LocalRedirect,
                RedirectPolicy = policy.About.Name,
                Inside = set,
                Outside = set,
                AffinityTimeoutSeconds = null,
                Selection = BackendSelection.Random,
                Forwarding = ForwardingMode.Snat,
                DelegatesToNode = false,
            };
        }

        return null;
    }

    private (BackendSet Inside, BackendSet Outside) SetsOf(WantedFrontend wanted)
    {
        var key = PortKey.Of(wanted);
        PortBackends port = _ports.First(p => p.Key == key);
        BackendSet inside = Specification!.InternalTrafficPolicy == TrafficPolicy.Local ? port.Local : port.Cluster;
        if (wanted.Type == FrontendType.ClusterIP || wanted.Address.Address.Number == 0)
            return (inside, inside);
        BackendSet outside = Specification.ExternalTrafficPolicy == TrafficPolicy.Local ? port.Local : port.Cluster;
        return (inside, inside.Equals(outside) ? inside : outside);
    }

    private PortBackends Compute(PortKey key, ServiceSpecification specification)
    {
        BackendChoice choice = _choice ??= new BackendChoice();
        choice.Clear();
        foreach (SliceContents slice in _slices)
        {
            if (slice.IsV6 != key.IsV6)
                continue;
            foreach (SlicePortNumber port in slice.Ports)
            {
                if (port.Name != key.Name || port.Protocol != key.Protocol)
                    continue;
                foreach (EndpointContents endpoint in slice.Endpoints)
                    choice.Add(endpoint, port, slice.Weight);
            }
        }

        choice.RemoveDuplicates();
        if (choice.Count > BackendSet.MaximalCount)
            _overflows = _overflows.Add($"port '{key.Name}': {choice.Count} endpoints, of which {BackendSet.MaximalCount} are used");
        bool onlyLocal = specification is { InternalTrafficPolicy: TrafficPolicy.Local, ExternalTrafficPolicy: TrafficPolicy.Local };
        bool anyLocal = specification.InternalTrafficPolicy == TrafficPolicy.Local || specification.ExternalTrafficPolicy == TrafficPolicy.Local;
        PortBackends? before = _ports.FirstOrDefault(p => p.Key == key);
        string? zone = options.ServiceTopology ? node.Facts.Zone : null;
        return new PortBackends(
            key,
            onlyLocal ? BackendSet.Empty : Same(choice.Cluster(options.NodeName, zone), before?.Cluster),
            anyLocal ? Same(choice.Local(options.NodeName), before?.Local) : BackendSet.Empty);
    }

    // An equal set stays the same instance, so that frontends are compared quickly and memory is shared.
    private static BackendSet Same(BackendSet next, BackendSet? before) => next.Equals(before) ? before : next;

    private bool HasSourceRanges(WantedFrontend wanted)
        => wanted.Type is FrontendType.LoadBalancer or FrontendType.ExternalIPs
            || (options.SourceRangesForAllTypes && wanted.Address.Address.Number != 0
                && (wanted.Type != FrontendType.ClusterIP || options.ExternalClusterIP));

    private static ImmutableArray<IpPrefix> RangesOf(ServiceSpecification specification, bool isV6)
    {
        if (specification.SourceRanges is not { IsEmpty: false } ranges)
            return [];
        return ranges.All(r => r.IsV6 == isV6) ? ranges : [.. ranges.Where(r => r.IsV6 == isV6)];
    }

    private BackendSelection SelectionOf(WantedFrontend wanted)
    {
        // Sockets choose at random: before a connection has a port of its own, all of a client's would have one hash.
        bool isForOutside = wanted.Address.Address.Number != 0 && (wanted.Type != FrontendType.ClusterIP || options.ExternalClusterIP);
        return isForOutside ? Specification!.Annotations.Selection ?? options.DefaultSelection : BackendSelection.Random;
    }

    private ForwardingMode ForwardingOf(WantedFrontend wanted)
    {
        if (Specification!.Annotations.Forwarding is { } chosen)
            return chosen;
        return options.DefaultForwarding switch
        {
            DefaultForwarding.Dsr => ForwardingMode.Dsr,
            DefaultForwarding.Hybrid when wanted.Address.Protocol == L4Protocol.Tcp => ForwardingMode.Dsr,
            _ => ForwardingMode.Snat,
        };
    }

    private readonly record struct PortKey(string Name, L4Protocol Protocol, bool IsV6)
    {
        public static PortKey Of(WantedFrontend wanted) => new(wanted.PortName, wanted.Address.Protocol, wanted.Address.Address.IsV6);
    }

    private sealed record PortBackends(PortKey Key, BackendSet Cluster, BackendSet Local);
}
