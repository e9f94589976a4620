// SPDX-License-Identifier: Apache-2.0
using System.Net.Sockets;
using Axoneme.Dns;
using Axoneme.DnsProxy;
using Axoneme.Network;
using Axoneme.Proxy.Names;
using Axoneme.Proxy.Serving;

namespace Axoneme.Proxy.KernelTests;

/// <summary>One worker within the test, so that its heap can be seen.</summary>
[Collection("namespaces")]
public sealed class AllocationTests
{
    private const int Questions = 5000;

    [Theory]
    [InlineData("www.example", DnsRcode.NoError)]
    [InlineData("www.other", DnsRcode.Refused)]
    public void Questions_take_nothing_from_the_heap(string name, DnsRcode rcode)
    {
        using var node = new ProxyNode("");
        using var server = new TestResolver(node.Server, ProxyNode.ServerAddress);
        var shared = new ProxyShared(TimeProvider.System, new EmptyTable());
        var rule = new DnsRule(default, L4Protocol.Any, 53, 16, [TestAgent.Pattern("*.example")]);
        shared.Endpoints.Update([new ProxiedEndpoint(7, new SecurityIdentity(4711), [IpAddress.Parse(ProxyNode.PodAddress)], [rule])], []);
        shared.Names.Select(new SelectorDirectory([new SelectorSet(default, [TestAgent.Pattern("*.example")])], []));

        // A thread that is started here is born in this namespace.
        Worker worker = node.Node.Run(() =>
        {
            var started = new Worker(shared, Listeners.Open(53, 1, anyAddress: true, new KeptSockets([]))[0], 0, 1);
            started.Log.IsOn = true;
            started.Start();
            return started;
        });
        try
        {
            Ask(node, name, rcode, Questions / 5);
            long before = Volatile.Read(ref worker.Counters.AllocatedBytes);
            Ask(node, name, rcode, Questions);

            // Less than a byte for each: what is left are the sweeps, once a second.
            Assert.InRange(Volatile.Read(ref worker.Counters.AllocatedBytes) - before, 0, Questions);
            Assert.Null(worker.Failure);
        }
        finally
        {
            worker.Stop();
            worker.Dispose();
        }
    }

    private static void Ask(ProxyNode node, string name, DnsRcode rcode, int times)
    {
        using Socket socket = TestPod.Open(node.Pod, ProxyNode.ServerAddress);
        byte[] question = TestPod.Question(name), answer = new byte[512];
        for (int i = 0; i < times; i++)
        {
            socket.Send(question);
            socket.Receive(answer);
            Assert.Equal((byte)rcode, (byte)(answer[3] & DnsHeader.RcodeMask));
        }
    }

    private sealed class EmptyTable : IAddressTable
    {
        public bool TryFind(IpAddress address, out SecurityIdentity identity)
        {
            identity = default;
            return false;
        }

        public WriteOutcome Write(IpAddress address, SecurityIdentity identity, SecurityIdentity? earlier) => WriteOutcome.Failed;
    }
}
