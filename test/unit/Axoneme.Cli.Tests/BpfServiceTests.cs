// SPDX-License-Identifier: Apache-2.0
using Axoneme.Cli.Cilium;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Cli.Tests;

/// <summary>Layouts of what hangs on services and translations in the maps.</summary>
public sealed class BpfServiceTests
{
    private static readonly ServiceMapKey Web = new(new L4Address(IpAddress.Parse("10.96.0.1"), 80, L4Protocol.Tcp));

    [Fact]
    public void Every_property_of_a_service_is_named_in_its_first_slot()
    {
        ServiceSlotEntry[] slots =
        [
            new(Web, 0, 3)
            {
                Flags = LbFlags.LoadBalancer | LbFlags.Routable | LbFlags.Affinity | LbFlags.SourceRanges,
                Flags2 = LbFlags2.SourceRangesDeny | LbFlags2.Dsr,
                Algorithm = LbAlgorithm.Maglev,
                AffinitySeconds = 600,
            },
            new(new ServiceMapKey(new L4Address(IpAddress.Parse("10.96.0.1"), 0, L4Protocol.Any)), 0, 0),
        ];
        Assert.Equal(
            """
            SERVICE ADDRESS        BACKEND ADDRESS (REVNAT_ID) (SLOT)
            10.96.0.1:0/ANY (0)    0.0.0.0:0 (0) (0) [wildcard]
            10.96.0.1:80/TCP (0)   0.0.0.0:0 (3) (0) [LoadBalancer, sessionAffinity 600s, deny source-range, maglev, dsr]

            """, Print((o, f) => new BpfServiceText(o, f).Print(slots, ServiceView.Slots)));
    }

    [Fact]
    public void Clients_are_told_by_address_or_by_their_network_namespace()
        => Assert.Equal(
            """
            CLIENT (REVNAT_ID)      BACKEND_ID (LAST USED)
            192.0.2.7 (3)           9 (5s ago)
            netns cookie 4711 (3)   8 (1m30s ago)

            """,
            Print((o, f) => new BpfServiceText(o, f).PrintAffinity(
            [
                new AffinityEntry(null, 4711, 3, 8, TimeSpan.FromSeconds(90), IsV6: false),
                new AffinityEntry(IpAddress.Parse("192.0.2.7"), 0, 3, 9, TimeSpan.FromSeconds(5), IsV6: false),
            ])));

    [Fact]
    public void Source_ranges_stand_with_their_service_and_what_they_mean()
        => Assert.Equal(
            """
            SERVICE ADDRESS (REVNAT_ID)   SOURCE RANGE
            10.96.0.1:80/TCP (3)          192.0.2.0/24 (deny)
            unknown (9)                   198.51.100.0/24

            """,
            Print((o, f) => new BpfServiceText(o, f).PrintSourceRanges(
                [new SourceRangeEntry(9, IpPrefix.Parse("198.51.100.0/24")), new SourceRangeEntry(3, IpPrefix.Parse("192.0.2.0/24"))],
                [new ServiceSlotEntry(Web, 0, 3) { Flags2 = LbFlags2.SourceRangesDeny }])));

    [Fact]
    public void Maglev_tables_are_listed_in_full_or_as_shares()
    {
        MaglevEntry[] tables = [new(3, false, [7, 8, 7, 7]), new(4, true, [9])];
        Assert.Equal(
            """
            SVC ID   LOOKUP TABLE
            3/v4     [7 8 7 7]
            4/v6     [9]

            """, Print((o, f) => new BpfMaglevText(o, f).PrintAll(tables)));
        Assert.Equal(
            """
            SVC ID   BACKEND_ID   SLOTS   SHARE
            3/v4     7            3       75.00%
            3/v4     8            1       25.00%

            """, Print((o, f) => new BpfMaglevText(o, f).PrintOne(3, tables)));
        Assert.Throws<UserErrorException>(() => Print((o, f) => new BpfMaglevText(o, f).PrintOne(5, tables)));
    }

    [Fact]
    public void Translations_are_lines_with_what_changes()
        => Assert.Equal(
            """
            TCP OUT 10.244.1.5:40001 -> 192.0.2.1:443 XLATE_SRC 10.5.0.11:40001 Created=4sec ago NeedsCT=0 Expires=60sec [ SeenNonSyn ]
            TCP IN [2001:db8::1]:443 -> [fd00::11]:40002 XLATE_DST [2001:db8::9]:5555 Created=1sec ago NeedsCT=0 Expires=10sec RevNAT=7 [ Service ]

            """, Print((o, f) => new BpfNatText(o, f).Print(Translations)));

    [Fact]
    public void Translations_as_json_have_the_same_members()
        => Assert.Contains("\"translation\": \"10.5.0.11:40001\"", Print((o, f) => new BpfNatText(o, f).Print(Translations), "-o", "json"), StringComparison.Ordinal);

    [Fact]
    public void Retries_show_what_occurred_and_what_found_no_port()
        => Assert.Equal(
            """
            FAMILY   RETRIES             CONNECTIONS
            ipv4     0                   100
            ipv4     2 (no port found)   3

            """,
            Print((o, f) => new BpfNatText(o, f).PrintRetries(
                [new NatRetryEntry(false, 0, 100), new NatRetryEntry(false, 1, 0), new NatRetryEntry(false, 2, 3), new NatRetryEntry(true, 0, 0)])));

    private static NatMapEntry[] Translations =>
    [
        new(At("10.244.1.5", 40001), At("192.0.2.1", 443), NatDirection.Out, At("10.5.0.11", 40001), NatFlags.SeenNonSyn,
            TimeSpan.FromSeconds(60), TimeSpan.FromSeconds(4)),
        new(At("2001:db8::1", 443), At("fd00::11", 40002), NatDirection.In, At("2001:db8::9", 5555), NatFlags.Service,
            TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(1)) { ServiceNumber = 7 },
    ];

    private static L4Address At(string address, ushort port) => new(IpAddress.Parse(address), port, L4Protocol.Tcp);

    private static string Print(Action<TextWriter, AgentFlags> print, params string[] arguments)
    {
        var output = new StringWriter();
        var flags = new AgentFlags("");
        flags.Parse(arguments, output);
        print(output, flags);
        return output.ToString();
    }
}
