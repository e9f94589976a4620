// SPDX-License-Identifier: Apache-2.0
using System.Net.Sockets;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Dns;
using Axoneme.DnsProxy;
using Axoneme.Network;

namespace Axoneme.Proxy.KernelTests;

/// <summary>What goes on when the agent or the proxy itself goes away and comes back.</summary>
[Collection("namespaces")]
public sealed class ContinuityTests : IDisposable
{
    private readonly ProxyNode _node = new(Path.Combine(AppContext.BaseDirectory, "axoneme-proxy"));
    private readonly TestResolver _server;
    private readonly CancellationTokenSource _limit = new(TimeSpan.FromSeconds(60));

    public ContinuityTests()
    {
        _server = new TestResolver(_node.Server, ProxyNode.ServerAddress);
    }

    [Fact]
    public async Task An_answer_with_something_new_waits_for_the_agent()
    {
        _node.Start();
        using TestAgent agent = await AgentAsync(["*"], ["*.example"]);
        agent.Acknowledges = false;
        Task<TestAnswer> first = Task.Run(() => TestPod.Ask(_node, "www.example")), stream = Task.Run(() => TestPod.Ask(_node, "www.example", isTcp: true));
        Learned learned = await agent.WaitForAsync<Learned>(l => l.Id != 0, _limit.Token);
        Assert.Equal("www.example", Assert.Single(learned.Mappings).Name);

        // What no selector wants does not wait, and neither does a name without addresses.
        Assert.Equal(["192.0.2.1"], TestPod.Ask(_node, "www.other").Addresses);
        Assert.Equal(DnsRcode.NameError, TestPod.Ask(_node, "nothing.example").Header.Rcode);
        Assert.False(first.IsCompleted);
        await agent.SendAsync(new LearnedAcknowledgement([learned.Id]), _limit.Token);
        Assert.Equal(["192.0.2.1"], (await first).Addresses);
        Assert.Equal(["192.0.2.1"], (await stream).Addresses);
        Assert.Equal(["192.0.2.1"], TestPod.Ask(_node, "www.example").Addresses);
        Assert.Single(agent.Heard.OfType<Learned>(), l => l.Id != 0);
    }

    [Theory]
    [InlineData("www.example")]
    [InlineData("_8443._https.www.example")]
    public async Task Addresses_of_services_belong_to_their_host(string question)
    {
        _node.Start();
        using TestAgent agent = await AgentAsync(["**.example"], ["*.example"]);
        Assert.Equal(DnsRcode.NoError, TestPod.Ask(_node, question, DnsType.Https).Header.Rcode);
        Learned learned = await agent.WaitForAsync<Learned>(l => l.Id != 0, _limit.Token);
        LearnedName name = Assert.Single(learned.Mappings);
        Assert.Equal(("www.example", "192.0.2.1"), (name.Name, Assert.Single(name.Addresses).ToString()));
    }

    [Fact]
    public async Task An_answer_does_not_wait_longer_than_the_maximal_delay()
    {
        _node.Start();
        using TestAgent agent = await AgentAsync(["*"], ["*.example"], new ProxyOptions { MaximalDelayMilliseconds = 50 });
        agent.Acknowledges = false;
        Assert.Equal(["192.0.2.1"], TestPod.Ask(_node, "www.example").Addresses);
        await agent.WaitForAsync<Counters>(c => c.UpdateTimeouts == 1, _limit.Token);
    }

