// SPDX-License-Identifier: Apache-2.0
using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

/// <summary>
/// Services, endpoint slices, pods with host ports and local redirect policies as frontends. Events are taken one by one; <see cref="Commit"/>
/// returns what they changed together, and costs as much as the objects that they are about. Where several objects want one address, port and
/// protocol, the oldest has it and the others are told. Not thread-safe: one owner calls it; what it returns is immutable.
/// </summary>
public sealed class ServiceCatalog
{
    private readonly CatalogOptions _options;
    private readonly StringPool _strings = new();
    private readonly Dictionary<ResourceName, ServiceState> _services = [];
    private readonly Dictionary<ResourceName, SliceContents> _slices = [];
    private readonly Dictionary<ResourceName, HostPortPod> _hostPorts = [];
    private readonly RedirectPolicies _redirects;
    private readonly FrontendClaims _claims = new();
    private readonly AddressGuards _guards;
    private readonly CatalogPublisher _publisher;

    // Since the last commit: objects whose frontends have to be computed again, and addresses whose owners have changed.
    private readonly HashSet<FrontendOwner> _dirty = [];
    private readonly HashSet<L4Address> _touched = [];

    private readonly HashSet<L4Address> _listeners = [];
    private readonly NodeReference _node = new();
    private FrozenSet<IpAddress> _otherNodes = [];

    public ServiceCatalog(CatalogOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        _guards = new AddressGuards(IsOfNode);
        _redirects = new RedirectPolicies(options);
        _publisher = new CatalogPublisher(_claims, _guards, _redirects, IsListenedOn);
    }

    public IEnumerable<Frontend> Frontends => _claims.Frontends;

    public Frontend? Find(L4Address address) => _claims.Find(address)?.Frontend;

    /// <summary>All that was wrong with an object at the last commit, and which of its addresses another object has.</summary>
    public ImmutableArray<string> ProblemsOf(CatalogObject about) => _publisher.ProblemsOf(about);

    public void Upsert(Service service)
    {
        ArgumentNullException.ThrowIfNull(service);
        Specify(service.ResourceName, service);
    }

    public void DeleteService(ResourceName name)
    {
        if (_services.ContainsKey(name))
            Specify(name, null);
    }

    public void Upsert(EndpointSlice slice)
    {
        ArgumentNullException.ThrowIfNull(slice);
        Replace(slice.ResourceName, SliceContents.From(slice, _strings));
    }

    public void DeleteSlice(ResourceName name) => Replace(name, null);

    public void Upsert(LocalPod pod)
    {
        ArgumentNullException.ThrowIfNull(pod);
        if (!_redirects.Upsert(pod, out IReadOnlyList<RedirectPolicy> affected))
            return;
        MarkRedirects(affected);
        SetHostPorts(pod.Name, pod);
    }

    public void DeletePod(ResourceName name)
    {
        MarkRedirects(_redirects.DeletePod(name));
        SetHostPorts(name, null);
    }

    public void Upsert(CiliumLocalRedirectPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        if (!_options.LocalRedirectPolicies)
            return;
        if (_redirects.FindChanged(policy) is { } present)
        {
            _dirty.Add(present);
            return;
        }

        DeleteRedirectPolicy(policy.ResourceName);
        RedirectPolicy added = _redirects.Add(policy);
        Claim(added, added.NextWanted);
        MarkRedirects([added]);
    }

    public void DeleteRedirectPolicy(ResourceName name)
    {
        if (_redirects.Remove(name) is not { } policy)
            return;
        Claim(policy, []);
        if (policy.Specification.Service is { } service)
            SetRedirects(service);
        _publisher.Forget(policy);
        _dirty.Remove(policy);
    }

    /// <summary>Everything that depends on the node is computed again, so this costs as much as all services together.</summary>
    public void SetNode(NodeFacts node)
    {
        ArgumentNullException.ThrowIfNull(node);
        NodeFacts before = _node.Facts;
        _node.Facts = node;
        foreach (IpAddress address in before.Addresses.Concat(node.Addresses))
            _guards.Reconsider(address);
        foreach (ServiceState state in _services.Values.ToArray())
        {
            if (state.Service is { } service)
                Specify(service.ResourceName, service);
        }

        foreach (LocalPod pod in _redirects.Pods)
            SetHostPorts(pod.Name, pod);
        foreach (L4Address address in _claims.Addresses)
        {
            if (before.Addresses.Contains(address.Address) != node.Addresses.Contains(address.Address))
                _touched.Add(address);
        }
    }

    /// <summary>Addresses of the cluster's other nodes.</summary>
    public void SetOtherNodes(IEnumerable<IpAddress> addresses)
    {
        FrozenSet<IpAddress> before = _otherNodes;
        _otherNodes = addresses.ToFrozenSet();
        foreach (IpAddress address in before.Except(_otherNodes).Concat(_otherNodes.Except(before)))
            _guards.Reconsider(address);
    }

