// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.LoadBalancing;
using Axoneme.Network;

namespace Axoneme.Agent.Services;

/// <summary>From frontends to what the maps hold of them.</summary>
/// <param name="externalClusterIP">Cluster addresses are reachable from outside.</param>
internal sealed class ServiceRows(bool externalClusterIP)
{
    // Frontends of one service share their sets, and so do their rows. Kept for one round of translations.
    private readonly Dictionary<BackendSet, ImmutableArray<BackendMapEntry>> _shared = new(ReferenceEqualityComparer.Instance);

    public static ServiceMapKey ExternalKey(L4Address frontend) => new(frontend);

    public static ServiceMapKey InternalKey(L4Address frontend) => new(frontend, LbScope.Internal);

    /// <summary>The entry that says that on the address nothing is reached but what is served there.</summary>
    public static ServiceMapKey GuardKey(IpAddress address) => new(new L4Address(address, 0, L4Protocol.Any));

    public static ServiceMapEntry Guard(IpAddress address) => new(GuardKey(address));

    /// <summary>Ends a round: what was translated is not kept for the next one.</summary>
    public void Forget() => _shared.Clear();

    /// <summary>What traffic from outside finds and, unless there is <see cref="Internal"/>, everybody.</summary>
    public ServiceMapEntry External(Frontend frontend)
    {
        LbFlags2 flags2 = Flags2Of(frontend);
        if (frontend.Forwarding == ForwardingMode.Dsr && !frontend.IsSurrogate && IsRoutable(frontend) && frontend.Type != FrontendType.HostPort)
            flags2 |= LbFlags2.Dsr;
        if (frontend.DelegatesToNode && IsRoutable(frontend))
            flags2 |= LbFlags2.Delegate;
        return Row(ExternalKey(frontend.Address), frontend, frontend.Outside) with
        {
            Flags2 = flags2,
            Algorithm = frontend.Selection == BackendSelection.Maglev ? LbAlgorithm.Maglev : LbAlgorithm.Random,
        };
    }

    /// <summary>What pods and the node's sockets find where it differs; null where it does not.</summary>
    public ServiceMapEntry? Internal(Frontend frontend)
        => ReferenceEquals(frontend.Inside, frontend.Outside)
            ? null
            : Row(InternalKey(frontend.Address), frontend, frontend.Inside) with { Flags2 = Flags2Of(frontend) };

    private ServiceMapEntry Row(ServiceMapKey key, Frontend frontend, BackendSet set) => new(key)
    {
        Backends = Translate(set),
        UsableCount = set.UsableCount,
        Flags = FlagsOf(frontend),
        AffinityTimeoutSeconds = frontend.AffinityTimeoutSeconds ?? 0,
        SourceRanges = frontend.SourceRanges,
    };

    private ImmutableArray<BackendMapEntry> Translate(BackendSet set)
    {
        if (set.Backends.IsEmpty)
            return [];
        if (_shared.TryGetValue(set, out ImmutableArray<BackendMapEntry> shared))
            return shared;
        var backends = ImmutableArray.CreateBuilder<BackendMapEntry>(set.Backends.Length);
        foreach (Backend backend in set.Backends)
            backends.Add(new BackendMapEntry(backend.Address) { State = (LbBackendState)backend.State, Weight = backend.Weight });
        return _shared[set] = backends.MoveToImmutable();
    }

    private bool IsRoutable(Frontend frontend) => frontend.Type switch
    {
        FrontendType.ClusterIP => externalClusterIP,
        FrontendType.LocalRedirect => false,
        _ => true,
    };

    private LbFlags FlagsOf(Frontend frontend)
    {
        LbFlags flags = frontend.Type switch
        {
            FrontendType.NodePort => LbFlags.NodePort,
            FrontendType.ExternalIPs => LbFlags.ExternalIp,
            FrontendType.LoadBalancer => LbFlags.LoadBalancer,
            FrontendType.HostPort => LbFlags.HostPort,
            _ => 0,
        };
        if (flags != 0 && frontend.ExternalTrafficPolicy == TrafficPolicy.Local)
            flags |= LbFlags.ExternalLocal;
        if (frontend.AffinityTimeoutSeconds is not null)
            flags |= LbFlags.Affinity;
        if (frontend.ChecksSource)
            flags |= LbFlags.SourceRanges;
        if (IsRoutable(frontend))
            flags |= LbFlags.Routable;
        return flags;
    }

    private static LbFlags2 Flags2Of(Frontend frontend)
    {
        LbFlags2 flags = 0;
        if (frontend.Type == FrontendType.LocalRedirect)
            flags |= LbFlags2.LocalRedirect;
        if (frontend.ChecksSource && frontend.DenySourceRanges)
            flags |= LbFlags2.SourceRangesDeny;
        if (frontend.IsLoopbackOnly)
            flags |= LbFlags2.Loopback;
        if (frontend.InternalTrafficPolicy == TrafficPolicy.Local)
            flags |= LbFlags2.InternalLocal;
        if (!ReferenceEquals(frontend.Inside, frontend.Outside))
            flags |= LbFlags2.TwoScopes;
        return flags;
    }
}
