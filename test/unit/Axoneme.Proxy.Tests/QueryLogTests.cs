// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using System.Text;
using System.Text.Json;
using Axoneme.Dns;
using Axoneme.Dns.Tests;
using Axoneme.DnsProxy;
using Axoneme.Network;
using Axoneme.Proxy.Serving;
using Axoneme.Proxy.Sockets;
using static Axoneme.Proxy.Tests.Text;

namespace Axoneme.Proxy.Tests;

public sealed class QueryLogTests : IDisposable
{
    private readonly QueryLog _log = new() { IsOn = true };
    private readonly AnswerContents _contents = new();
    private readonly byte[] _message = Packets.Chain();

    [Fact]
    public void A_record_reads_as_the_message_says()
    {
        Add("www.example.com");
        QueryRecord record = Assert.Single(Take(out long lost));
        Assert.Equal(0, lost);
        Assert.Equal(new L4Address(Ip("10.0.0.7"), 4000, L4Protocol.Udp), record.Client);
        Assert.Equal(new L4Address(Ip("fd00::1:53"), 53, L4Protocol.Udp), record.Server);
        Assert.Equal((7, "www.example.com", QueryOutcome.Answered, (int?)0, 30u, 77L),
            (record.Endpoint, record.Name, record.Outcome, record.Rcode, record.Ttl, record.Latency));
        Assert.Equal([DnsType.Cname, DnsType.A, DnsType.Aaaa, DnsType.Txt], record.AnswerTypes);
        Assert.Equal([Ip("192.0.2.1"), Ip("192.0.2.2"), Ip("1:203:405:607:809:a0b:c0d:e0f")], record.Addresses);
        Assert.Equal(["edge.cdn.example.net", "a.cdn.example.net"], record.Cnames);
    }

    [Fact]
    public void The_root_is_a_dot_and_odd_names_are_escaped()
    {
        Add("");
        Add(@"a\034\092b");
        Assert.Equal([".", @"a\034\092b"], Take(out _).Select(r => r.Name));
    }

    [Fact]
    public void What_does_not_fit_is_counted()
    {
        for (int i = 0; i < 5000; i++)
            Add($"n{i}.example");
        IReadOnlyList<QueryRecord> records = Take(out long lost);
        Assert.Equal(5000, records.Count + lost);
        Assert.Equal(Enumerable.Range(0, records.Count).Select(i => $"n{i}.example"), records.Select(r => r.Name));
        Add("again.example");
        Assert.Equal("again.example", Assert.Single(Take(out lost)).Name);
        Assert.Equal(0, lost);
    }

    [Fact]
    public void A_record_costs_no_object()
    {
        Add("www.example.com");
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
            Add("www.example.com");
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    public void Dispose() => _log.Dispose();

    private void Add(string name)
    {
        DnsQuestion.TryRead(_message, s_name, out DnsQuestion question);
        _contents.TryRead(_message, question);
        var line = new QueryLine
        {
            Time = 5,
            Endpoint = 7,
            Client = new SocketAddress(Ip4, 4000),
            Server = new SocketAddress(Ip6, 53),
            Protocol = L4Protocol.Udp,
            ServerIdentity = new SecurityIdentity(2),
            Name = name,
            QueryType = DnsType.A,
            Outcome = QueryOutcome.Answered,
            Rcode = DnsRcode.NoError,
            Latency = 77,
        };
        _log.Add(line, _contents, _message);
    }

    private static readonly byte[] s_name = new byte[DnsName.MaximalTextBytes];
    private static readonly IpAddress Ip4 = Ip("10.0.0.7"), Ip6 = Ip("fd00::1:53");

    private IReadOnlyList<QueryRecord> Take(out long lost)
    {
        var json = new ArrayBufferWriter<byte>();
        json.Write("{\"kind\":\"queries\",\"lost\":0,\"records\":["u8);
        _log.Take(json, isFirst: true, out lost);
        json.Write("]}"u8);
        var queries = (Queries)JsonSerializer.Deserialize(Encoding.UTF8.GetString(json.WrittenSpan), MessageJson.Default.ProxyMessage)!;
        return queries.Records;
    }
}
