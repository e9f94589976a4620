// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

/// <summary>A local redirect policy with the pods of this node that it selects. An address matcher asks for frontends of its own.</summary>
internal sealed class RedirectPolicy : FrontendOwner
{
    private readonly List<string> _selfReferences = [];
    private ImmutableArray<LocalPod> _pods = [];

    public RedirectPolicy(CiliumLocalRedirectPolicy resource, CatalogOptions options)
        : base(new CatalogObject(CatalogObjectKind.LocalRedirectPolicy, resource.ResourceName))
    {
        Uid = resource.Metadata.Uid ?? "";
        Created = resource.Metadata.CreationTimestamp ?? DateTimeOffset.MaxValue;
        Resource = resource;
        Specification = RedirectSpecification.From(resource, options);
        if (Specification is { IsValid: true, Address: { } address } && options.Enables(address))
        {
            NextWanted =
            [
                .. Specification.FrontendPorts.Select(p =>
                    new WantedFrontend(new L4Address(address, p.Port, p.Protocol), FrontendType.LocalRedirect, p.Name) { ServicePort = p.Port }),
            ];
        }
    }

    public string Uid { get; }

    public CiliumLocalRedirectPolicy Resource { get; }

    public RedirectSpecification Specification { get; }

    /// <summary>What the policy asks for, to be claimed.</summary>
    public ImmutableArray<WantedFrontend> NextWanted { get; } = [];

    /// <summary>The policy was written anew with another specification, which the API should have refused.</summary>
    public bool WasChanged { get; set; }

    /// <summary>Frontends that go to the policy's pods now.</summary>
    public HashSet<L4Address> InForce { get; } = [];

    public HashSet<RedirectExemption> Exemptions { get; } = [];

    public override IEnumerable<string> OwnProblems
        => WasChanged
            ? [.. Specification.Problems, .. _selfReferences, "spec: cannot be changed; what was there first stays in force until the policy is deleted"]
            : [.. Specification.Problems, .. _selfReferences];

    public override string Field => "spec.redirectFrontend.addressMatcher";

    // An address of a service is the service's, however old the policy is.
    protected override int Rank => 2;

    public bool Selects(LocalPod pod)
        => Specification.IsValid && pod.Name.Namespace == About.Name.Namespace && Specification.Pods.Matches(pod.Labels);

    /// <summary>To be called when pods that it selects, or selected, have changed.</summary>
    public void SetPods(IEnumerable<LocalPod> pods)
    {
        _pods = [.. pods.Where(Selects).OrderBy(p => p.Name)];
        FindSelfReferences();
    }

    public override void Refresh()
    {
    }

    /// <summary>The pods as backends of a service's frontend; without a usable one the policy does not count.</summary>
    public BackendSet BackendsFor(WantedFrontend wanted)
    {
        if (!Specification.IsValid || Specification.TargetOf(wanted.ServicePort, wanted.Address.Protocol, wanted.PortName) is not { } target)
            return BackendSet.Empty;
        var choice = new BackendChoice();
        foreach (LocalPod pod in _pods)
        {
            foreach (IpAddress address in pod.Addresses)
            {
                var backend = new L4Address(address, target.Port, target.Protocol);
                if (address.IsV6 == wanted.Address.Address.IsV6 && backend != wanted.Address)
                {
                    choice.Add(
                        new EndpointContents(address, ReadinessOf(pod), "", ""),
                        new SlicePortNumber(wanted.PortName, target.Port, target.Protocol),
                        Backend.DefaultWeight);
                }
            }
        }

        choice.RemoveDuplicates();
        return choice.Cluster("", zone: null);
    }

    public override Frontend? Build(WantedFrontend wanted)
    {
        BackendSet set = BackendsFor(wanted);
        if (set.UsableCount == 0)
            return null;
        return new Frontend
        {
            Address = wanted.Address,
            Type = FrontendType.LocalRedirect,
            Service = new ResourceName(About.Name.Namespace, $"{About.Name.Name}:local-redirect"),
            RedirectPolicy = About.Name,
            PortName = wanted.PortName,
            Inside = set,
            Outside = set,
        };
    }

    /// <summary>
    /// Every selected pod is exempt, also one that is not ready: it may need the frontend to become so.
    /// </summary>
    public HashSet<RedirectExemption> WantedExemptions()
    {
        var exemptions = new HashSet<RedirectExemption>();
        if (!Specification.SkipsBackends)
            return exemptions;
        foreach (LocalPod pod in _pods)
        {
            if (pod.UsesHostNetwork)
                continue;
            foreach (L4Address frontend in InForce)
                exemptions.Add(new RedirectExemption(pod.Name, frontend));
        }

        return exemptions;
    }

    private void FindSelfReferences()
    {
        _selfReferences.Clear();
        if (Specification.Address is not { } address)
            return;
        foreach (LocalPod pod in _pods.Where(p => p.Addresses.Contains(address)))
        {
            foreach (WantedFrontend wanted in NextWanted)
            {
                if (Specification.TargetOf(wanted.ServicePort, wanted.Address.Protocol, wanted.PortName)?.Port == wanted.Address.Port)
                    _selfReferences.Add($"spec.redirectBackend: pod {pod.Name} has the address {wanted.Address} itself");
            }
        }
    }

    private static Readiness ReadinessOf(LocalPod pod)
        => !pod.IsReady ? Readiness.NotReady : pod.IsTerminating ? Readiness.Serving : Readiness.Ready;
}
