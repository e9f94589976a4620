// SPDX-License-Identifier: Apache-2.0
using Axoneme.AgentApi;
using Axoneme.Cli.Cilium;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Network;
using EndpointPolicy = Axoneme.Datapath.EndpointPolicy;

namespace Axoneme.Cli.Tests;

/// <summary>Layouts of <c>cilium bpf</c>, from values as the maps have them.</summary>
public sealed class BpfTests
{
    private static readonly ServiceMapKey Api = new(new L4Address(IpAddress.Parse("10.96.0.1"), 443, L4Protocol.Tcp));
    private static readonly ServiceMapKey Dns = new(new L4Address(IpAddress.Parse("fd00:96::a"), 53, L4Protocol.Udp), LbScope.Internal);
    private static readonly BackendMapEntry ApiBackend = new(new L4Address(IpAddress.Parse("10.5.0.2"), 6443, L4Protocol.Tcp));

    private static readonly ServiceSlotEntry[] Slots =
    [
        new(Dns, 0, 4) { Flags = LbFlags.NodePort | LbFlags.Routable | LbFlags.ExternalLocal | LbFlags.Affinity, Flags2 = LbFlags2.TwoScopes },
        new(Dns, 1, 4, BackendId: 9),
        new(Api, 1, 3, BackendId: 7, ApiBackend),
        new(Api, 0, 3),
    ];

    [Fact]
    public void Services_are_listed_slot_by_slot_with_their_number()
        => Assert.Equal(
            """
            SERVICE ADDRESS             BACKEND ADDRESS (REVNAT_ID) (SLOT)
            10.96.0.1:443/TCP (0)       0.0.0.0:0 (3) (0) [ClusterIP, non-routable]
            10.96.0.1:443/TCP (1)       10.5.0.2:6443/TCP (3) (1)
            [fd00:96::a]:53/UDP/i (0)   [::]:0 (4) (0) [NodePort, Local, two-scopes, sessionAffinity]
            [fd00:96::a]:53/UDP/i (1)   backend 9 not found (4) (1)

            """, Print((o, f) => new BpfServiceText(o, f).Print(Slots, ServiceView.Slots)));

    [Fact]
    public void Frontends_backends_and_numbers_have_tables_of_their_own()
    {
        Assert.Equal(
            """
            SERVICE ADDRESS             BACKEND ADDRESS (REVNAT_ID) (SLOT)
            10.96.0.1:443/TCP (0)       0.0.0.0:0 (3) (0) [ClusterIP, non-routable]
            [fd00:96::a]:53/UDP/i (0)   [::]:0 (4) (0) [NodePort, Local, two-scopes, sessionAffinity]

            """, Print((o, f) => new BpfServiceText(o, f).Print(Slots, ServiceView.Frontends)));
        Assert.Equal(
            """
            ID   SERVICE ADDRESS
            3    10.96.0.1:443
            4    [fd00:96::a]:53

            """, Print((o, f) => new BpfServiceText(o, f).PrintReverseNat(
                [new ReverseNatEntry(4, Dns.Frontend.Address, 53), new ReverseNatEntry(3, Api.Frontend.Address, 443)])));
        Assert.Equal(
            """
            ID   BACKEND ADDRESS (STATE)
            7    10.5.0.2:6443/TCP (active)
            8    10.5.0.2:6443/TCP (terminating)

            """, Print((o, f) => new BpfServiceText(o, f).PrintBackends([(8, ApiBackend with { State = LbBackendState.Terminating }), (7, ApiBackend)])));
    }

    [Fact]
    public void Services_as_json_are_lists_by_address()
        => Assert.Equal(
            """
            {
              "10.96.0.1:443/TCP (1)": [
                "10.5.0.2:6443/TCP (3) (1)"
              ]
            }

            """, Print((o, f) => new BpfServiceText(o, f).Print([Slots[2]], ServiceView.Slots), "-o", "json"));

