// SPDX-License-Identifier: Apache-2.0
using Axoneme.Cli.Hubble;

namespace Axoneme.Cli.Tests;

public sealed class ObserveTests : IDisposable
{
    private const string Flows =
        """
        {"flow":{"time":"2026-03-04T05:06:07.123456789Z","verdict":"FORWARDED","IP":{"source":"10.1.0.5","destination":"10.1.0.9","ipVersion":"IPv4"},"l4":{"TCP":{"source_port":40112,"destination_port":8080,"flags":{"SYN":true}}},"source":{"ID":12,"identity":21001,"namespace":"shop","pod_name":"cart-abcde"},"destination":{"identity":21002,"namespace":"shop","pod_name":"db-0"},"Type":"L3_L4","node_name":"c1/worker-a","event_type":{"type":4},"is_reply":false,"Summary":"TCP Flags: SYN"},"node_name":"c1/worker-a","time":"2026-03-04T05:06:07.123456789Z"}
        {"flow":{"time":"2026-03-04T05:06:07.200Z","verdict":"FORWARDED","IP":{"source":"10.1.0.9","destination":"10.1.0.5","ipVersion":"IPv4"},"l4":{"TCP":{"source_port":8080,"destination_port":40112,"flags":{"SYN":true,"ACK":true}}},"source":{"identity":21002,"namespace":"shop","pod_name":"db-0"},"destination":{"identity":21001,"namespace":"shop","pod_name":"cart-abcde"},"Type":"L3_L4","node_name":"c1/worker-a","event_type":{"type":4,"sub_type":3},"is_reply":true,"Summary":"TCP Flags: SYN, ACK"},"node_name":"c1/worker-a","time":"2026-03-04T05:06:07.200Z"}
        {"flow":{"time":"2026-03-04T05:06:08Z","verdict":"DROPPED","IP":{"source":"10.1.0.5","destination":"198.51.100.7","ipVersion":"IPv4"},"l4":{"UDP":{"source_port":5353,"destination_port":123}},"source":{"identity":21001,"namespace":"shop","pod_name":"cart-abcde"},"destination":{"identity":2},"Type":"L3_L4","node_name":"c1/worker-a","event_type":{"type":1,"sub_type":133},"Summary":"UDP"},"node_name":"c1/worker-a","time":"2026-03-04T05:06:08Z"}
        {"flow":{"time":"2026-03-04T05:06:08.500Z","verdict":"DROPPED","IP":{"source":"fd00::5","destination":"2001:db8::1","ipVersion":"IPv6"},"l4":{"UDP":{"source_port":5353,"destination_port":123}},"source":{"identity":1},"destination":{"identity":2},"destination_names":["time.example.net"],"Type":"L3_L4","node_name":"c1/worker-a","event_type":{"type":5},"traffic_direction":"EGRESS","Summary":"UDP"},"node_name":"c1/worker-a","time":"2026-03-04T05:06:08.500Z"}
        {"lost_events":{"source":"HUBBLE_RING_BUFFER","num_events_lost":"42","cpu":0,"first":"2026-03-04T05:06:01Z","last":"2026-03-04T05:06:02Z"},"node_name":"c1/worker-a","time":"2026-03-04T05:06:09.500Z"}
        {"node_status":{"state_change":"NODE_UNAVAILABLE","node_names":["c1/worker-c"]},"node_name":"relay-0","time":"2026-03-04T05:06:09.800Z"}
        """;

    private readonly string _file = Path.GetTempFileName();

    public ObserveTests() => File.WriteAllText(_file, Flows + "\n");

    public void Dispose() => File.Delete(_file);

    [Fact]
    public async Task Compact_keeps_the_initiator_on_the_left()
        => Assert.Equal(
            """
            Mar  4 05:06:07.123: shop/cart-abcde:40112 (ID:21001) -> shop/db-0:8080 (ID:21002) to-endpoint FORWARDED (TCP Flags: SYN)
            Mar  4 05:06:07.200: shop/cart-abcde:40112 (ID:21001) <- shop/db-0:8080 (ID:21002) to-stack FORWARDED (TCP Flags: SYN, ACK)
            Mar  4 05:06:08.000: shop/cart-abcde:5353 (ID:21001) <> 198.51.100.7:123 (world) Policy denied DROPPED (UDP)
            Mar  4 05:06:08.500: [fd00::5]:5353 (host) <> time.example.net:123 (world) policy-verdict:none EGRESS DENIED (UDP)
            Mar  4 05:06:09.500 EVENTS LOST: HUBBLE_RING_BUFFER CPU(0) 42 (first: Mar  4 05:06:01.000, last: Mar  4 05:06:02.000)

            """, await OutputAsync());

