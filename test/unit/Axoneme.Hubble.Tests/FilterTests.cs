// SPDX-License-Identifier: Apache-2.0
using Axoneme.Hubble.Api;
using Axoneme.Hubble.Filters;

namespace Axoneme.Hubble.Tests;

public sealed class FilterTests
{
    private static readonly string[] Names = ["a", "ab", "b"];
    private static readonly string[] Addresses = ["10.0.0.1", "10.0.1.1", "fd00::1"];

    [Fact]
    public void Compiled_filters_agree_with_a_naive_reading_of_the_rules()
    {
        var random = new Random(99);
        int passed = 0;
        for (int i = 0; i < 5000; i++)
        {
            FlowFilter[] allow = [.. Enumerable.Range(0, random.Next(3)).Select(_ => RandomFilter(random))];
            FlowFilter[] deny = [.. Enumerable.Range(0, random.Next(2)).Select(_ => RandomFilter(random))];
            FlowFilters compiled = FlowFilters.Compile(allow, deny);
            for (int f = 0; f < 10; f++)
            {
                Flow flow = RandomFlow(random);
                bool expected = (allow.Length == 0 || allow.Any(a => Naive(a, flow))) && !deny.Any(d => Naive(d, flow));
                Assert.True(expected == compiled.Matches(flow), $"expected {expected}: {flow} with [{string.Join(',', (object[])allow)}] not [{string.Join(',', (object[])deny)}]");
                passed += expected ? 1 : 0;
            }
        }

        // Neither side of the comparison is trivial.
        Assert.InRange(passed, 2_000, 48_000);
    }

    [Theory]
    [InlineData("app=web", true)]
    [InlineData("k8s:app=web", true)]
    [InlineData("any:app=web", true)]
    [InlineData("cidr:app=web", false)]
    [InlineData("app==web,tier!=db", true)]
    [InlineData("app in (db, web), !debug", true)]
    [InlineData("app notin (db, web)", false)]
    [InlineData("missing notin (x)", true)]
    [InlineData("reserved:host", true)]
    [InlineData("host", true)]
    [InlineData("!app", false)]
    [InlineData("app", true)]
    [InlineData("app!=web", false)]
    public void Label_selectors_are_those_of_kubernetes(string selector, bool expected)
        => Assert.Equal(expected, LabelSelector.Parse(selector).Matches(["k8s:app=web", "reserved:host"]));

    [Theory]
    [InlineData("")]
    [InlineData("a=b=c d")]
    [InlineData("a in b")]
    [InlineData("a in (b")]
    [InlineData("a in ((b))")]
    [InlineData("a,,b")]
    [InlineData("=x")]
    public void Broken_selectors_are_refused(string selector) => Assert.Throws<FormatException>(() => LabelSelector.Parse(selector));

    [Theory]
    [InlineData("shop/cart", "shop", "cart-1", true)]
    [InlineData("shop/", "shop", "x", true)]
    [InlineData("/cart", "other", "cart-1", true)]
    [InlineData("cart", "default", "cart-1", true)]
    [InlineData("cart", "shop", "cart-1", false)]
    [InlineData("/", "", "", false)]
    public void Pod_filter_is_a_namespace_and_a_prefix(string filter, string ns, string pod, bool expected)
    {
        FlowFilters filters = FlowFilters.Compile([new FlowFilter { SourcePod = { filter } }], []);
        Assert.Equal(expected, filters.Matches(new Flow { Source = new Endpoint { Namespace = ns, PodName = pod } }));
    }

    [Theory]
    [InlineData("node-*", "c1/node-1", true)]
    [InlineData("c1/node-1", "c1/node-1", true)]
    [InlineData("c2/*", "c1/node-1", false)]
    [InlineData("default/node-1", "node-1", true)]
    [InlineData("c1/", "c1/node-1", true)]
    public void Node_names_match_with_their_cluster(string pattern, string node, bool expected)
        => Assert.Equal(expected, FlowFilters.Compile([new FlowFilter { NodeName = { pattern } }], []).Matches(new Flow { NodeName = node }));

    [Theory]
    [InlineData("*.example.com", "api.example.com", true)]
    [InlineData("*.Example.com.", "api.example.com", true)]
    [InlineData("example.com", "api.example.com", false)]
    public void Fqdn_globs_match_whole_names(string pattern, string name, bool expected)
        => Assert.Equal(expected, FlowFilters.Compile([new FlowFilter { SourceFqdn = { pattern } }], []).Matches(new Flow { SourceNames = { name } }));

    [Fact]
    public void Unknown_reply_counts_as_a_request_only_for_drops()
    {
        FlowFilters requests = FlowFilters.Compile([new FlowFilter { Reply = { false } }], []);
        FlowFilters replies = FlowFilters.Compile([new FlowFilter { Reply = { true } }], []);
        var drop = new Flow { Verdict = Verdict.Dropped };
        Assert.True(requests.Matches(drop));
        Assert.False(replies.Matches(drop));
        Assert.False(requests.Matches(new Flow { Verdict = Verdict.Forwarded }));
        Assert.True(replies.Matches(new Flow { Verdict = Verdict.Forwarded, IsReply = true }));
    }