    [Theory]
    [InlineData("10.244.1.5", false, "OUT", "RxFlagsSeen=0x12 LastRxReport=21 TxFlagsSeen=0x02 LastTxReport=11", "TxClosing SeenNonSyn Replied ")]
    [InlineData("10.244.1.9", true, "IN", "RxFlagsSeen=0x02 LastRxReport=11 TxFlagsSeen=0x12 LastTxReport=21", "RxClosing SeenNonSyn Replied ")]
    public void Connection_is_told_from_the_end_that_is_here(string local, bool withTimeLeft, string direction, string seen, string flags)
    {
        string left = withTimeLeft ? " (remaining: 60 sec(s))" : "";
        Assert.Equal(
            $"TCP {direction} 10.244.1.5:40000 -> 10.244.1.9:80 expires=1060{left} Packets=7 Bytes=700 {seen} "
            + $"Flags=0x000e [ {flags}] RevNAT=3 SourceSecurityID=27191 BackendID=0\n",
            Print((o, f) => new BpfConntrackText(o, f).Print([Connection], new HashSet<IpAddress> { IpAddress.Parse(local) }, withTimeLeft)));
    }

    [Fact]
    public void Connection_to_a_service_address_shows_the_backend()
    {
        ConntrackEntry entry = new(
            new L4Address(IpAddress.Parse("fd00::5"), 40000, L4Protocol.Udp), new L4Address(IpAddress.Parse("fd00:96::a"), 53, L4Protocol.Udp),
            CtScope.Service, 0, TimeSpan.FromSeconds(5))
        { Backend = 9, ReverseNat = 4, Expires = 77 };
        Assert.Equal(
            "UDP SVC [fd00::5]:40000 -> [fd00:96::a]:53 expires=77 Packets=0 Bytes=0 RxFlagsSeen=0x00 LastRxReport=0 TxFlagsSeen=0x00 "
            + "LastTxReport=0 Flags=0x0000 [ ] RevNAT=4 SourceSecurityID=0 BackendID=9\n",
            Print((o, f) => new BpfConntrackText(o, f).Print([entry], new HashSet<IpAddress>(), withTimeLeft: false)));
        Assert.Equal("9\n", Print((o, f) => new BpfConntrackText(o, f).Print([entry], new HashSet<IpAddress>(), false), "-o", "jsonpath={[0].backendId}"));
    }

    [Fact]
    public void Policy_shows_labels_or_numbers_and_the_winner_first()
    {
        Assert.Equal(
            """
            POLICY   DIRECTION   LABELS (source:key[=value])   PORT/PROTO      PROXY PORT   AUTH TYPE   BYTES   PACKETS   PREFIX   COOKIE
            Deny     Ingress     k8s:app=web                   80/TCP          NONE         disabled    -       -         24       7
                                 k8s:tier=x
            Allow    Ingress     reserved:host                 ANY             NONE         disabled    -       -         0        0
            Allow    Egress      ANY                           8192-8199/UDP   10001        disabled    -       -         21       0
            Allow    Egress      4711                          ANY/ICMPv6      NONE         disabled    -       -         8        0

            """, TrimLines(Print((o, f) => Policies(o, f, isNumeric: false).PrintOne(Policy))));
        Assert.StartsWith(
            """
            POLICY   DIRECTION   IDENTITY   PORT/PROTO      PROXY PORT   AUTH TYPE   BYTES   PACKETS   PREFIX   COOKIE
            Deny     Ingress     27191      80/TCP          NONE         disabled    -       -         24       7
            Allow    Ingress     1          ANY             NONE         disabled    -       -         0        0
            Allow    Egress      0          8192-8199/UDP   10001        disabled    -       -         21       0
            """, Print((o, f) => Policies(o, f, isNumeric: true).PrintOne(Policy)), StringComparison.Ordinal);
    }

