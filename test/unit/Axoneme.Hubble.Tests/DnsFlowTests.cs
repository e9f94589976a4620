// SPDX-License-Identifier: Apache-2.0
using Axoneme.Hubble.Api;
using Axoneme.Network;

namespace Axoneme.Hubble.Tests;

public sealed class DnsFlowTests
{
    private static readonly DnsExchange Question = new()
    {
        TimeNs = 1_000_000_000,
        Client = new L4Address(IpAddress.Parse("10.0.0.4"), 40000, L4Protocol.Udp),
        Server = new L4Address(IpAddress.Parse("10.0.0.53"), 53, L4Protocol.Udp),
        ServerIdentity = new SecurityIdentity(400),
        Verdict = DnsVerdict.Forwarded,
        IsResponse = false,
        Query = "db.shop.svc.",
        QueryType = 1,
    };

    [Fact]
    public void Question_names_what_is_asked()
    {
        Assert.Equal("DNS Query db.shop.svc. A", DnsFlow.Summary(Question));
        Layer7 layer = DnsFlow.Render(Question);
        Assert.Equal((L7FlowType.Request, "db.shop.svc.", "proxy"), (layer.Type, layer.Dns.Query, layer.Dns.ObservationSource));
        Assert.Equal(["A"], layer.Dns.Qtypes);
        Assert.Empty(layer.Dns.Ips);
    }

    [Fact]
    public void Answer_has_addresses_aliases_and_latency()
    {
        DnsExchange answer = Question with
        {
            IsResponse = true,
            Addresses = [IpAddress.Parse("10.1.0.9"), IpAddress.Parse("10.1.0.10")],
            Cnames = ["x.example."],
            AnswerTypes = [5, 1],
            Ttl = 30,
            LatencyNs = 2_000_000,
        };
        Assert.Equal("DNS Answer \"10.1.0.9,10.1.0.10\" CNAMEs: \"x.example.\" TTL: 30 (Proxy db.shop.svc. A)", DnsFlow.Summary(answer));
        Layer7 layer = DnsFlow.Render(answer);
        Assert.Equal((L7FlowType.Response, 2_000_000ul, 30u, 0u), (layer.Type, layer.LatencyNs, layer.Dns.Ttl, layer.Dns.Rcode));
        Assert.Equal(["CNAME", "A"], layer.Dns.Rrtypes);
    }

    [Fact]
    public void Refusal_says_so_in_words()
    {
        DnsExchange refusal = Question with { IsResponse = true, Rcode = 5, Ttl = uint.MaxValue, Verdict = DnsVerdict.Denied };
        Assert.Equal("DNS Answer RCode: Query Refused TTL: 4294967295 (Proxy db.shop.svc. A)", DnsFlow.Summary(refusal));
    }
}
