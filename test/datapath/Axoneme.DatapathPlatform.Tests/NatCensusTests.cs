// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.DatapathPlatform.Tests;

public sealed class NatCensusTests
{
    private const uint Node = 0xC0A80001;
    private const uint Resolver = 0x08080808;
    private const uint Web = 0x08080404;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Destinations_are_ranked_by_the_ports_that_they_hold()
    {
        using var test = new TestNode();
        test.MountBpf();
        using DatapathMaps maps = DatapathMaps.OpenOrCreate(test.Paths, test.Options.MapSizes, new DatapathReport());
        for (ushort port = 1; port <= 3; port++)
            AddReply(maps, Resolver, 53, L4Protocol.Udp, port);
        AddReply(maps, Web, 443, L4Protocol.Tcp, 1);
        // The other half of a translation holds no port of its own.
        maps.Nat4.Update(new Nat4Key { Source = Node, Destination = Web, DestinationPort = 443, Protocol = (byte)L4Protocol.Tcp }, default);

        var census = new NatCensus(maps);
        var resolver = new NatUsage(IpAddress.FromV4(Node), new L4Address(IpAddress.FromV4(Resolver), 53, L4Protocol.Udp), 3);
        var web = new NatUsage(IpAddress.FromV4(Node), new L4Address(IpAddress.FromV4(Web), 443, L4Protocol.Tcp), 1);
        Assert.Equal([resolver, web], await census.BusiestAsync(isV6: false, 32, Cancellation));
        Assert.Equal([resolver], await census.BusiestAsync(isV6: false, 1, Cancellation));
        Assert.Empty(await census.BusiestAsync(isV6: true, 32, Cancellation));
    }

    private static void AddReply(DatapathMaps maps, uint from, ushort fromPort, L4Protocol protocol, ushort toPort)
        => maps.Nat4.Update(
            new Nat4Key
            {
                Source = from,
                SourcePort = fromPort,
                Destination = Node,
                DestinationPort = toPort,
                Protocol = (byte)protocol,
                Direction = (byte)NatDirection.In,
            },
            default);
}