    [Fact]
    public void All_policies_are_headed_by_their_endpoint()
    {
        string text = Print((o, f) => Policies(o, f, isNumeric: true).PrintAll([Policy, Policy with { EndpointId = 7 }]));
        Assert.StartsWith("Endpoint ID: 872\nPath: /r/tc/globals/cilium_policy_v2_00872\n\nPOLICY ", text, StringComparison.Ordinal);
        Assert.Contains("\n\nEndpoint ID: 7\nPath: /r/tc/globals/cilium_policy_v2_00007\n\nPOLICY ", text, StringComparison.Ordinal);
        Assert.Equal("k8s:tier=x\n", Print(
            (o, f) => Policies(o, f, isNumeric: false).PrintAll([Policy]), "-o", "jsonpath={[0].content[0].labels[1]}"));
    }

    [Fact]
    public void Addresses_are_listed_with_identity_and_node()
    {
        Assert.Equal(
            """
            IP PREFIX/ADDRESS   IDENTITY
            0.0.0.0/0           identity=2 encryptkey=0 tunnelendpoint=0.0.0.0 flags=<none>
            10.244.2.0/24       identity=4711 encryptkey=0 tunnelendpoint=10.5.0.12 flags=skiptunnel,hastunnel
            10.244.2.7/32       identity=27191 encryptkey=0 tunnelendpoint=10.5.0.12 flags=hastunnel
            ::/0                identity=2 encryptkey=0 tunnelendpoint=:: flags=<none>

            """, Print((o, f) => new BpfAddressText(o, f).PrintIpcache(Ipcache)));
        Assert.Equal(
            """
            IP ADDRESS        LOCAL ENDPOINT INFO
            10.244.1.33:0     id=872 sec_id=27191 flags=0x0000 ifindex=14 mac=02:00:00:00:00:01 nodemac=02:00:00:00:00:02 parent_ifindex=0
            [fd00:244::1]:0   (localhost)

            """,
            Print((o, f) => new BpfAddressText(o, f).PrintEndpoints([
                new(IpAddress.Parse("fd00:244::1")) { IsHost = true },
                new(IpAddress.Parse("10.244.1.33"))
                {
                    EndpointId = 872, Identity = new(27191), Device = 14,
                    PodMac = MacAddress.FromBytes([2, 0, 0, 0, 0, 1]), HostMac = MacAddress.FromBytes([2, 0, 0, 0, 0, 2]),
                },
            ])));
    }

    [Theory]
    [InlineData("10.244.2.7", "10.244.2.7 maps to identity identity=27191 encryptkey=0 tunnelendpoint=10.5.0.12 flags=hastunnel\n")]
    [InlineData("10.244.2.8", "10.244.2.8 maps to identity identity=4711 encryptkey=0 tunnelendpoint=10.5.0.12 flags=skiptunnel,hastunnel\n")]
    [InlineData("203.0.113.1", "203.0.113.1 maps to identity identity=2 encryptkey=0 tunnelendpoint=0.0.0.0 flags=<none>\n")]
    public void Address_has_the_identity_of_its_longest_prefix(string address, string expected)
        => Assert.Equal(expected, Print((o, f) => new BpfAddressText(o, f).PrintIdentityOf(IpAddress.Parse(address), Ipcache)));

    [Fact]
    public void Address_without_a_prefix_is_an_error()
        => Assert.Throws<UserErrorException>(() => Print((o, f) => new BpfAddressText(o, f).PrintIdentityOf(IpAddress.Parse("10.0.0.1"), Ipcache[1..3])));

    [Fact]
    public void Metrics_are_listed_by_reason_and_direction()
    {
        MetricEntry[] entries =
        [
            new(DropReason.PolicyDenied, MetricDirection.Egress, 3, 222), new(DropReason.Forwarded, MetricDirection.Egress, 20, 2000),
            new(DropReason.Forwarded, MetricDirection.Ingress, 10, 1000),
        ];
        Assert.Equal(
            """
            REASON          DIRECTION   PACKETS   BYTES   LINE   FILE
            Success         INGRESS     10        1000    -      -
            Success         EGRESS      20        2000    -      -
            Policy denied   EGRESS      3         222     -      -

            """, Print((o, f) => new BpfMetricText(o, f).Print(entries)));
        Assert.Equal("20\n", Print((o, f) => new BpfMetricText(o, f).Print(entries), "-o", "jsonpath={[0].values.egress.packets}"));
    }