    [Theory]
    [InlineData("404", 404, true)]
    [InlineData("4+", 404, true)]
    [InlineData("40+", 414, false)]
    public void Http_status_is_exact_or_a_prefix(string pattern, uint code, bool expected)
    {
        FlowFilters filters = FlowFilters.Compile([new FlowFilter { HttpStatusCode = { pattern } }], []);
        Assert.Equal(expected, filters.Matches(new Flow { L7 = new Layer7 { Http = new HTTP { Code = code } } }));
        Assert.False(filters.Matches(new Flow()));
    }

    [Fact]
    public void Http_filter_with_another_event_type_is_refused()
        => Assert.Throws<FormatException>(() => FlowFilters.Compile(
            [new FlowFilter { HttpMethod = { "GET" }, EventType = { new EventTypeFilter { Type = 4 } } }], []));

    private static FlowFilter RandomFilter(Random random)
    {
        var filter = new FlowFilter();
        if (random.Next(3) == 0)
            filter.Verdict.Add(Pick(random, Verdict.Forwarded, Verdict.Dropped));
        if (random.Next(3) == 0)
            filter.SourceIp.Add(Pick(random, "10.0.0.0/24", "10.0.0.1", "fd00::/16", "10.0.0.0/8"));
        if (random.Next(3) == 0)
            filter.DestinationPort.Add([Pick(random, "1", "2"), Pick(random, "2", "3")]);
        if (random.Next(3) == 0)
            filter.SourcePod.Add($"{Pick(random, "", "a", "b")}/{Pick(random, Names)}");
        if (random.Next(3) == 0)
            filter.Protocol.Add(Pick(random, "tcp", "UDP", "icmp"));
        if (random.Next(3) == 0)
            filter.EventType.Add(new EventTypeFilter { Type = Pick(random, 0, 1, 4), MatchSubType = random.Next(2) == 0, SubType = random.Next(3) });
        if (random.Next(3) == 0)
            filter.TcpFlags.Add(new TCPFlags { SYN = random.Next(2) == 0, ACK = random.Next(2) == 0 });
        if (random.Next(3) == 0)
            filter.SourceIdentity.Add((uint)random.Next(3));
        return filter;
    }

    private static Flow RandomFlow(Random random) => new()
    {
        Verdict = Pick(random, Verdict.Forwarded, Verdict.Dropped),
        IP = new IP { Source = Pick(random, Addresses) },
        EventType = new CiliumEventType { Type = Pick(random, 1, 4, 5), SubType = random.Next(3) },
        Source = new Endpoint { Identity = (uint)random.Next(3), Namespace = Pick(random, "a", "b"), PodName = Pick(random, Names) },
        L4 = random.Next(2) == 0
            ? new Layer4 { UDP = new UDP { DestinationPort = (uint)random.Next(4) } }
            : new Layer4 { TCP = new TCP { DestinationPort = (uint)random.Next(4), Flags = new TCPFlags { SYN = random.Next(2) == 0, ACK = random.Next(2) == 0 } } },
    };

    private static bool Naive(FlowFilter filter, Flow flow)
    {
        bool isTcp = flow.L4.TCP is not null;
        string port = (isTcp ? flow.L4.TCP!.DestinationPort : flow.L4.UDP.DestinationPort).ToString();
        return (filter.Verdict.Count == 0 || filter.Verdict.Contains(flow.Verdict))
            && (filter.SourceIp.Count == 0 || filter.SourceIp.Any(p => NaiveContains(p, flow.IP.Source)))
            && (filter.DestinationPort.Count == 0 || filter.DestinationPort.Contains(port))
            && (filter.SourcePod.Count == 0 || filter.SourcePod.Any(p => NaivePod(p, flow.Source)))
            && (filter.Protocol.Count == 0 || filter.Protocol.Any(p => p == (isTcp ? "tcp" : "UDP")))
            && (filter.EventType.Count == 0 || filter.EventType.Any(t
                => (t.Type == 0 || t.Type == flow.EventType.Type) && (!t.MatchSubType || t.SubType == flow.EventType.SubType)))
            && (filter.TcpFlags.Count == 0 || filter.TcpFlags.Any(f
                => isTcp && (!f.SYN || flow.L4.TCP!.Flags.SYN) && (!f.ACK || flow.L4.TCP!.Flags.ACK)))
            && (filter.SourceIdentity.Count == 0 || filter.SourceIdentity.Contains(flow.Source.Identity));
    }

    private static bool NaiveContains(string prefix, string address) => prefix switch
    {
        "10.0.0.0/24" => address.StartsWith("10.0.0.", StringComparison.Ordinal),
        "10.0.0.0/8" => address.StartsWith("10.", StringComparison.Ordinal),
        "fd00::/16" => address.StartsWith("fd00:", StringComparison.Ordinal),
        _ => prefix == address,
    };

    private static bool NaivePod(string filter, Endpoint side)
    {
        string[] parts = filter.Split('/');
        return (parts[0] == "" || parts[0] == side.Namespace) && side.PodName.StartsWith(parts[1], StringComparison.Ordinal);
    }

    private static T Pick<T>(Random random, params T[] values) => values[random.Next(values.Length)];
}
