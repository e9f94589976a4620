// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.LoadBalancing.Tests;

/// <summary>What the objects mean, computed from all of them each time and without any of the catalogue's code. IPv4 only.</summary>
internal sealed class NaiveCatalog(string nodeName, string zone)
{
    public Dictionary<ResourceName, Service> Services { get; } = [];

    public Dictionary<ResourceName, EndpointSlice> Slices { get; } = [];

    public Dictionary<ResourceName, LocalPod> Pods { get; } = [];

    public Dictionary<ResourceName, CiliumLocalRedirectPolicy> Policies { get; } = [];

    public List<string> NodePortAddresses { get; set; } = [];

    public HashSet<string> OtherNodes { get; set; } = [];

    public HashSet<string> Listeners { get; } = [];

    private sealed record Want(int Rank, DateTimeOffset Created, int Kind, string Name, string Address, int Port, string Protocol, Func<string?> Build, bool Guards);

    public SortedSet<string> Frontends()
    {
        var all = new SortedSet<string>(StringComparer.Ordinal);
        foreach ((string key, Want _, string text) in Served())
            all.Add($"{key} {text}");
        return all;
    }

    public SortedSet<string> GuardedAddresses()
        => new(Served().Where(s => s.Holder.Guards && !NodePortAddresses.Contains(s.Holder.Address) && !OtherNodes.Contains(s.Holder.Address))
            .Select(s => s.Holder.Address), StringComparer.Ordinal);

    public SortedSet<string> Exemptions()
    {
        var all = new SortedSet<string>(StringComparer.Ordinal);
        foreach ((string key, Want _, string text) in Served())
        {
            foreach (CiliumLocalRedirectPolicy policy in Policies.Values)
            {
                if (policy.Spec.SkipRedirectFromBackend != true || !text.Contains($"redirect={policy.Metadata.Name} ", StringComparison.Ordinal))
                    continue;
                foreach (LocalPod pod in Selected(policy).Where(p => !p.UsesHostNetwork))
                    all.Add($"{pod.Name.Name} {key}");
            }
        }

        return all;
    }

    private IEnumerable<(string Key, Want Holder, string Text)> Served()
    {
        IEnumerable<Want> wants = Services.Values.SelectMany(OfService).Concat(Pods.Values.SelectMany(OfPod)).Concat(Policies.Values.SelectMany(OfPolicy));
        foreach (IGrouping<string, Want> group in wants.GroupBy(w => $"{w.Address}:{w.Port}/{w.Protocol}"))
        {
            if (IsListenedOn(group.First()))
                continue;
            foreach (Want want in group.OrderBy(w => w.Rank).ThenBy(w => w.Created).ThenBy(w => w.Kind).ThenBy(w => w.Name, StringComparer.Ordinal))
            {
                if (want.Build() is not { } text)
                    continue;
                yield return (group.Key, want, text);
                break;
            }
        }
    }

    private bool IsListenedOn(Want want) => Listeners.Any(l =>
    {
        string[] parts = l.Split(':', '/');
        bool samePort = parts[1] == want.Port.ToString() && parts[2] == want.Protocol;
        bool any = parts[0] == "0.0.0.0" || want.Address == "0.0.0.0";
        bool nodeLocal = want.Address == "0.0.0.0" || NodePortAddresses.Contains(want.Address);
        return samePort && nodeLocal && (any ? parts[0] == "0.0.0.0" || NodePortAddresses.Contains(parts[0]) : parts[0] == want.Address);
    });

    private IEnumerable<Want> OfService(Service service)
    {
        ServiceSpec spec = service.Spec;
        var seen = new HashSet<string>();
        bool outer = spec.Type is "NodePort" or "LoadBalancer";
        foreach (ServicePort port in spec.Ports!)
        {
            var addresses = new List<(string Address, int Port, FrontendType Type)> { (spec.ClusterIP!, port.Port, FrontendType.ClusterIP) };
            if (spec.Type == "LoadBalancer")
                addresses.AddRange(service.Status.LoadBalancer!.Ingress!.Where(i => i.IpMode != "Proxy").Select(i => (i.Ip!, port.Port, FrontendType.LoadBalancer)));
            addresses.AddRange((spec.ExternalIPs ?? []).Select(e => (e, port.Port, FrontendType.ExternalIPs)));
            if (outer && port.NodePort is { } number)
                addresses.AddRange(NodePortAddresses.Append("0.0.0.0").Select(a => (a, number, FrontendType.NodePort)));
            foreach ((string address, int frontendPort, FrontendType type) in addresses)
            {
                if (!seen.Add($"{address}:{frontendPort}/{port.Protocol}"))
                    continue;
                yield return new Want(
                    0, service.Metadata.CreationTimestamp!.Value, 0, service.Metadata.Name, address, frontendPort, port.Protocol!,
                    () => Describe(service, port, type, address == "0.0.0.0"), type != FrontendType.NodePort);
            }
        }
    }

    private string Describe(Service service, ServicePort port, FrontendType type, bool isSurrogate)
    {
        if (type == FrontendType.ClusterIP)
        {
            foreach (CiliumLocalRedirectPolicy policy in Policies.Values
                .Where(p => p.Spec.RedirectFrontend.ServiceMatcher?.ServiceName == service.Metadata.Name)
                .OrderBy(p => p.Metadata.CreationTimestamp).ThenBy(p => p.Metadata.Name, StringComparer.Ordinal))
            {
                if (Redirected(policy, port.Protocol!) is { } set)
                    return $"LocalRedirect {service.Metadata.Name} redirect={policy.Metadata.Name} in {set} out {set}";
            }
        }

        string inside = Backends(service, port, service.Spec.InternalTrafficPolicy == "Local");
        string outside = type == FrontendType.ClusterIP || isSurrogate ? inside : Backends(service, port, service.Spec.ExternalTrafficPolicy == "Local");
        return $"{type} {service.Metadata.Name} redirect= in {inside} out {outside}";
    }

