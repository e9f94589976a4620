// SPDX-License-Identifier: Apache-2.0
using Axoneme.Netlink;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.Agent.Sockets;

/// <summary>A port that a program of this node holds.</summary>
/// <param name="Address">The unspecified address of a family stands for all addresses of that family.</param>
internal sealed record NodeListener(L4Address Address);

/// <summary>
/// The node's own listening TCP sockets and unconnected UDP sockets: a frontend on one of their addresses would take the traffic away from them.
/// The kernel tells of new listeners to nobody, so the list is read again and again.
/// </summary>
internal sealed class NodeListeners
{
    private const string Initializer = "sock-diag";

    // A walk over the tables of a busy node takes about a millisecond.
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);

    public NodeListeners() => Table.RegisterInitializer(Initializer);

    /// <summary>Complete after the first <see cref="Refresh"/>.</summary>
    public Table<L4Address, NodeListener> Table { get; } = new(
        "node-listeners", listener => listener.Address, columns: [new("Address", l => l.Address.ToString())]);

    public async Task RunAsync(CancellationToken cancellation)
    {
        // In the agent's own namespace, which is the node's.
        using SocketDiag sockets = SocketDiag.Open();
        using var timer = new PeriodicTimer(Interval);
        do
        {
            Refresh(sockets);
        }
        while (await timer.WaitForNextTickAsync(cancellation));
    }

    /// <summary>Reads the sockets now.</summary>
    /// <exception cref="NetlinkException">The kernel did not tell.</exception>
    public void Refresh(SocketDiag sockets)
    {
        HashSet<L4Address> present =
        [
            .. sockets.List(L4Protocol.Tcp, SocketStates.Listen).SelectMany(Addresses),
            // Closed is what the kernel calls a UDP socket without a peer; one without a port cannot be reached.
            .. sockets.List(L4Protocol.Udp, SocketStates.Close, s => s.Local.Port != 0).SelectMany(Addresses),
        ];
        TableSnapshot<L4Address, NodeListener> known = Table.Snapshot();
        L4Address[] gone = [.. known.Keys.Where(address => !present.Contains(address))];
        L4Address[] fresh = [.. present.Where(address => !known.Contains(address))];
        if (gone.Length + fresh.Length > 0)
        {
            Table.Write(writer =>
            {
                foreach (L4Address address in gone)
                    writer.Remove(address);
                foreach (L4Address address in fresh)
                    writer.Upsert(new NodeListener(address));
            });
        }

        Table.MarkInitialized(Initializer);
    }

    // An IPv6 socket on all addresses takes IPv4 as well unless it says otherwise.
    private static IEnumerable<L4Address> Addresses(DiagnosedSocket socket)
    {
        yield return socket.Local;
        if (socket is { IsV6Socket: true, IsV6Only: false } && socket.Local.Address == socket.Local.Address.Mask(0) && socket.Local.Address.IsV6)
            yield return socket.Local with { Address = IpAddress.FromV4(0) };
    }
}
