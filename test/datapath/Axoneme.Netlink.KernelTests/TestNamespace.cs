// SPDX-License-Identifier: Apache-2.0
using Axoneme.Linux;

namespace Axoneme.Netlink.KernelTests;

/// <summary>A namespace of the test's own with a socket in it; gone after the test.</summary>
internal sealed class TestNamespace : IDisposable
{
    private const string Folder = "/run/netns";
    private static int s_count;

    public TestNamespace()
    {
        Name = $"dp-nl-{Environment.ProcessId}-{Interlocked.Increment(ref s_count)}";
        Namespace = NetworkNamespace.Create(Folder, Name);
        Netlink = RouteNetlink.Open(Namespace);
        // The kernel makes the local routing table with the first address, and judges gateways by it.
        Netlink.SetLink(Loopback, new LinkChange { Up = true });
    }

    public string Name { get; }

    public NetworkNamespace Namespace { get; }

    public RouteNetlink Netlink { get; }

    public int Loopback => Netlink.FindLink("lo")!.Index;

    public void Dispose()
    {
        Netlink.Dispose();
        Namespace.Dispose();
        NetworkNamespace.Delete(Folder, Name);
    }
}
