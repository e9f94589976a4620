// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>The services of the cluster as rules see them. Read at each translation, so that nothing is kept twice.</summary>
public interface IServiceDirectory
{
    /// <summary>Null when there is no such service.</summary>
    Service? Find(ResourceName name);

    /// <summary>Of all namespaces, in any order.</summary>
    IEnumerable<Service> All { get; }

    /// <summary>Endpoint addresses of a service that selects no pods.</summary>
    IEnumerable<IpAddress> AddressesOf(ResourceName service);
}

/// <summary>A cluster without services.</summary>
internal sealed class NoServices : IServiceDirectory
{
    public static readonly NoServices Instance = new();

    public IEnumerable<Service> All => [];

    public Service? Find(ResourceName name) => null;

    public IEnumerable<IpAddress> AddressesOf(ResourceName service) => [];
}

/// <summary>What a translation looked at besides its own object; when that changes, it has to be done again.</summary>
internal sealed class PolicyReferences
{
    public bool CidrGroups { get; set; }

    /// <summary>Rules choose services by label, so each of them matters.</summary>
    public bool AllServices { get; set; }

    public HashSet<ResourceName> Services { get; } = [];

    public bool IsEmpty => !CidrGroups && !AllServices && Services.Count == 0;

    public bool Mention(ResourceName service) => AllServices || Services.Contains(service);
}

/// <summary>
/// Services as peers: those that select pods stand for these pods, the others for the addresses of their endpoints, as far as they are outside
/// the cluster. Ports are those of the rule; those of the service say nothing.
/// </summary>
internal static class ServicePeers
{
    public static IEnumerable<IdentitySelector> Translate(TranslationContext context, string path, PeerService peer)
    {
        if (peer.K8sService is null == peer.K8sServiceSelector is null)
        {
            context.Error(path, "must have exactly one of k8sService, k8sServiceSelector");
            return [];
        }

        return peer.K8sService is { } name
            ? ByName(context, $"{path}.k8sService", name)
            : BySelector(context, $"{path}.k8sServiceSelector", peer.K8sServiceSelector!);
    }

    private static IEnumerable<IdentitySelector> ByName(TranslationContext context, string path, PeerServiceByName reference)
    {
        if (reference.ServiceName is not { Length: > 0 } name)
        {
            context.Error($"{path}.serviceName", "is missing");
            return [];
        }

        string ns = reference.Namespace is { Length: > 0 } written ? written : context.Key.Namespace;
        if (ns.Length == 0)
        {
            context.Warn($"{path}.namespace", "is missing, and the policy has none; selects nobody");
            return [];
        }

        var service = new ResourceName(ns, name);
        context.References.Services.Add(service);
        return context.Services.Find(service) is { } found ? Selectors(context, found) : [];
    }

    private static IEnumerable<IdentitySelector> BySelector(TranslationContext context, string path, PeerServiceBySelector reference)
    {
        SelectorTranslation.Requirements(context, $"{path}.selector", reference.Selector, Label.Any);
        context.References.AllServices = true;
        return context.Services.All
            .Where(s => string.IsNullOrEmpty(reference.Namespace) || s.Metadata.Namespace == reference.Namespace)
            .Where(s => reference.Selector.Matches(s.Metadata.Labels))
            .OrderBy(s => s.ResourceName)
            .SelectMany(s => Selectors(context, s));
    }

    private static IEnumerable<IdentitySelector> Selectors(TranslationContext context, Service service)
    {
        // A name for something elsewhere has neither pods nor addresses, whatever else it says.
        if (service.Spec.Type == "ExternalName")
            return [];
        if (service.Spec.Selector is not { Count: > 0 } pods)
            return context.Services.AddressesOf(service.ResourceName).Distinct().Order().Select(a => new CidrSelector(IpPrefix.Single(a)));
        List<LabelRequirement> requirements =
        [
            .. pods.Select(p => LabelRequirement.Equal(Label.Kubernetes, p.Key, p.Value)),
            SelectorTranslation.InNamespace(service.Metadata.Namespace),
        ];
        return [SelectorTranslation.InLocalCluster(context, requirements)];
    }
}