    /// <summary>
    /// A process of the node itself listens, or no longer does. A frontend on one of the node's addresses that would take such a port away is
    /// withheld.
    /// </summary>
    /// <param name="listener">0.0.0.0 and :: stand for all addresses of the family.</param>
    public void SetListener(L4Address listener, bool isThere)
    {
        if (!(isThere ? _listeners.Add(listener) : _listeners.Remove(listener)))
            return;
        foreach (IpAddress address in _node.Facts.Addresses.Append(Surrogates.Of(isV6: false)).Append(Surrogates.Of(isV6: true)))
        {
            if (_claims.Find(listener with { Address = address }) is not null)
                _touched.Add(listener with { Address = address });
        }
    }

    /// <summary>Computes what the events since the last commit changed.</summary>
    public CatalogChange Commit()
    {
        if (_dirty.Count == 0 && _touched.Count == 0 && !_guards.HasChanges && !_publisher.HasForgotten)
            return CatalogChange.None;
        foreach (FrontendOwner owner in _dirty)
        {
            owner.Refresh();
            foreach (WantedFrontend wanted in owner.Wanted)
                _touched.Add(wanted.Address);
        }

        CatalogChange change = _publisher.Publish(_touched, _dirty);
        foreach (L4Address address in _touched)
            _claims.Trim(address);
        _dirty.Clear();
        _touched.Clear();
        return change;
    }

    private void Specify(ResourceName name, Service? service)
    {
        ServiceState state = StateOf(name);
        ImmutableArray<WantedFrontend> held = state.Wanted;
        bool sameAge = (service?.Metadata.CreationTimestamp ?? DateTimeOffset.MaxValue) == state.Created;
        if (!sameAge)
            Claim(state, []);
        state.Specify(service);
        ImmutableArray<WantedFrontend> next = state.Specification?.Frontends ?? [];
        if (!sameAge || !next.AsSpan().SequenceEqual(held.AsSpan()))
            Claim(state, next);
        _dirty.Add(state);
        Forget(name, state);
    }

    private void Replace(ResourceName name, SliceContents? contents)
    {
        if (_slices.Remove(name, out SliceContents? old) && old.Service != contents?.Service)
        {
            ServiceState owner = StateOf(old.Service);
            owner.Remove(name);
            _dirty.Add(owner);
            Forget(old.Service, owner);
        }

        if (contents is not null)
        {
            _slices[name] = contents;
            ServiceState owner = StateOf(contents.Service);
            owner.Set(contents);
            _dirty.Add(owner);
        }
    }

    private void SetHostPorts(ResourceName name, LocalPod? pod)
    {
        if (!_options.ServeOutside)
            return;
        if (_hostPorts.Remove(name, out HostPortPod? old))
        {
            Claim(old, []);
            _publisher.Forget(old);
            _dirty.Remove(old);
        }

        if (pod is null || pod.HostPorts.IsEmpty)
            return;
        var next = new HostPortPod(pod, _options, _node.Facts);
        _hostPorts[name] = next;
        Claim(next, next.NextWanted);
        _dirty.Add(next);
    }

    private void MarkRedirects(IEnumerable<RedirectPolicy> policies)
    {
        foreach (RedirectPolicy policy in policies)
        {
            _dirty.Add(policy);
            if (policy.Specification.Service is { } service)
                SetRedirects(service);
        }
    }

    private void SetRedirects(ResourceName service)
    {
        ServiceState state = StateOf(service);
        state.Redirects = _redirects.Of(service);
        _dirty.Add(state);
        Forget(service, state);
    }

    // Gives up what the owner had and claims what it asks for now.
    private void Claim(FrontendOwner owner, ImmutableArray<WantedFrontend> next)
    {
        foreach (WantedFrontend wanted in owner.Wanted)
        {
            _claims.Remove(owner, wanted.Address);
            _touched.Add(wanted.Address);
        }

        owner.Wanted = next;
        foreach (WantedFrontend wanted in next)
        {
            _claims.Add(owner, wanted);
            _touched.Add(wanted.Address);
        }
    }

    private bool IsOfNode(IpAddress address) => _node.Facts.Addresses.Contains(address) || _otherNodes.Contains(address);

    private bool IsListenedOn(L4Address frontend)
    {
        if (_listeners.Count == 0)
            return false;
        L4Address any = frontend with { Address = Surrogates.Of(frontend.Address.IsV6) };
        if (frontend == any)
            return _node.Facts.Addresses.Append(any.Address).Any(a => _listeners.Contains(frontend with { Address = a }));
        return _node.Facts.Addresses.Contains(frontend.Address) && (_listeners.Contains(frontend) || _listeners.Contains(any));
    }

    private ServiceState StateOf(ResourceName name)
        => CollectionsMarshal.GetValueRefOrAddDefault(_services, name, out _) ??= new ServiceState(name, _options, _node);

    private void Forget(ResourceName name, ServiceState state)
    {
        if (state.IsEmpty)
            _services.Remove(name);
    }
}
