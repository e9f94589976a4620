// SPDX-License-Identifier: Apache-2.0
using System.Net.Sockets;
using Axoneme.Dns;
using Axoneme.DnsProxy;
using Axoneme.Network;

namespace Axoneme.Proxy.KernelTests;

/// <summary>The process between a pod and its server, with the kernel's own sockets.</summary>
[Collection("namespaces")]
public sealed class ServingTests : IDisposable
{
    private readonly ProxyNode _node = new(Path.Combine(AppContext.BaseDirectory, "axoneme-proxy"));
    private readonly TestResolver _server;
    private readonly TestResolver _server6;
    private readonly CancellationTokenSource _limit = new(TimeSpan.FromSeconds(60));

    public ServingTests()
    {
        _server = new TestResolver(_node.Server, ProxyNode.ServerAddress);
        _server6 = new TestResolver(_node.Server, ProxyNode.ServerAddress6);
        _node.Start();
    }

    [Theory]
    [InlineData(ProxyNode.ServerAddress, false)]
    [InlineData(ProxyNode.ServerAddress, true)]
    [InlineData(ProxyNode.ServerAddress6, false)]
    [InlineData(ProxyNode.ServerAddress6, true)]
    public async Task An_allowed_name_is_answered_and_another_refused(string server, bool isTcp)
    {
        using TestAgent agent = await AgentAsync(["*.example"], ["www.example"]);
        TestAnswer answer = TestPod.Ask(_node, "www.example", server: server, isTcp: isTcp);
        Assert.Equal(DnsRcode.NoError, answer.Header.Rcode);
        Assert.Equal(["192.0.2.1"], answer.Addresses);
        answer = TestPod.Ask(_node, "www.example", DnsType.Aaaa, server, isTcp);
        Assert.Equal(["2001:db8::1"], answer.Addresses);
        answer = TestPod.Ask(_node, "www.other", server: server, isTcp: isTcp);
        Assert.Equal(DnsRcode.Refused, answer.Header.Rcode);
        Assert.Equal("www.other", answer.Name);
        Assert.DoesNotContain("www.other", _server.Askers.Keys.Concat(_server6.Askers.Keys));
        QueryRecord record = await agent.WaitForRecordAsync(r => r.Outcome == QueryOutcome.Refused, _limit.Token);
        Assert.Equal("www.other", record.Name);
        Assert.Equal(7, record.Endpoint);
        Assert.Equal(new L4Address(IpAddress.Parse(server), 53, isTcp ? L4Protocol.Tcp : L4Protocol.Udp), record.Server);
        record = await agent.WaitForRecordAsync(r => r.Outcome == QueryOutcome.Answered && r.QueryType == DnsType.A, _limit.Token);
        Assert.Equal([IpAddress.Parse("192.0.2.1")], record.Addresses);
        Assert.Equal(60u, record.Ttl);
    }

    [Theory]
    [InlineData(ProxyNode.ServerAddress, false)]
    [InlineData(ProxyNode.ServerAddress6, true)]
    public async Task The_server_sees_the_pods_address(string server, bool isTcp)
    {
        using TestAgent agent = await AgentAsync(["*.example"], []);
        TestPod.Ask(_node, "who.example", server: server, isTcp: isTcp);
        TestResolver asked = server == ProxyNode.ServerAddress ? _server : _server6;
        Assert.Equal(server == ProxyNode.ServerAddress ? ProxyNode.PodAddress : ProxyNode.PodAddress6, asked.Askers["who.example"].Address.ToString());
    }

    [Fact]
    public async Task Refusals_can_say_that_there_is_no_such_name()
    {
        using TestAgent agent = await AgentAsync([], [], new ProxyOptions { Reject = RejectCode.NameError });
        Assert.Equal(DnsRcode.NameError, TestPod.Ask(_node, "www.example").Header.Rcode);
    }

    [Fact]
    public async Task Nobodys_address_is_refused()
    {
        using TestAgent agent = await AgentAsync(["*"], []);
        Assert.Equal(DnsRcode.Refused, TestPod.Ask(_node, "www.example", from: ProxyNode.StrangerAddress).Header.Rcode);
        await agent.WaitForAsync<Counters>(c => c.UnknownSource == 1, _limit.Token);
    }

    [Fact]
    public async Task Large_answers_come_whole_by_EDNS_and_TCP_and_truncated_otherwise()
    {
        using TestAgent agent = await AgentAsync(["*"], ["many.example"]);
        TestAnswer answer = TestPod.Ask(_node, "many.example");
        Assert.True(answer.Header.IsTruncated);
        Assert.Empty(answer.Addresses);
        answer = TestPod.Ask(_node, "many.example", edns: 4096);
        Assert.Equal(200, answer.Addresses.Count);
        answer = TestPod.Ask(_node, "many.example", isTcp: true);
        Assert.Equal(200, answer.Addresses.Count);
        Learned learned = await agent.WaitForAsync<Learned>(l => l.Id != 0, _limit.Token);
        Assert.Equal(200, Assert.Single(learned.Mappings).Addresses.Count);
    }

