// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Network;

namespace Axoneme.DatapathPlatform.Tests;

/// <summary>Packets of real sockets on their way from a pod through the node's proxy to a server, and back.</summary>
public sealed class ProxyTests
{
    /// <summary>For what is not to come: several times what anything takes here.</summary>
    private const int SilenceMs = 300;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(ServerPlace.SameNode)]
    [InlineData(ServerPlace.OtherNode)]
    [InlineData(ServerPlace.BehindTunnel)]
    [InlineData(ServerPlace.World)]
    [InlineData(ServerPlace.OwnHost)]
    public async Task Server_is_asked_by_the_proxy_in_the_name_of_the_pod(ServerPlace place)
    {
        using ProxyScene scene = await ProxyScene.CreateAsync(place, Cancellation);
        foreach (bool isV6 in new[] { false, true })
        {
            using TransparentProxy proxy = scene.StartProxy(isV6);
            IpAddress server = ProxyScene.ServerAddress(place, isV6);
            string expected = $"proxied {ProxyScene.SeenAs(place, isV6)} hello";
            Assert.Equal(expected, scene.Ask(server, isTcp: false));
            Assert.Equal(expected, scene.Ask(server, isTcp: true));
            Assert.Equal(2, proxy.Questions);
        }
    }

    [Theory]
    [InlineData(ServerPlace.SameNode)]
    [InlineData(ServerPlace.OtherNode)]
    [InlineData(ServerPlace.BehindTunnel)]
    public async Task Service_address_is_translated_before_the_proxy_and_back_behind_it(ServerPlace place)
    {
        using ProxyScene scene = await ProxyScene.CreateAsync(place, Cancellation, balancesPackets: true);
        foreach (bool isV6 in new[] { false, true })
        {
            using TransparentProxy proxy = scene.StartProxy(isV6);
            IpAddress service = await scene.AddServiceAsync(place, isV6, Cancellation);
            foreach (bool isTcp in new[] { false, true })
            {
                // A connected socket takes answers from the address that it asked only.
                Assert.Equal($"proxied {ProxyScene.SeenAs(place, isV6)} hello", scene.Ask(service, isTcp, port: ProxyScene.ServicePort));
            }

            Assert.Equal(2, proxy.Questions);
        }
    }

    /// <summary>wg-quick has the mark count for the look-up of the way back, too.</summary>
    [Theory]
    [InlineData(ServerPlace.SameNode)]
    [InlineData(ServerPlace.World)]
    public async Task Marks_may_count_on_the_way_back(ServerPlace place)
    {
        using ProxyScene scene = await ProxyScene.CreateAsync(place, Cancellation);
        scene.Host.Run(() => Sysctl.Write("net/ipv4/conf/all/src_valid_mark", "1"));
        using TransparentProxy proxy = scene.StartProxy(isV6: false);
        Assert.Equal($"proxied {ProxyScene.SeenAs(place, isV6: false)} hello", scene.Ask(ProxyScene.ServerAddress(place, isV6: false), isTcp: false));
    }

    [Fact]
    public async Task Answers_that_come_in_fragments_pass_and_questions_that_do_are_dropped()
    {
        using ProxyScene scene = await ProxyScene.CreateAsync(ServerPlace.OtherNode, Cancellation);
        foreach (bool isV6 in new[] { false, true })
        {
            using TransparentProxy proxy = scene.StartProxy(isV6);
            using EchoServer large = scene.StartServer(isV6, port: 5354, repeat: 1000);
            await scene.RedirectAsync(ProxyScene.ProxyPort, Cancellation, 5354);
            proxy.ServerPort = 5354;
            string? answer = scene.Ask(ProxyScene.ServerAddress(ServerPlace.OtherNode, isV6), isTcp: false, "abcde", port: 5354);
            Assert.Equal($"proxied {ProxyScene.ClientAddress(isV6)} {string.Concat(Enumerable.Repeat("abcde", 1000))}", answer);

            int questions = proxy.Questions;
            ulong before = scene.Dropped(DropReason.IpFragmentationNotSupported);
            Assert.Null(scene.Ask(ProxyScene.ServerAddress(ServerPlace.OtherNode, isV6), isTcp: false, new string('x', 3000), SilenceMs, 5354));
            Assert.Equal(questions, proxy.Questions);
            Assert.True(scene.Dropped(DropReason.IpFragmentationNotSupported) >= before + 2);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Without_a_proxy_packets_are_dropped_and_the_reason_says_why(bool isTcp)
    {
        using ProxyScene scene = await ProxyScene.CreateAsync(ServerPlace.SameNode, Cancellation);
        IpAddress server = ProxyScene.ServerAddress(ServerPlace.SameNode, isV6: false);
        Assert.Null(scene.Ask(server, isTcp, timeoutMs: SilenceMs));
        ulong lookups = scene.Dropped(DropReason.SocketLookupFailed);
        Assert.NotEqual(0ul, lookups);

        // Nobody knows its port: refused by the policy, for the same reason.
        await scene.RedirectAsync(0, Cancellation, lacksProxy: true);
        Assert.Null(scene.Ask(server, isTcp, timeoutMs: SilenceMs));
        Assert.True(scene.Dropped(DropReason.SocketLookupFailed) > lookups);
        using TransparentProxy proxy = scene.StartProxy(isV6: false);
        await scene.RedirectAsync(ProxyScene.ProxyPort, Cancellation);
        Assert.NotNull(scene.Ask(server, isTcp));
        Assert.Equal(1, proxy.Questions);
    }

    [Fact]
    public async Task Connection_follows_the_proxy_to_another_port_and_stops_when_policy_no_longer_says_so()
    {
        using ProxyScene scene = await ProxyScene.CreateAsync(ServerPlace.SameNode, Cancellation);
        IpAddress server = ProxyScene.ServerAddress(ServerPlace.SameNode, isV6: false);
        string direct = $"{ProxyScene.ClientAddress(isV6: false)} hello";
        using Socket client = scene.OpenClient(server, isTcp: false);
        client.Connect(new IPEndPoint(server.ToIPAddress(), ProxyScene.ServerPort));
        await scene.RedirectAsync(0, Cancellation);
        Assert.Equal(direct, ProxyScene.Exchange(client, "hello"));

        using (TransparentProxy first = scene.StartProxy(isV6: false))
        {
            await scene.RedirectAsync(ProxyScene.ProxyPort, Cancellation);
            Assert.Equal("proxied " + direct, ProxyScene.Exchange(client, "hello"));
            Assert.Equal("proxied " + direct, ProxyScene.Exchange(client, "hello"));
            Assert.Equal(2, first.Questions);
        }

        using TransparentProxy second = scene.StartProxy(isV6: false, port: 10054);
        await scene.RedirectAsync(10054, Cancellation);
        Assert.Equal("proxied " + direct, ProxyScene.Exchange(client, "hello"));
        Assert.Equal(1, second.Questions);
        Assert.Contains(scene.Connections(), c => c.Flags.HasFlag(CtFlags.Proxy) && c.Source.Port == ((IPEndPoint)client.LocalEndPoint!).Port);
        await scene.RedirectAsync(0, Cancellation);
        Assert.Equal(direct, ProxyScene.Exchange(client, "hello"));
        Assert.Equal(1, second.Questions);
        Assert.DoesNotContain(scene.Connections(), c => c.Flags.HasFlag(CtFlags.Proxy) && c.Source.Port == ((IPEndPoint)client.LocalEndPoint!).Port);
    }

    [Fact]
    public async Task Stream_that_began_without_the_proxy_ends_when_policy_wants_it_examined()
    {
        using ProxyScene scene = await ProxyScene.CreateAsync(ServerPlace.SameNode, Cancellation);
        IpAddress server = ProxyScene.ServerAddress(ServerPlace.SameNode, isV6: false);
        await scene.RedirectAsync(0, Cancellation);
        using TransparentProxy proxy = scene.StartProxy(isV6: false);
        using Socket client = scene.OpenClient(server, isTcp: true);
        client.Connect(new IPEndPoint(server.ToIPAddress(), ProxyScene.ServerPort));
        Assert.NotNull(ProxyScene.Exchange(client, "hello"));
        await scene.RedirectAsync(ProxyScene.ProxyPort, Cancellation);
        Assert.Null(ProxyScene.Exchange(client, "hello"));
        Assert.Equal(0, proxy.Questions);
    }

    [Fact]
    public async Task Server_on_the_node_asks_its_policy_about_the_pod_and_not_about_the_proxy()
    {
        using ProxyScene scene = await ProxyScene.CreateAsync(ServerPlace.SameNode, Cancellation);
        using TransparentProxy proxy = scene.StartProxy(isV6: false);
        IpAddress server = ProxyScene.ServerAddress(ServerPlace.SameNode, isV6: false);
        await scene.EnforceAtServerAsync(allowsClient: false, Cancellation);
        foreach (bool isTcp in new[] { false, true })
            Assert.Null(scene.Ask(server, isTcp, timeoutMs: SilenceMs));
        Assert.NotEqual(0, proxy.Questions);
        Assert.NotEqual(0ul, scene.Dropped(DropReason.PolicyDenied));
        await scene.EnforceAtServerAsync(allowsClient: true, Cancellation);
        foreach (bool isTcp in new[] { false, true })
            Assert.Equal($"proxied {ProxyScene.ClientAddress(isV6: false)} hello", scene.Ask(server, isTcp));
    }

    [Fact]
    public async Task Server_on_the_node_that_the_policy_lets_pass_is_asked_without_the_proxy()
    {
        using ProxyScene scene = await ProxyScene.CreateAsync(ServerPlace.SameNode, Cancellation);
        await scene.RedirectAsync(0, Cancellation);
        using TransparentProxy proxy = scene.StartProxy(isV6: false);
        Assert.Equal($"{ProxyScene.ClientAddress(isV6: false)} hello", scene.Ask(ProxyScene.ServerAddress(ServerPlace.SameNode, isV6: false), isTcp: false));
        Assert.Equal(0, proxy.Questions);
    }
}
