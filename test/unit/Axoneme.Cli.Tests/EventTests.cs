// SPDX-License-Identifier: Apache-2.0
using Axoneme.Cli.Hubble;
using Axoneme.Hubble.Api;
using Google.Protobuf.WellKnownTypes;

namespace Axoneme.Cli.Tests;

/// <summary>Events that are no flows, and the settings of hubble.</summary>
public sealed class EventTests : IDisposable
{
    private static readonly Timestamp At = Timestamp.FromDateTimeOffset(new DateTimeOffset(2026, 3, 4, 5, 6, 7, TimeSpan.Zero));

    private readonly string _file = Path.GetTempFileName();

    public void Dispose() => File.Delete(_file);

    public static TheoryData<string, AgentEvent> Events => new()
    {
        { "AGENT_STARTED (start time: Mar  4 05:06:07.000)", new() { Type = AgentEventType.AgentStarted, AgentStart = new() { Time = At } } },
        {
            "POLICY_UPDATED (labels: [k8s:x=y k8s:z], revision: 4, count: 2)",
            new() { Type = AgentEventType.PolicyUpdated, PolicyUpdate = new() { Labels = { "k8s:x=y", "k8s:z" }, Revision = 4, RuleCount = 2 } }
        },
        {
            "ENDPOINT_REGENERATE_FAILURE (id: 9, labels: [k8s:a=b], error: oops)",
            new() { Type = AgentEventType.EndpointRegenerateFailure, EndpointRegenerate = new() { Id = 9, Labels = { "k8s:a=b" }, Error = "oops" } }
        },
        {
            "ENDPOINT_CREATED (id: 9, namespace: shop, pod name: db-0)",
            new() { Type = AgentEventType.EndpointCreated, EndpointUpdate = new() { Id = 9, Namespace = "shop", PodName = "db-0" } }
        },
        {
            "IPCACHE_UPSERTED (cidr: 10.1.0.9/32, identity: 21002, old identity: 2, host ip: 10.5.0.1, encrypt key: 0)",
            new() { Type = AgentEventType.IpcacheUpserted, IpcacheUpdate = new() { Cidr = "10.1.0.9/32", Identity = 21002, OldIdentity = 2, HostIp = "10.5.0.1" } }
        },
        {
            "AGENT_EVENT_UNKNOWN (type: 99, notification: {})", new() { Unknown = new() { Type = "99", Notification = "{}" } }
        },
    };

    [Theory]
    [MemberData(nameof(Events))]
    public void Agent_event_is_its_type_with_details(string expected, AgentEvent happened)
        => Assert.Equal($"Mar  4 05:06:07.000: {expected}\n", Print("compact", false, p => p.Print(Response(happened))));

    [Fact]
    public void Agent_events_have_a_table_and_a_dictionary()
    {
        var started = new AgentEvent { Type = AgentEventType.AgentStarted, AgentStart = new() { Time = At } };
        Assert.Equal(
            """
            TIMESTAMP             NODE   TYPE            DETAILS
            Mar  4 05:06:07.000   c1/a   AGENT_STARTED   start time: Mar  4 05:06:07.000

            """, Print("table", true, p => p.Print(Response(started))));
        Assert.Equal(
            """
              TIMESTAMP: Mar  4 05:06:07.000
                   TYPE: AGENT_STARTED
                DETAILS: start time: Mar  4 05:06:07.000

            """, Print("dict", false, p => p.Print(Response(started))));
        Assert.Equal(
            """{"agent_event":{"type":"AGENT_STARTED","agent_start":{"time":"2026-03-04T05:06:07Z"}},"node_name":"c1/a","time":"2026-03-04T05:06:07Z"}""" + "\n",
            Print("json", false, p => p.Print(Response(started))));
    }

    [Theory]
    [InlineData("shop", "db-0", "", "shop/db-0 (ID: 9)")]
    [InlineData("", "", "reserved:host", "reserved:host (ID: 9)")]
    [InlineData("", "", "k8s:a", "ID: 9")]
    public void Debug_event_names_the_endpoint_as_well_as_it_is_known(string ns, string pod, string label, string expected)
    {
        var source = new Endpoint { ID = 9, Namespace = ns, PodName = pod };
        if (label.Length > 0)
            source.Labels.Add(label);
        var response = new GetDebugEventsResponse
        {
            Time = At,
            NodeName = "c1/a",
            DebugEvent = new() { Type = DebugEventType.DbgCtLookup, Source = source, Hash = 0xbeef, Cpu = 3, Message = "hello" },
        };
        Assert.Equal($"Mar  4 05:06:07.000 [c1/a]: {expected} DBG_CT_LOOKUP MARK: 0xbeef CPU: 03 (hello)\n", Print("compact", true, p => p.Print(response)));
    }

    [Fact]
    public void Settings_come_from_the_environment_before_the_file()
    {
        File.WriteAllText(_file, "# mine\nserver: \"relay.example:443\"\ntls: true\ntls-ca-cert-files:\n  - /a.pem\n  - /b.pem\ndebug: true\n");
        var settings = new HubbleSettings(_file, name => name == "HUBBLE_SERVER" ? "other:1" : null);
        Assert.Equal(["other:1", "true", "/a.pem,/b.pem", null], new[] { "server", "tls", "tls-ca-cert-files", "kubeconfig" }.Select(settings.Find));
        Assert.True(settings.IsTrue("debug"));
    }

    [Fact]
    public void Config_view_shows_every_setting_but_no_password()
    {
        File.WriteAllText(_file, "basic-auth-password: secret\nserver: a:1\n");
        var output = new StringWriter();
        Assert.Equal(0, new ConfigCommand(output, _ => null).Run(["view", "--config", _file]));
        Assert.StartsWith($"# {_file}\nbasic-auth-password: *****\nbasic-auth-username:\ndebug: false\n", output.ToString(), StringComparison.Ordinal);
        Assert.Contains("\nserver: a:1\n", output.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("observe -P --kube-context c1 --kube-namespace cilium", "kubectl --context c1 -n cilium port-forward service/hubble-relay 4245:80")]
    [InlineData("status --port-forward --port-forward-port 5000", "--server localhost:5000")]
    [InlineData("config set server x", "settings are changed in ")]
    [InlineData("config get nope", "there is no setting")]
    [InlineData("observe agent-events -o table -f", "not compatible")]
    [InlineData("observe debug-events --first 1 --last 1", "cannot set both")]
    [InlineData("observe agent-events --server unix:///nonexistent.sock", "code = Unavailable")]
    [InlineData("status --config /nonexistent.yaml", "the configuration cannot be read")]
    public async Task What_cannot_be_done_is_explained(string arguments, string expected)
    {
        var errors = new StringWriter();
        Assert.Equal(1, await HubbleCommand.RunAsync(
            arguments.Split(' '), new StringWriter(), errors, isTerminal: false, TestContext.Current.CancellationToken));
        Assert.Contains(expected, errors.ToString(), StringComparison.Ordinal);
    }

    private static GetAgentEventsResponse Response(AgentEvent happened) => new() { AgentEvent = happened, NodeName = "c1/a", Time = At };

    private static string Print(string format, bool withNode, Action<EventPrinter> print)
    {
        var output = new StringWriter();
        var printer = new EventPrinter(new FlowPrinterOptions { Output = FlowPrinterOptions.ParseOutput(format), PrintNodeName = withNode }, output);
        print(printer);
        printer.Close();
        return output.ToString();
    }
}
