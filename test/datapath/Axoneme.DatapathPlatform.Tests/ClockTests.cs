// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Network;

namespace Axoneme.DatapathPlatform.Tests;

public sealed class ClockTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public void Jiffies_count_the_seconds_of_the_monotonic_clock()
    {
        JiffiesClock clock = KernelClock.MeasureJiffies();
        for (int i = 0; i < 20; i++)
        {
            uint before = KernelClock.NowSeconds();
            uint counted = clock.Seconds(KernelJiffies.Read());
            uint after = KernelClock.NowSeconds();
            Assert.InRange(counted, before - 1, after);
        }
    }

    [Theory]
    [InlineData(100)]
    [InlineData(250)]
    [InlineData(300)]
    [InlineData(1000)]
    public void Jiffies_gain_no_second_in_two_months(uint hertz)
    {
        var clock = new JiffiesClock(Base: 77, BaseSeconds: 5, KernelClock.Reciprocal(hertz));
        for (uint second = 0; second < 60 * 86400; second += 86399)
        {
            Assert.Equal(5 + second, clock.Seconds(77 + ((ulong)second * hertz)));
            Assert.InRange(clock.Seconds(77 + ((ulong)second * hertz) + hertz - 1), 5 + second, 5 + second + 1);
        }
    }

    [Fact]
    public async Task Connections_keep_their_time_when_a_live_node_changes_its_clock_source()
    {
        using var test = new TestNode();
        using NodeDatapath node = test.Start();
        NetworkNamespace first = await test.AddPodAsync(node, 5, Cancellation);
        NetworkNamespace second = await test.AddPodAsync(node, 6, Cancellation);
        IpAddress target = TestNode.Router4.Add(6);
        using var echo = new UdpEcho(second, target);
        using var client = new UdpPing(first, target);
        Assert.True(client.Exchange(1));
        CtEntry before = Entry(node);
        foreach (bool jiffies in new[] { true, false })
        {
            test.Options = test.Options with { ClockJiffies = jiffies };
            using NodeDatapath again = test.Start();
            Assert.True(client.Exchange(2));
            // Found as established, and given as much time as by the other clock.
            CtEntry entry = Entry(again);
            Assert.Equal(before.ForwardReportS, entry.ForwardReportS);
            Assert.InRange(entry.LifetimeS - KernelClock.NowSeconds(), 58u, 60u);
        }

        static CtEntry Entry(NodeDatapath node) => Assert.Single(node.Maps.Ct4.Entries()).Value;
    }
}