    [Theory]
    [InlineData("bpf lb list --bpf-root /nonexistent", "no maps are pinned in /nonexistent/tc/globals")]
    [InlineData("bpf ct list", "usage")]
    [InlineData("bpf policy get", "usage")]
    [InlineData("bpf policy get 5 --all", "usage")]
    [InlineData("bpf frobnicate", "usage")]
    public async Task Bad_input_is_a_clear_error(string arguments, string expected)
    {
        if (expected != "usage" && !Environment.IsPrivilegedProcess)
            expected = "needs root";
        var errors = new StringWriter();
        Assert.Equal(1, await CiliumCommand.RunAsync(arguments.Split(' '), new StringWriter(), errors, TestContext.Current.CancellationToken));
        Assert.Contains(expected, errors.ToString(), StringComparison.Ordinal);
    }

    private static ConntrackEntry Connection => new(
        new L4Address(IpAddress.Parse("10.244.1.5"), 40000, L4Protocol.Tcp), new L4Address(IpAddress.Parse("10.244.1.9"), 80, L4Protocol.Tcp),
        CtScope.Flow, CtFlags.SeenNonSyn | CtFlags.Replied | CtFlags.ForwardClosing, TimeSpan.FromSeconds(60))
    {
        Expires = 1060,
        SourceIdentity = new(27191),
        ReverseNat = 3,
        ForwardPackets = 4,
        ReplyPackets = 3,
        ForwardBytes = 400,
        ReplyBytes = 300,
        ForwardTcpFlags = 0x02,
        ReplyTcpFlags = 0x12,
        ForwardReport = 11,
        ReplyReport = 21,
    };

    private static EndpointPolicy Policy => new(872, 1)
    {
        Entries = PolicyMapEntryCollection.Of(
        [
            new(new(TrafficDirection.Egress, new(4711), L4Protocol.IcmpV6, 0, 0)),
            new(new(TrafficDirection.Egress, new(0), L4Protocol.Udp, 8192, 13)) { ProxyPort = 10001 },
            new(new(TrafficDirection.Ingress, SecurityIdentity.Host, L4Protocol.Any, 0, 0)),
            new(new(TrafficDirection.Ingress, new(27191), L4Protocol.Tcp, 80, 16)) { Deny = true, Precedence = 5, Cookie = 7 },
        ]),
    };

    private static IpcacheEntry[] Ipcache =>
    [
        new(IpPrefix.Parse("0.0.0.0/0"), SecurityIdentity.World),
        new(IpPrefix.Parse("10.244.2.7/32"), new(27191), IpAddress.Parse("10.5.0.12")),
        new(IpPrefix.Parse("10.244.2.0/24"), new(4711), IpAddress.Parse("10.5.0.12")) { SkipTunnel = true },
        new(IpPrefix.Parse("::/0"), SecurityIdentity.World),
    ];

    private static BpfPolicyText Policies(TextWriter output, AgentFlags flags, bool isNumeric)
        => new(output, flags, new DatapathPaths("/r"), isNumeric ? null : new IdentityNames([new IdentityModel(27191, ["k8s:app=web", "k8s:tier=x"])]));

    private static string TrimLines(string text) => string.Join('\n', text.Split('\n').Select(l => l.TrimEnd()));

    private static string Print(Action<TextWriter, AgentFlags> print, params string[] arguments)
    {
        var output = new StringWriter();
        var flags = new AgentFlags("");
        flags.Parse(arguments, output);
        print(output, flags);
        return output.ToString();
    }
}
