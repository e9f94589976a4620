// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>How many source ports translated connections to one destination hold.</summary>
/// <param name="Address">This node's, which the connections have as their source.</param>
/// <param name="Destination">What they all go to: only they compete for the ports.</param>
public sealed record NatUsage(IpAddress Address, L4Address Destination, int Ports);

/// <summary>Finds the destinations that hold most source ports: where these run out, connections fail.</summary>
public sealed class NatCensus(DatapathMaps maps)
{
    // Entries of the walk between two pauses.
    private const int EntriesAtOnce = 4096;

    /// <summary>The <paramref name="count"/> busiest destinations of a family, the busiest first.</summary>
    public async Task<IReadOnlyList<NatUsage>> BusiestAsync(bool isV6, int count, CancellationToken cancellation)
    {
        var ports = new Dictionary<(IpAddress Address, L4Address Destination), int>();
        int seen = 0;
        foreach ((IpAddress Address, L4Address Destination) use in isV6 ? Uses6() : Uses4())
        {
            CollectionsMarshal.GetValueRefOrAddDefault(ports, use, out _)++;
            if (++seen % EntriesAtOnce != 0)
                continue;
            cancellation.ThrowIfCancellationRequested();
            await Task.Yield();
        }

        return
        [
            .. ports.OrderByDescending(p => p.Value).ThenBy(p => p.Key.Destination).Take(count)
                .Select(p => new NatUsage(p.Key.Address, p.Key.Destination, p.Value)),
        ];
    }

    // Every port in use has an inward entry, whose key is the reply's tuple: from the destination to the node's address.
    private IEnumerable<(IpAddress Address, L4Address Destination)> Uses4()
    {
        foreach ((Nat4Key key, _) in maps.Nat4.Entries())
        {
            if (key.Direction == (byte)NatDirection.In)
                yield return (key.Destination.ToAddress(), new L4Address(key.Source.ToAddress(), key.SourcePort.Value, (L4Protocol)key.Protocol));
        }
    }

    private IEnumerable<(IpAddress Address, L4Address Destination)> Uses6()
    {
        foreach ((Nat6Key key, _) in maps.Nat6.Entries())
        {
            if (key.Direction == (byte)NatDirection.In)
                yield return (key.Destination.ToAddress(), new L4Address(key.Source.ToAddress(), key.SourcePort.Value, (L4Protocol)key.Protocol));
        }
    }
}
