// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.DatapathPlatform.Tests;

/// <summary>Packets of real sockets on their way from a pod through the node's proxy to a server, and back.</summary>
public sealed class ProxyTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(ServerPlace.SameNode)]
    [InlineData(ServerPlace.OtherNode)]
    [InlineData(ServerPlace.BehindTunnel)]
    [InlineData(ServerPlace.World)]
    public async Task Server_is_asked_by_the_proxy_in_the_name_of_the_pod(ServerPlace place)
    {
        using ProxyScene scene = await ProxyScene.CreateAsync(place, Cancellation);
        foreach (bool isV6 in new[] { false, true })
        {
            using TransparentProxy proxy = scene.StartProxy(isV6);
            IpAddress server = ProxyScene.ServerAddress(place, isV6);
            Assert.Equal($"proxied {ProxyScene.SeenAs(place, isV6)} hello", scene.Ask(server, isTcp: false));
            Assert.Equal($"proxied {ProxyScene.SeenAs(place, isV6)} hello", scene.Ask(server, isTcp: true));
            Assert.Equal(2, proxy.Questions);
        }
    }
}