    [Fact]
    public async Task Node_events_go_to_the_error_output()
    {
        var errors = new StringWriter();
        Assert.Equal(0, await RunAsync(new StringWriter(), errors, "observe", "--input-file", _file));
        Assert.Equal("Mar  4 05:06:09.800 [relay-0]: 1 nodes are unavailable: c1/worker-c\n", errors.ToString());
    }

    [Fact]
    public async Task Dict_separates_flows_by_a_line()
        => Assert.Equal(
            """
              TIMESTAMP: Mar  4 05:06:07.123
                   NODE: c1/worker-a
                 SOURCE: shop/cart-abcde:40112
            DESTINATION: shop/db-0:8080
                   TYPE: to-endpoint
                VERDICT: FORWARDED
                SUMMARY: TCP Flags: SYN
            ------------
              TIMESTAMP: Mar  4 05:06:08.000
                   NODE: c1/worker-a
                 SOURCE: shop/cart-abcde:5353
            DESTINATION: 198.51.100.7:123
                   TYPE: Policy denied
                VERDICT: DROPPED
                SUMMARY: UDP
            ------------
              TIMESTAMP: Mar  4 05:06:09.500
                   NODE: c1/worker-a
                 SOURCE: HUBBLE_RING_BUFFER
                   TYPE: EVENTS LOST
                VERDICT: -
                SUMMARY: CPU(0) - 42 (first: Mar  4 05:06:01.000, last: Mar  4 05:06:02.000)

            """, await OutputAsync("-o", "dict", "--print-node-name", "--pod", "shop/cart", "--not", "--type", "trace:to-stack"));

    [Fact]
    public async Task Table_has_columns_three_blanks_apart()
        => Assert.Equal(
            """
            TIMESTAMP             SOURCE                 DESTINATION        TYPE            VERDICT   SUMMARY
            Mar  4 05:06:08.000   shop/cart-abcde:5353   198.51.100.7:123   Policy denied   DROPPED   UDP
            Mar  4 05:06:09.500   HUBBLE_RING_BUFFER     -                  EVENTS LOST     -         CPU(0) - 42 (first: Mar  4 05:06:01.000, last: Mar  4 05:06:02.000)

            """,
            await OutputAsync("-o", "table", "--type", "drop"));

