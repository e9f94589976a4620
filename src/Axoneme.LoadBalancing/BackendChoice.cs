// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

/// <summary>
/// The endpoints of one port of a service, each once, and the sets of backends that follow from traffic policies and hints. Slices overlap
/// while an endpoint moves between them; then the more willing mention counts.
/// </summary>
internal sealed class BackendChoice
{
    private readonly List<Candidate> _candidates = [];

    /// <summary>Endpoints, or mentions of them before <see cref="RemoveDuplicates"/>.</summary>
    public int Count => _candidates.Count;

    public void Clear() => _candidates.Clear();

    public void Add(in EndpointContents endpoint, in SlicePortNumber port, ushort weight)
        => _candidates.Add(new Candidate(endpoint, new L4Address(endpoint.Address, port.Port, port.Protocol), weight, _candidates.Count));

    /// <summary>Leaves each endpoint once. To be called before the sets are asked for.</summary>
    public void RemoveDuplicates()
    {
        _candidates.Sort();
        int kept = 0;
        for (int i = 0; i < _candidates.Count; i++)
        {
            if (kept == 0 || _candidates[kept - 1].Address != _candidates[i].Address)
                _candidates[kept++] = _candidates[i];
        }

        _candidates.RemoveRange(kept, _candidates.Count - kept);
    }

    /// <summary>All endpoints or, where <paramref name="zone"/> is given, those that hints want this node to use.</summary>
    /// <param name="zone">Zone of the node, empty when it has none; null to leave hints alone.</param>
    public BackendSet Cluster(string nodeName, string? zone)
    {
        if (zone is null)
            return Build(static (in _) => true);
        // As kube-proxy: hints count when every ready endpoint has one and at least one of them is for us; the node's go before the zone's.
        if (HintsApply(c => c.Endpoint.ForNodes, nodeName))
            return Build((in c) => c.Endpoint.Readiness != Readiness.Ready || c.Endpoint.ForNodes!.Value.Contains(nodeName));
        if (zone.Length > 0 && HintsApply(c => c.Endpoint.ForZones, zone))
            return Build((in c) => c.Endpoint.Readiness != Readiness.Ready || c.Endpoint.ForZones!.Value.Contains(zone));
        return Build(static (in _) => true);
    }

    /// <summary>The endpoints of this node.</summary>
    public BackendSet Local(string nodeName) => Build((in c) => c.Endpoint.NodeName == nodeName);

    private delegate bool Filter(in Candidate candidate);

    private BackendSet Build(Filter includes)
    {
        // Endpoints on their way out serve new connections only when that is better than refusing them.
        Readiness usable = Readiness.Serving;
        int count = 0;
        foreach (Candidate candidate in _candidates)
        {
            if (!includes(candidate))
                continue;
            count++;
            if (candidate.Endpoint.Readiness == Readiness.Ready && candidate.Weight > 0)
                usable = Readiness.Ready;
        }

        if (count == 0)
            return BackendSet.Empty;
        var backends = ImmutableArray.CreateBuilder<Backend>(count);
        Append(c => c.Endpoint.Readiness == usable && c.Weight > 0);
        int usableCount = backends.Count;
        Append(c => (c.Endpoint.Readiness != usable || c.Weight == 0) && c.State == BackendState.Terminating);
        Append(c => (c.Endpoint.Readiness != usable || c.Weight == 0) && c.State == BackendState.Maintenance);
        return new BackendSet(backends.DrainToImmutable(), usableCount);

        void Append(Func<Candidate, bool> belongs)
        {
            foreach (Candidate c in _candidates)
            {
                if (includes(c) && belongs(c) && backends.Count < BackendSet.MaximalCount)
                    backends.Add(new Backend(c.Address, c.State, c.Endpoint.NodeName, c.Endpoint.Zone, c.Weight));
            }
        }
    }

    private bool HintsApply(Func<Candidate, ImmutableArray<string>?> hintOf, string own)
    {
        bool isForUs = false;
        foreach (Candidate candidate in _candidates)
        {
            if (candidate.Endpoint.Readiness != Readiness.Ready)
                continue;
            if (hintOf(candidate) is not { IsEmpty: false } names)
                return false;
            isForUs |= names.Contains(own);
        }

        return isForUs;
    }

    private readonly record struct Candidate(EndpointContents Endpoint, L4Address Address, ushort Weight, int Order) : IComparable<Candidate>
    {
        public BackendState State => Endpoint.Readiness switch
        {
            Readiness.Ready when Weight > 0 => BackendState.Active,
            Readiness.Serving or Readiness.Terminating => BackendState.Terminating,
            _ => BackendState.Maintenance,
        };

        public int CompareTo(Candidate other)
        {
            int order = Address.CompareTo(other.Address);
            if (order == 0)
                order = Endpoint.Readiness.CompareTo(other.Endpoint.Readiness);
            return order != 0 ? order : Order.CompareTo(other.Order);
        }
    }
}