    private string Backends(Service service, ServicePort port, bool local)
    {
        var mentions = (
            from slice in Slices.Values.OrderBy(s => s.ResourceName)
            where slice.Metadata.Labels!["kubernetes.io/service-name"] == service.Metadata.Name
            from slicePort in slice.Ports!
            where slicePort.Name == port.Name && slicePort.Protocol == port.Protocol
            from endpoint in slice.Endpoints!
            let c = endpoint.Conditions!
            let rank = c.Ready == true ? 0 : c.Terminating != true ? 3 : c.Serving == true ? 1 : 2
            select (Address: IpAddress.Parse(endpoint.Addresses![0]), Port: slicePort.Port!.Value, Rank: rank, Endpoint: endpoint,
                Weight: int.Parse(slice.Metadata.Annotation("service.cilium.io/weight") ?? "100"))).ToList();
        var once = mentions.GroupBy(m => (m.Address, m.Port)).Select(g => g.OrderBy(m => m.Rank).First()).ToList();
        if (local)
        {
            once = [.. once.Where(m => m.Endpoint.NodeName == nodeName)];
        }
        else
        {
            var ready = once.Where(m => m.Rank == 0).ToList();
            bool hinted = ready.Count > 0 && ready.All(m => m.Endpoint.Hints?.ForZones is { Count: > 0 })
                && ready.Exists(m => m.Endpoint.Hints!.ForZones!.Any(z => z.Name == zone));
            if (hinted)
                once = [.. once.Where(m => m.Rank != 0 || m.Endpoint.Hints!.ForZones!.Any(z => z.Name == zone))];
        }

        int usable = once.Exists(m => m.Rank == 0 && m.Weight > 0) ? 0 : 1;
        // Usable ones, then those that leave, then those that rest.
        var ordered = once.Select(m => (m.Address, m.Port, Group: m.Rank == usable && m.Weight > 0 ? 0 : m.Rank is 1 or 2 ? 1 : 2, m.Rank, m.Weight))
            .OrderBy(m => m.Group).ThenBy(m => m.Address).ThenBy(m => m.Port).ToList();
        string State(int rank, int weight) => rank is 1 or 2 ? "Terminating" : rank == 0 && weight > 0 ? "Active" : "Maintenance";
        return $"{ordered.Count(m => m.Group == 0)} of " + string.Join(',', ordered.Select(m => $"{m.Address}:{m.Port}:{State(m.Rank, m.Weight)}"));
    }

    private IEnumerable<Want> OfPod(LocalPod pod)
    {
        foreach (PodHostPort port in pod.HostPorts)
        {
            IEnumerable<string> addresses = port.HostIP switch
            {
                "" => NodePortAddresses.Append("0.0.0.0"),
                "127.0.0.1" => ["0.0.0.0"],
                _ => [port.HostIP],
            };
            string? target = pod.Addresses.IsEmpty ? null
                : $"1 of {pod.Addresses[0]}:{port.ContainerPort}:{(pod.IsTerminating ? "Terminating" : "Active")}";
            foreach (string address in pod.Addresses.IsEmpty ? [] : addresses)
            {
                yield return new Want(
                    pod.IsTerminating ? 1 : 0, pod.Created, 1, pod.Name.Name, address, port.HostPort, port.Protocol,
                    () => $"HostPort {pod.Name.Name}:host-port:{port.HostPort} redirect= in {target} out {target}", false);
            }
        }
    }

    private IEnumerable<Want> OfPolicy(CiliumLocalRedirectPolicy policy)
    {
        if (policy.Spec.RedirectFrontend.AddressMatcher is not { } matcher)
            yield break;
        foreach (RedirectPort port in matcher.ToPorts!)
        {
            yield return new Want(
                2, policy.Metadata.CreationTimestamp!.Value, 2, policy.Metadata.Name, matcher.Ip, int.Parse(port.Port), port.Protocol,
                () => Redirected(policy, port.Protocol) is { } set
                    ? $"LocalRedirect {policy.Metadata.Name}:local-redirect redirect={policy.Metadata.Name} in {set} out {set}" : null,
                false);
        }
    }

    // The policies of the test have one backend port.
    private string? Redirected(CiliumLocalRedirectPolicy policy, string protocol)
    {
        RedirectPort target = policy.Spec.RedirectBackend.ToPorts![0];
        if (target.Protocol != protocol)
            return null;
        var pods = Selected(policy).Where(p => !p.Addresses.IsEmpty)
            .Select(p => (Address: p.Addresses[0], Rank: !p.IsReady ? 3 : p.IsTerminating ? 1 : 0))
            .GroupBy(p => p.Address).Select(g => g.OrderBy(p => p.Rank).First()).ToList();
        int usable = pods.Exists(p => p.Rank == 0) ? 0 : 1;
        if (!pods.Exists(p => p.Rank == usable))
            return null;
        var ordered = pods.OrderBy(p => p.Rank == usable ? 0 : p.Rank == 1 ? 1 : 2).ThenBy(p => p.Address);
        return $"{pods.Count(p => p.Rank == usable)} of "
            + string.Join(',', ordered.Select(p => $"{p.Address}:{target.Port}:{(p.Rank == 0 ? "Active" : p.Rank == 1 ? "Terminating" : "Maintenance")}"));
    }

    private IEnumerable<LocalPod> Selected(CiliumLocalRedirectPolicy policy)
        => Pods.Values.Where(p => p.Labels!.GetValueOrDefault("app") == policy.Spec.RedirectBackend.LocalEndpointSelector!.MatchLabels!["app"]);
}