    [Fact]
    public async Task Json_is_what_the_server_sent_on_one_line_with_proto_names()
    {
        string[] lines = (await OutputAsync("-o", "jsonpb", "--last", "5")).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        string[] sent = Flows.Split('\n');
        Assert.Equal(sent[2], lines[1]);
        Assert.Contains("\"num_events_lost\":\"42\"", lines[3], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--protocol", "udp", 2)]
    [InlineData("--verdict", "DROPPED", 2)]
    [InlineData("--to-port", "8080", 1)]
    [InlineData("--port", "8080", 2)]
    [InlineData("--from-ip", "10.1.0.0/29", 2)]
    [InlineData("--ip-version", "6", 1)]
    [InlineData("--identity", "world", 2)]
    [InlineData("--since", "2026-03-04T05:06:08Z", 2)]
    [InlineData("--until", "2026-03-04T05:06:07.150Z", 1)]
    [InlineData("--last", "1", 0)]
    [InlineData("--first", "3", 3)]
    [InlineData("--tcp-flags", "syn,ack", 1)]
    [InlineData("--traffic-direction", "egress", 1)]
    [InlineData("--namespace", "shop", 3)]
    [InlineData("--to-fqdn", "*.example.net", 1)]
    public async Task Filter_flag_selects(string flag, string value, int expected)
        => Assert.Equal(expected, (await OutputAsync(flag, value)).Split('\n').Count(l => l.Contains(": ", StringComparison.Ordinal) && !l.Contains("EVENTS LOST", StringComparison.Ordinal)));

    [Theory]
    [InlineData("--pod a/b", """{"source_pod":["a/b"]} {"destination_pod":["a/b"]}""", "")]
    [InlineData("--from-pod b", """{"source_pod":["b"]}""", "")]
    [InlineData("--pod x -n ns1", """{"source_pod":["ns1/x"]} {"destination_pod":["ns1/x"]}""", "")]
    [InlineData("-A", """{"source_pod":["/"]} {"destination_pod":["/"]}""", "")]
    [InlineData("-n n1 --service web", """{"source_service":["n1/web"]} {"destination_service":["n1/web"]}""", "")]
    [InlineData("--to-namespace foo --from-pod bar", """{"source_pod":["bar"],"destination_pod":["foo/"]}""", "")]
    [InlineData("--to-ip 10.0.0.0/8 --not --verdict DROPPED", """{"destination_ip":["10.0.0.0/8"]}""", """{"verdict":["DROPPED"]}""")]
    [InlineData("--identity world", """{"source_identity":[2]} {"destination_identity":[2]}""", "")]
    [InlineData("-t trace:to-endpoint -t drop", """{"event_type":[{"type":4,"match_sub_type":true},{"type":1}]}""", "")]
    [InlineData("--not --pod a/b --not --to-port 80", "", """{"source_pod":["a/b"],"destination_port":["80"]} {"destination_pod":["a/b"],"destination_port":["80"]}""")]
    [InlineData("--ip-version none", """{"ip_version":["IP_NOT_USED"]}""", "")]
    [InlineData("""--allowlist {"uuid":["1"]}{"uuid":["2"]}""", """{"uuid":["1"]} {"uuid":["2"]}""", "")]
    public async Task Flags_become_these_filters(string flags, string allow, string deny)
    {
        var expected = new StringWriter();
        foreach ((string name, string filters) in new[] { ("allowlist", allow), ("denylist", deny) })
        {
            if (filters.Length > 0)
                expected.WriteLine($"{name}:");
            foreach (string filter in filters.Split(' ', StringSplitOptions.RemoveEmptyEntries))
                expected.WriteLine($"    - '{filter}'");
        }

        var output = new StringWriter();
        Assert.Equal(0, await RunAsync(output, new StringWriter(), ["observe", "--print-raw-filters", .. flags.Split(' ')]));
        Assert.Equal(expected.ToString(), output.ToString());
    }

    [Theory]
    [InlineData("--first 1 --last 1", "cannot set both")]
    [InlineData("--first 1 --follow", "cannot set both")]
    [InlineData("-o table -f", "table")]
    [InlineData("-o yaml", "invalid output format")]
    [InlineData("--verdict nope", "--verdict")]
    [InlineData("--not", "--not")]
    [InlineData("--nope", "unknown flag: --nope")]
    [InlineData("--since yesterday", "since")]
    [InlineData("--ip 1.2.3.4 --pod a", "cannot be combined")]
    [InlineData("--pod b/x -n a", "conflicts")]
    [InlineData("--last", "flag needs an argument")]
    [InlineData("--server unix:///nonexistent.sock", "code = Unavailable")]
    public async Task Bad_input_is_one_clear_error(string flags, string expected)
    {
        var errors = new StringWriter();
        Assert.Equal(1, await RunAsync(new StringWriter(), errors, ["observe", .. flags.Split(' ')]));
        Assert.Contains(expected, errors.ToString(), StringComparison.Ordinal);
        Assert.Single(errors.ToString().TrimEnd('\n').Split('\n'));
    }

    [Fact]
    public async Task Colours_only_on_a_terminal_or_on_demand()
    {
        Assert.DoesNotContain('\u001b', await OutputAsync());
        Assert.Contains("\u001b[32mFORWARDED\u001b[0m", await OutputAsync("--color", "always"), StringComparison.Ordinal);
    }

    private async Task<string> OutputAsync(params string[] flags)
    {
        var output = new StringWriter();
        Assert.Equal(0, await RunAsync(output, new StringWriter(), ["observe", "--input-file", _file, .. flags]));
        return output.ToString();
    }

    private static Task<int> RunAsync(TextWriter output, TextWriter errors, params string[] arguments)
        => HubbleCommand.RunAsync(arguments, output, errors, isTerminal: false, TestContext.Current.CancellationToken);
}