    [Fact]
    public async Task When_the_agent_is_killed_what_it_said_stays_and_waiting_answers_go_out()
    {
        _node.Start();
        Task<TestAnswer> waiting;
        using (TestAgent agent = await AgentAsync(["*.example"], ["*.example"], new ProxyOptions { MaximalDelayMilliseconds = 60_000 }))
        {
            agent.Acknowledges = false;
            waiting = Task.Run(() => TestPod.Ask(_node, "www.example"));
            await agent.WaitForAsync<Learned>(l => l.Id != 0, _limit.Token);
        }

        Assert.Equal(["192.0.2.1"], (await waiting).Addresses);
        Assert.Equal(["192.0.2.1"], TestPod.Ask(_node, "mail.example").Addresses);
        Assert.Equal(DnsRcode.Refused, TestPod.Ask(_node, "www.other").Header.Rcode);
        using TestAgent next = await TestAgent.ConnectAsync(_node, _limit.Token);
        await next.WaitForAsync<CacheEnd>(_ => true, _limit.Token);
        Assert.Equal(["mail.example", "www.example"], next.Heard.OfType<CacheContents>().SelectMany(c => c.Mappings).Select(m => m.Name).Order());
    }

    [Fact]
    public async Task No_answer_is_lost_while_agents_come_and_go()
    {
        _node.Start();
        using (TestAgent first = await AgentAsync(["*.example"], ["*.example"]))
            TestPod.Ask(_node, "www.example");
        using var stop = new CancellationTokenSource();
        Task<int> asking = Task.Run(() =>
        {
            int asked = 0;
            for (; !stop.IsCancellationRequested; asked++)
                Assert.Equal(["192.0.2.1"], TestPod.Ask(_node, $"n{asked}.example", isTcp: asked % 4 == 0).Addresses);
            return asked;
        });
        for (int restart = 0; restart < 40; restart++)
        {
            using TestAgent agent = await AgentAsync(["*.example"], ["*.example"]);
            await agent.WaitForAsync<Learned>(l => l.Id != 0 || asking.IsCompleted, _limit.Token);
        }

        await stop.CancelAsync();
        Assert.InRange(await asking, 40, int.MaxValue);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_restarted_proxy_has_its_rules_and_names_without_an_agent(bool isKilled)
    {
        _node.Start();
        using (TestAgent agent = await AgentAsync(["*.example"], ["*.example"]))
            TestPod.Ask(_node, "www.example");
        if (isKilled)
        {
            await WaitForFileAsync("dns-proxy-names.state", "www.example");
            await WaitForFileAsync("dns-proxy-rules.state", "*.example");
            _node.Kill();
        }
        else
        {
            Assert.Equal(0, _node.Terminate());
        }

        _node.Start();
        (DnsProxyConnection connection, ProxyHello hello) = await _node.ConnectAsync(_limit.Token);
        using (connection)
        {
            Assert.Equal(53, hello.Port);
            CacheContents cache = Assert.IsType<CacheContents>(await connection.ReceiveAsync(_limit.Token));
            Assert.Equal("www.example", Assert.Single(cache.Mappings).Name);
        }

        Assert.Equal(["192.0.2.1"], TestPod.Ask(_node, "www.example").Addresses);
        Assert.Equal(DnsRcode.Refused, TestPod.Ask(_node, "www.other").Header.Rcode);
    }

    [Fact]
    public async Task What_is_asked_while_no_proxy_runs_is_answered_by_the_next()
    {
        using var keeper = new ListenerKeeper(KeeperPath);
        _node.Start();
        using (TestAgent agent = await AgentAsync(["*.example"], ["*.example"]))
            TestPod.Ask(_node, "www.example");
        await WaitForFileAsync("dns-proxy-rules.state", "*.example");
        Assert.NotEqual(0, keeper.Count);
        _node.Kill();
        using Socket datagram = TestPod.Open(_node.Pod, ProxyNode.ServerAddress), datagram6 = TestPod.Open(_node.Pod, ProxyNode.ServerAddress6);
        using Socket stream = TestPod.Open(_node.Pod, ProxyNode.ServerAddress, isTcp: true);
        foreach (Socket socket in (Socket[])[datagram, datagram6, stream])
            TestPod.Send(socket, TestPod.Question("www.other"));
        _node.Start();
        foreach (Socket socket in (Socket[])[datagram, datagram6, stream])
            Assert.Equal(DnsRcode.Refused, TestPod.Read(TestPod.Receive(socket)).Header.Rcode);
    }

    [Fact]
    public async Task A_proxy_that_is_asked_to_end_answers_what_is_under_way_and_leaves_the_rest_to_the_next()
    {
        using var keeper = new ListenerKeeper(KeeperPath);
        _node.Start();
        using (TestAgent agent = await AgentAsync(["*.example"], ["*.example"]))
            TestPod.Ask(_node, "www.example");
        using Socket early = TestPod.Open(_node.Pod, ProxyNode.ServerAddress), late = TestPod.Open(_node.Pod, ProxyNode.ServerAddress);
        using Socket idle = TestPod.Open(_node.Pod, ProxyNode.ServerAddress, isTcp: true);
        TestPod.Send(idle, TestPod.Question("www.example"));
        TestPod.Receive(idle);
        TestPod.Send(early, TestPod.Question("late.example"));
        while (!_server.Askers.ContainsKey("late.example"))
            await Task.Delay(5, _limit.Token);
        Task<int> ending = Task.Run(_node.Terminate);

        // Connections without anything under way end: whoever has one asks over another.
        Assert.Equal(0, idle.Receive(new byte[1]));
        TestPod.Send(late, TestPod.Question("mail.example"));
        _server.Release();
        Assert.Equal(["192.0.2.1"], TestPod.Read(TestPod.Receive(early)).Addresses);
        Assert.Equal(0, await ending);
        _node.Start();
        Assert.Equal(["192.0.2.1"], TestPod.Read(TestPod.Receive(late)).Addresses);
    }

    [Fact]
    public async Task No_answer_is_lost_while_proxies_end_and_start()
    {
        using var keeper = new ListenerKeeper(KeeperPath);
        _node.Start();
        using (TestAgent first = await AgentAsync(["*.example"], ["*.example"]))
            TestPod.Ask(_node, "www.example");
        using var stop = new CancellationTokenSource();
        Task<int>[] asking = [.. Enumerable.Range(0, 4).Select(worker => Task.Run(() =>
        {
            int asked = 0;
            for (; !stop.IsCancellationRequested; asked++)
            {
                TestAnswer answer = TestPod.Ask(_node, $"n{asked}-{worker}.example", isTcp: asked % 4 == worker);
                Assert.Equal((DnsRcode.NoError, 1), (answer.Header.Rcode, answer.Addresses.Count));
            }

            return asked;
        }))];
        for (int restart = 0; restart < 10; restart++)
        {
            Assert.Equal(0, _node.Terminate());
            _node.Start(restart % 2 == 0 ? "--dnsproxy-workers=1" : "--dnsproxy-workers=3");
            (DnsProxyConnection connection, _) = await _node.ConnectAsync(_limit.Token);
            connection.Dispose();
        }

        await stop.CancelAsync();
        foreach (int asked in await Task.WhenAll(asking))
            Assert.InRange(asked, 10, int.MaxValue);
    }

    [Fact]
    public async Task A_random_port_is_kept_over_restarts()
    {
        _node.Start("--tofqdns-proxy-port=0");
        (DnsProxyConnection connection, ProxyHello first) = await _node.ConnectAsync(_limit.Token);
        connection.Dispose();
        Assert.InRange(first.Port, 10_000, 20_000);
        _node.Kill();
        _node.Start("--tofqdns-proxy-port=0");
        (connection, ProxyHello second) = await _node.ConnectAsync(_limit.Token);
        connection.Dispose();
        Assert.Equal(first.Port, second.Port);
    }

    [Fact]
    public async Task Damaged_state_is_said_and_does_not_stop_the_proxy()
    {
        await File.WriteAllBytesAsync(Path.Combine(_node.State, "dns-proxy-rules.state"), [1, 2, 3], _limit.Token);
        await File.WriteAllBytesAsync(Path.Combine(_node.State, "dns-proxy-names.state"), [4, 0, 0, 0, 1, 2, 3, 4], _limit.Token);
        _node.Start();
        using TestAgent agent = await AgentAsync(["*"], []);
        Assert.Equal(["192.0.2.1"], TestPod.Ask(_node, "www.example").Addresses);
        Assert.Equal(2, _node.Output.ToArray().Count(l => l.Contains("is read to message 0 only", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Without_an_agent_the_proxy_gives_new_addresses_their_identity()
    {
        string root = Path.Combine(_node.State, "bpf"), maps = Path.Combine(root, "tc", "globals");
        Directory.CreateDirectory(root);
        BpfFileSystem.Mount(root);
        try
        {
            Directory.CreateDirectory(maps);
            using var exact = new BpfMap<Ipcache4Key, IpcacheInfo>(Create(Maps.CiliumIpcacheExact.Spec, maps));
            using BpfMap exact6 = Create(Maps.CiliumIpcache6Exact.Spec, maps), prefixes6 = Create(Maps.CiliumIpcache6V2.Spec, maps);
            using var prefixes = new BpfMap<Ipcache4Prefix, IpcacheInfo>(Create(Maps.CiliumIpcacheV2.Spec, maps));
            prefixes.Update(new Ipcache4Prefix { PrefixLen = 28, Addr = (uint)IpAddress.Parse("192.0.2.16").Number }, new IpcacheInfo { Identity = 5000 });
            _node.Start($"--bpf-root={root}");
            using (TestAgent agent = await AgentAsync(["*"], ["*.example"]))
                TestPod.Ask(_node, "www.example");
            Assert.False(exact.TryLookup(KeyOf("192.0.2.1"), out _));

            // The agent has gone when what waited for it would be written; an answer behind that has seen it.
            await WaitForOutputAsync("the agent is gone");
            _server.Host = 2;
            TestPod.Ask(_node, "www.example");
            Assert.True(exact.TryLookup(KeyOf("192.0.2.2"), out IpcacheInfo info));
            Assert.Equal(0x0100_0001u, info.Identity);
            _server.Host = 17;
            TestPod.Ask(_node, "www.example");
            Assert.False(exact.TryLookup(KeyOf("192.0.2.17"), out _));

            using TestAgent next = await TestAgent.ConnectAsync(_node, _limit.Token);
            await next.WaitForAsync<CacheEnd>(_ => true, _limit.Token);
            Assert.Contains(IpAddress.Parse("192.0.2.2"), next.Heard.OfType<CacheContents>().SelectMany(c => c.Mappings).Select(m => m.Address));
        }
        finally
        {
            _node.Kill();
            Assert.Equal(0, Linux.Libc.Unmount(root, Linux.Libc.MNT_DETACH));
        }
    }

    public void Dispose()
    {
        _server.Dispose();
        _node.Dispose();
        _limit.Dispose();
    }

    private string KeeperPath => Path.Combine(_node.State, ListenerKeeper.SocketName);

    private static Ipcache4Key KeyOf(string address) => new() { Addr = (uint)IpAddress.Parse(address).Number };

    private static BpfMap Create(BpfMapSpec spec, string directory) => BpfMap.OpenOrCreatePinned(spec, Path.Combine(directory, spec.Name));

    private async Task<TestAgent> AgentAsync(string[] names, string[] selectors, ProxyOptions? options = null)
    {
        TestAgent agent = await TestAgent.ConnectAsync(_node, _limit.Token);
        await agent.DescribeAsync(names, selectors, options, _limit.Token);
        return agent;
    }

    private async Task WaitForFileAsync(string name, string contents)
    {
        string path = Path.Combine(_node.State, name);
        while (!File.Exists(path) || !(await File.ReadAllTextAsync(path, _limit.Token)).Contains(contents, StringComparison.Ordinal))
            await Task.Delay(20, _limit.Token);
    }

    private async Task WaitForOutputAsync(string text)
    {
        while (!_node.Output.ToArray().Any(l => l.Contains(text, StringComparison.Ordinal)))
            await Task.Delay(20, _limit.Token);
    }
}
