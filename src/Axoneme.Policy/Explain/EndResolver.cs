// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy.Explain;

/// <summary>What a user means by <c>shop/cart</c>, <c>10.0.0.7</c>, <c>api.example.com</c> or <c>world</c>.</summary>
public sealed class EndResolver(ClusterModel model)
{
    private const int Suggestions = 3;

    /// <summary>One end, of a pod, workload, address, name or entity.</summary>
    /// <exception cref="UnknownEndException">There is no such thing.</exception>
    public TrafficEnd Resolve(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Length == 0)
            throw new UnknownEndException("an end is empty: give NAMESPACE/POD, an address, a DNS name or an entity such as world");
        if (IpAddress.TryParse(text, out IpAddress address))
            return OfAddress(address);
        if (SecurityIdentity.ReservedNames.FirstOrDefault(r => r.Value == text) is { Value: not null, Key: > 0 } reserved)
            return OfEntity(text, new SecurityIdentity(reserved.Key));
        if (text.StartsWith("node/", StringComparison.Ordinal) || model.FindNode(text) is not null)
            return OfNode(FindNode(text.StartsWith("node/", StringComparison.Ordinal) ? text[5..] : text));
        string plain = text.StartsWith("pod/", StringComparison.Ordinal) ? text[4..] : text;
        int slash = plain.IndexOf('/', StringComparison.Ordinal);
        if (slash > 0)
            return OfPod(FindPod(new ResourceName(plain[..slash], plain[(slash + 1)..])));
        if (text.Contains('.', StringComparison.Ordinal) && slash < 0)
            return new TrafficEnd { Kind = TrafficEndKind.DnsName, Name = text.TrimEnd('.'), Identity = model.IdentityOfName(text.TrimEnd('.')) };
        throw new UnknownEndException($"'{text}' has no namespace: give NAMESPACE/POD{DidYouMean(model.Pods.Keys.Where(n => n.Name == text || n.Name.StartsWith(text + "-", StringComparison.Ordinal)))}");
    }

    /// <summary>The service of that name or address; null when the text means something else.</summary>
    public Service? FindService(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        IEnumerable<Service> services = model.Objects.Of<Service>();
        if (IpAddress.TryParse(text, out IpAddress address))
            return services.FirstOrDefault(s => AddressesOf(s).Contains(address));
        string[] dns = text.TrimEnd('.').Split('.');
        if (dns.Length >= 3 && dns[2] == "svc")
            return Require(new ResourceName(dns[1], dns[0]));
        bool isExplicit = text.StartsWith("svc/", StringComparison.Ordinal) || text.StartsWith("service/", StringComparison.Ordinal);
        string plain = isExplicit ? text[(text.IndexOf('/', StringComparison.Ordinal) + 1)..] : text;
        string[] parts = plain.Split('/');
        if (parts.Length != 2)
            return isExplicit ? throw new UnknownEndException($"'{text}' is not svc/NAMESPACE/NAME") : null;
        var name = new ResourceName(parts[0], parts[1]);
        if (isExplicit)
            return Require(name);
        return IsPodName(name) ? null : services.FirstOrDefault(s => s.ResourceName == name);

        Service Require(ResourceName wanted) => services.FirstOrDefault(s => s.ResourceName == wanted)
            ?? throw new UnknownEndException($"there is no service {wanted}{DidYouMean(Nearest(wanted, services.Select(s => s.ResourceName)))}");
    }

    public TrafficEnd OfAddress(IpAddress address)
    {
        if (model.FindPod(address) is { } pod)
            return OfPod(pod) with { Address = address };
        if (model.FindNode(address) is { } node)
            return OfNode(node, address);
        if (model.IsApiServer(address))
            return new TrafficEnd { Kind = TrafficEndKind.Entity, Name = "kube-apiserver", Address = address, Identity = SecurityIdentity.KubeApiServer };
        return new TrafficEnd { Kind = TrafficEndKind.Address, Name = address.ToString(), Address = address, Identity = model.IdentityOf(address) };
    }

    /// <param name="node">Known or not: then nothing but its name is.</param>
    /// <param name="address">By which it is reached; null: its first.</param>
    public TrafficEnd OfNode(ClusterNode node, IpAddress? address = null)
    {
        ArgumentNullException.ThrowIfNull(node);
        address ??= node.Addresses.IsEmpty ? null : node.Addresses[0];
        return new TrafficEnd
        {
            Kind = TrafficEndKind.Node,
            Name = $"node {node.Name}",
            Node = node.Name,
            NodeLabels = node.Labels,
            Address = address,
            Identity = model.IdentityOf(node, address),
        };
    }

    /// <summary>A pod on the network of its node is its node, to policy.</summary>
    public TrafficEnd OfPod(ClusterPod pod)
    {
        ArgumentNullException.ThrowIfNull(pod);
        IpAddress? address = pod.Addresses.IsEmpty ? null : pod.Addresses[0];
        return pod.HostNetwork
            ? OfNode(model.FindNode(pod.Node) ?? new ClusterNode(pod.Node, null, [], false), address) with { Name = $"{pod.Name} (on the network of its node)" }
            : new TrafficEnd { Kind = TrafficEndKind.Pod, Name = pod.Name.ToString(), Pod = pod, Node = pod.Node, Address = address, Identity = pod.Identity };
    }

    public static IEnumerable<IpAddress> AddressesOf(Service service)
    {
        ArgumentNullException.ThrowIfNull(service);
        IEnumerable<string?> texts = (service.Spec.ClusterIPs ?? []).Append(service.Spec.ClusterIP).Concat(service.Spec.ExternalIPs ?? [])
            .Concat((service.Status.LoadBalancer?.Ingress ?? []).Select(i => i.Ip));
        return texts.Select(t => IpAddress.TryParse(t, out IpAddress a) ? a : (IpAddress?)null).OfType<IpAddress>().Distinct();
    }

    // Where both families are on, nothing has the identity of the whole world.
    private TrafficEnd OfEntity(string name, SecurityIdentity identity) => new()
    {
        Kind = TrafficEndKind.Entity,
        Name = name,
        Identity = identity == SecurityIdentity.World && model.Objects.Options.DualStack ? SecurityIdentity.WorldIPv4 : identity,
    };

    private bool IsPodName(ResourceName name) => model.Pods.TryGetValue(name, out ClusterPod? pod) && pod.Workload.Length == 0;

    private ClusterNode FindNode(string name)
    {
        if (model.FindNode(name) is { } node)
            return node;
        // Pods say where they run, whether or not their node is among the objects.
        if (model.Pods.Values.Any(p => p.Node == name && name.Length > 0))
            return new ClusterNode(name, null, [], false);
        string[] near = [.. model.Nodes.Select(n => n.Name).OrderBy(n => Distance(n, name)).ThenBy(n => n, StringComparer.Ordinal).Take(Suggestions)];
        throw new UnknownEndException($"there is no node {name}{(near.Length > 0 ? $"; there is {string.Join(", ", near)}" : ": no Node object is known")}");
    }

    // A deployment is often meant by what its pods begin with.
    private ClusterPod FindPod(ResourceName name)
    {
        if (model.Pods.TryGetValue(name, out ClusterPod? found))
            return found;
        ClusterPod? replica = model.Pods.Values.Where(p => p.Name.Namespace == name.Namespace && IsReplicaOf(p.Name.Name, name.Name))
            .OrderBy(p => p.Name).FirstOrDefault();
        if (replica is not null)
            return replica;
        bool hasNamespace = model.Objects.Of<Namespace>().Any(n => n.Metadata.Name == name.Namespace) || model.Pods.Keys.Any(n => n.Namespace == name.Namespace);
        if (hasNamespace)
            throw new UnknownEndException($"there is no pod {name}{DidYouMean(Nearest(name, model.Pods.Keys))}");
        IEnumerable<string> spaces = model.Pods.Keys.Select(n => n.Namespace).Distinct();
        string[] near = [.. spaces.OrderBy(s => Distance(s, name.Namespace)).ThenBy(s => s, StringComparer.Ordinal).Take(Suggestions)];
        throw new UnknownEndException($"there is no namespace {name.Namespace} with pods{(near.Length > 0 ? $"; there is {string.Join(", ", near)}" : "")}");
    }

    // cart -> cart-5d8f7c9b4-x2x7z, cart-0, cart-x2x7z: names that end in what controllers append.
    private static bool IsReplicaOf(string pod, string workload)
        => pod.StartsWith(workload + "-", StringComparison.Ordinal)
            && pod[(workload.Length + 1)..].Split('-') is { Length: 1 or 2 } suffix && suffix.All(s => s.Length > 0 && (s.Any(char.IsAsciiDigit) || s.Length == 5));

    private static IEnumerable<ResourceName> Nearest(ResourceName wanted, IEnumerable<ResourceName> names)
        => names.Select(n => (Name: n, Distance: Distance(n.ToString(), wanted.ToString())))
            .Where(n => n.Distance <= Math.Max(3, wanted.ToString().Length / 2) || n.Name.Name == wanted.Name)
            .OrderBy(n => n.Distance).ThenBy(n => n.Name).Select(n => n.Name).Take(Suggestions);

    private static string DidYouMean(IEnumerable<ResourceName> names)
    {
        string list = string.Join(", ", names.Take(Suggestions));
        return list.Length == 0 ? "" : $"; did you mean {list}?";
    }

    // Levenshtein: insertions, deletions and replacements of characters.
    private static int Distance(string a, string b)
    {
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int above = row[j];
                row[j] = Math.Min(Math.Min(row[j] + 1, row[j - 1] + 1), diagonal + (a[i - 1] == b[j - 1] ? 0 : 1));
                diagonal = above;
            }
        }

        return row[b.Length];
    }
}