    [Theory]
    [InlineData("otherid.example")]
    [InlineData("otherquestion.example")]
    public async Task A_forged_answer_is_passed_over(string name)
    {
        using TestAgent agent = await AgentAsync(["*"], ["*.example"]);
        Assert.Equal(["192.0.2.1"], TestPod.Ask(_node, name).Addresses);
        Assert.Equal(["192.0.2.1"], TestPod.Ask(_node, name, isTcp: true).Addresses);
        await agent.WaitForAsync<Counters>(c => c.UnexpectedAnswers >= 1, _limit.Token);
    }

    [Fact]
    public async Task A_damaged_answer_is_a_failure_and_teaches_nothing()
    {
        using TestAgent agent = await AgentAsync(["*"], ["*.example"]);
        Assert.Equal(DnsRcode.ServerFailure, TestPod.Ask(_node, "damaged.example").Header.Rcode);
        Assert.Equal(DnsRcode.NoError, TestPod.Ask(_node, "well.example").Header.Rcode);
        await agent.WaitForAsync<Learned>(l => l.Mappings.Any(m => m.Name == "well.example"), _limit.Token);
        Assert.DoesNotContain(agent.Heard.OfType<Learned>().SelectMany(l => l.Mappings), m => m.Name == "damaged.example");
    }

    [Theory]
    [InlineData("nothing.example", DnsRcode.NameError)]
    [InlineData("refusing.example", DnsRcode.Refused)]
    public async Task What_the_server_says_is_passed_on(string name, DnsRcode rcode)
    {
        using TestAgent agent = await AgentAsync(["*"], ["*.example"]);
        Assert.Equal(rcode, TestPod.Ask(_node, name).Header.Rcode);
        QueryRecord record = await agent.WaitForRecordAsync(r => r.Rcode == (int)rcode, _limit.Token);
        Assert.Equal(QueryOutcome.Answered, record.Outcome);
    }

    [Fact]
    public async Task A_server_that_is_not_there_is_a_failure_at_once()
    {
        using TestAgent agent = await AgentAsync(["*"], []);
        _server.Dispose();
        Assert.Equal(DnsRcode.ServerFailure, TestPod.Ask(_node, "www.example").Header.Rcode);
    }

    [Fact]
    public async Task Questions_on_one_connection_do_not_wait_for_each_other()
    {
        using TestAgent agent = await AgentAsync(["*.example"], ["*.example"]);
        using Socket socket = TestPod.Open(_node.Pod, ProxyNode.ServerAddress, isTcp: true);
        var ids = new HashSet<ushort>();
        for (ushort id = 1; id <= 200; id++)
        {
            ids.Add(id);
            TestPod.Send(socket, TestPod.Question(id % 10 == 0 ? "silly.other" : $"n{id}.example", id: id));
        }

        for (int i = 0; i < 200; i++)
        {
            TestAnswer answer = TestPod.Read(TestPod.Receive(socket));
            Assert.True(ids.Remove(answer.Header.Id));
            Assert.Equal(answer.Header.Id % 10 == 0 ? DnsRcode.Refused : DnsRcode.NoError, answer.Header.Rcode);
        }
    }

    [Fact]
    public async Task Ids_and_ports_towards_the_server_cannot_be_foretold()
    {
        using TestAgent agent = await AgentAsync(["*.example"], []);
        Parallel.For(0, 300, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i => TestPod.Ask(_node, $"n{i}.example"));
        Assert.Equal(300, _server.Seen.Count);
        Assert.InRange(_server.Seen.Select(s => s.Id).Distinct().Count(), 290, 300);
        Assert.InRange(_server.Seen.Select(s => s.Port).Distinct().Count(), 2, 8);
    }

    [Fact]
    public async Task Garbage_is_survived()
    {
        using TestAgent agent = await AgentAsync(["*"], []);
        var random = new Random(1);
        using Socket datagrams = TestPod.Open(_node.Pod, ProxyNode.ServerAddress);
        for (int i = 0; i < 2000; i++)
        {
            byte[] noise = new byte[random.Next(0, 300)];
            random.NextBytes(noise);
            datagrams.Send(noise);
        }

        for (int i = 0; i < 50; i++)
        {
            using Socket stream = TestPod.Open(_node.Pod, ProxyNode.ServerAddress, isTcp: true);
            byte[] noise = new byte[random.Next(0, 3000)];
            random.NextBytes(noise);
            stream.Send(noise);
        }

        // Messages without any content, and the largest that can be announced.
        using (Socket stream = TestPod.Open(_node.Pod, ProxyNode.ServerAddress, isTcp: true))
            stream.Send(new byte[64]);
        Assert.Equal(["192.0.2.1"], TestPod.Ask(_node, "www.example").Addresses);
        Assert.Equal(["192.0.2.1"], TestPod.Ask(_node, "www.example", isTcp: true).Addresses);
        Assert.False(_node.HasEnded);
        await agent.WaitForAsync<Counters>(c => c.ParseErrors > 100, _limit.Token);
    }

