// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using Axoneme.Dns;
using Axoneme.Network;

namespace Axoneme.DnsProxy.Tests;

public sealed class MessageTests
{
    private static readonly IpAddress Pod = IpAddress.Parse("10.0.0.7");
    private static readonly IpAddress Server6 = IpAddress.Parse("fd00::53");

    public static TheoryData<ProxyMessage> Every() =>
    [
        new AgentHello(),
        new SnapshotBegin(),
        new SnapshotEnd(),
        new SetOptions(new ProxyOptions { Reject = RejectCode.NameError, MinimalTtlSeconds = 3600 }),
        new UpdateEndpoints(
            [new ProxiedEndpoint(7, new SecurityIdentity(4711), [Pod], [new DnsRule(new SecurityIdentity(0), L4Protocol.Udp, 53, 16, [Pattern("*.example.com")])])],
            [9]),
        new UpdateSets([new SelectorSet(new SecurityIdentity(0x0100_0001), [Pattern("a.example"), Pattern("**.b")], IpPrefix.Parse("10.0.0.0/8"))], [new SecurityIdentity(5)]),
        new UpdatePrefixes([IpPrefix.Parse("fd00::/8")], []),
        new Forget(DnsPattern.Everything, 7),
        new LearnedAcknowledgement([1, 2]),
        new ProxyHello(10053, 1),
        new CacheContents([new CachedMapping(7, "a.example", Pod, 2, 1, 1)]),
        new WrittenAddresses([new WrittenAddress(Server6, new SecurityIdentity(3))]),
        new CacheEnd(),
        new SyncRequest(8),
        new SyncReply(8),
        new Learned(3, [new LearnedName(7, "a.example", [Pod, Server6], 30, 1)]),
        new Queries(
            [
                new QueryRecord
                {
                    Time = 1, Endpoint = 7, Client = new L4Address(Pod, 40000, L4Protocol.Udp), Server = new L4Address(Server6, 53, L4Protocol.Udp),
                    ServerIdentity = new SecurityIdentity(2), Name = "a.example", QueryType = 28, Outcome = QueryOutcome.Answered, Rcode = 0,
                    AnswerTypes = [5, 28], Addresses = [Server6], Cnames = ["b.example"], Ttl = 5, Latency = 77,
                },
            ],
            12),
        new Counters { Received = 5, UpstreamLatency = [1, 2] },
    ];

    [Theory]
    [MemberData(nameof(Every))]
    public void Every_message_survives_the_way(ProxyMessage message)
    {
        string json = JsonSerializer.Serialize(message, MessageJson.Default.ProxyMessage);
        ProxyMessage? read = JsonSerializer.Deserialize(json, MessageJson.Default.ProxyMessage);
        Assert.Equal(message.GetType(), read?.GetType());
        Assert.Equal(json, JsonSerializer.Serialize(read, MessageJson.Default.ProxyMessage));
    }

    [Fact]
    public void Every_kind_of_message_is_tried()
    {
        Type[] kinds = [.. typeof(ProxyMessage).GetCustomAttributes(inherit: false)
            .OfType<System.Text.Json.Serialization.JsonDerivedTypeAttribute>().Select(a => a.DerivedType)];
        Assert.Equal(kinds.OrderBy(t => t.Name), Every().Select(m => m.Data.GetType()).Distinct().OrderBy(t => t.Name));
    }

    [Fact]
    public void What_an_older_version_leaves_out_has_its_default()
    {
        var options = (SetOptions)JsonSerializer.Deserialize("""{"kind":"options","options":{"minimalTtlSeconds":5}}""", MessageJson.Default.ProxyMessage)!;
        Assert.Equal(new ProxyOptions { MinimalTtlSeconds = 5 }, options.Options);
        var counters = (Counters)JsonSerializer.Deserialize("""{"kind":"counters","received":1}""", MessageJson.Default.ProxyMessage)!;
        Assert.Empty(counters.UpstreamLatency);
        const string address = """{"address":"10.0.0.1","port":53,"protocol":"Udp"}""";
        QueryRecord record = JsonSerializer.Deserialize(
            $$"""{"time":1,"endpoint":2,"client":{{address}},"server":{{address}},"serverIdentity":2,"name":"a.example","queryType":1,"outcome":"Refused"}""",
            MessageJson.Default.QueryRecord)!;
        Assert.Equal((0, 0, 0), (record.Addresses.Count, record.AnswerTypes.Count, record.Cnames.Count));
    }

    [Theory]
    [InlineData("""{"kind":"learned","id":1}""", "mappings")]
    [InlineData("""{"kind":"cache"}""", "mappings")]
    [InlineData("""{"kind":"queries","records":[{"time":1}],"lost":0}""", "endpoint")]
    [InlineData("""{"kind":"endpoints","upsert":[{"id":1,"identity":2,"addresses":[]}],"remove":[]}""", "rules")]
    [InlineData("""{"kind":"learned","id":1,"mappings":[{"endpoint":1,"name":"a","addresses":null,"ttl":1,"lookupTime":1}]}""", "addresses")]
    [InlineData("""{"kind":"counters","upstreamLatency":null}""", "UpstreamLatency")]
    public void An_error_names_the_field(string json, string field)
    {
        JsonException error = Assert.ThrowsAny<JsonException>(() => JsonSerializer.Deserialize(json, MessageJson.Default.ProxyMessage));
        Assert.Contains(field, error.Message, StringComparison.OrdinalIgnoreCase);
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"kind":"nonsense"}""")]
    [InlineData("""{"kind":"endpoints","upsert":null,"remove":[]}""")]
    [InlineData("""{"kind":"endpoints","upsert":[]}""")]
    [InlineData("""{"kind":"prefixes","add":["10.0.0.0/33"],"remove":[]}""")]
    [InlineData("""{"kind":"forget","names":"a b"}""")]
    [InlineData("""{"kind":"options","options":{"reject":"Perhaps"}}""")]
    public void What_is_incomplete_or_wrong_is_refused(string json)
        => Assert.ThrowsAny<Exception>(() => JsonSerializer.Deserialize(json, MessageJson.Default.ProxyMessage));

    private static DnsPattern Pattern(string text) => DnsPattern.TryParsePattern(text, out DnsPattern pattern, out _) ? pattern : throw new FormatException(text);
}