    [Fact]
    public async Task More_than_the_limit_is_refused_or_waits()
    {
        using TestAgent agent = await AgentAsync(["*"], [], new ProxyOptions { ConcurrencyLimit = 2 });
        using Socket socket = TestPod.Open(_node.Pod, ProxyNode.ServerAddress);
        for (int i = 0; i < 8; i++)
            TestPod.Send(socket, TestPod.Question($"silent.n{i}.example"));
        Assert.Equal(DnsRcode.ServerFailure, TestPod.Read(TestPod.Receive(socket)).Header.Rcode);
        await agent.WaitForAsync<Counters>(c => c.Overloaded >= 1, _limit.Token);
    }

    [Fact]
    public async Task Garbage_from_the_server_is_survived()
    {
        using TestAgent agent = await AgentAsync(["*"], ["*.example"]);
        using Socket socket = TestPod.Open(_node.Pod, ProxyNode.ServerAddress);
        for (ushort id = 1; id <= 1500; id++)
        {
            TestPod.Send(socket, TestPod.Question($"garbage.n{id}.example", id: id, edns: 4096));
            byte[] answer = TestPod.Receive(socket);
            // Damaged or not, what gets here belongs to the question.
            Assert.Equal(id, (ushort)((answer[0] << 8) | answer[1]));
        }

        Assert.Equal(["192.0.2.1"], TestPod.Ask(_node, "www.example").Addresses);
        await agent.WaitForAsync<Counters>(c => c.ParseErrors > 10 && c.UnexpectedAnswers > 10, _limit.Token);
        Assert.False(_node.HasEnded);
    }

    [Fact]
    public async Task One_pod_does_not_use_up_the_room_of_all()
    {
        _node.Kill();
        _node.Start("--dnsproxy-workers=1");
        using TestAgent agent = await AgentAsync(["*"], []);
        DnsRule rule = new(default, L4Protocol.Any, 53, 16, [DnsPattern.Everything]);
        await agent.SendAsync(new UpdateEndpoints([new ProxiedEndpoint(8, new SecurityIdentity(4712), [IpAddress.Parse(ProxyNode.StrangerAddress)], [rule])], []), _limit.Token);
        await agent.SendAsync(new SyncRequest(2), _limit.Token);
        await agent.WaitForAsync<SyncReply>(s => s.Id == 2, _limit.Token);
        using Socket socket = TestPod.Open(_node.Pod, ProxyNode.ServerAddress);
        for (int i = 0; i < 1200; i++)
        {
            TestPod.Send(socket, TestPod.Question("silent.example"));
            // The kernel's buffers are to lose none of them.
            if (i % 400 == 399)
                await agent.WaitForAsync<Counters>(c => c.Received > i, _limit.Token);
        }

        Assert.Equal(DnsRcode.ServerFailure, TestPod.Read(TestPod.Receive(socket)).Header.Rcode);
        Assert.Equal(["192.0.2.1"], TestPod.Ask(_node, "www.example", from: ProxyNode.StrangerAddress).Addresses);
    }

    [Fact]
    public async Task What_waited_for_its_turn_longer_than_the_grace_period_is_refused()
    {
        _node.Kill();
        _node.Start("--dnsproxy-workers=1");
        using TestAgent agent = await AgentAsync(["*"], [], new ProxyOptions { ConcurrencyLimit = 1, ConcurrencyGraceMilliseconds = 100 });
        using Socket socket = TestPod.Open(_node.Pod, ProxyNode.ServerAddress);
        TestPod.Send(socket, TestPod.Question("silent.example"));
        TestPod.Send(socket, TestPod.Question("www.example"));
        TestAnswer answer = TestPod.Read(TestPod.Receive(socket));
        Assert.Equal((DnsRcode.ServerFailure, "www.example"), (answer.Header.Rcode, answer.Name));
        await agent.WaitForAsync<Counters>(c => c.Overloaded == 1, _limit.Token);
    }

    [Fact]
    public async Task It_runs_with_few_capabilities()
    {
        using TestAgent agent = await AgentAsync([], []);
        string bounding = File.ReadLines($"/proc/{_node.ProcessId}/status").First(l => l.StartsWith("CapEff:", StringComparison.Ordinal))[7..].Trim();
        const ulong Needed = 1UL << 10 | 1UL << 12 | 1UL << 13 | 1UL << 39;
        Assert.Equal(0UL, Convert.ToUInt64(bounding, 16) & ~Needed);
    }

    public void Dispose()
    {
        _server.Dispose();
        _server6.Dispose();
        _node.Dispose();
        _limit.Dispose();
    }

    private async Task<TestAgent> AgentAsync(string[] names, string[] selectors, ProxyOptions? options = null)
    {
        TestAgent agent = await TestAgent.ConnectAsync(_node, _limit.Token);
        await agent.DescribeAsync(names, selectors, options, _limit.Token);
        return agent;
    }
}
