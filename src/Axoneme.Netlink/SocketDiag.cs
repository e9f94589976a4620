// SPDX-License-Identifier: Apache-2.0
using Axoneme.Linux;
using Axoneme.Network;

namespace Axoneme.Netlink;

/// <summary>States of sockets as the kernel's masks have them (1 &lt;&lt; TCP_*). UDP knows connected and not connected.</summary>
[Flags]
public enum SocketStates : uint
{
    None = 0,
    Established = 1 << 1,
    SynSent = 1 << 2,
    SynReceived = 1 << 3,
    FinWait1 = 1 << 4,
    FinWait2 = 1 << 5,
    TimeWait = 1 << 6,

    /// <summary>A UDP socket that is bound and not connected; a TCP socket that is nothing yet.</summary>
    Close = 1 << 7,
    CloseWait = 1 << 8,
    LastAck = 1 << 9,
    Listen = 1 << 10,
    Closing = 1 << 11,
}

/// <summary>A TCP or UDP socket as the kernel lists it. IPv4-mapped addresses are given as IPv4.</summary>
public sealed record DiagnosedSocket
{
    internal DiagnosedSocket(byte family, in InetDiagSockId id)
    {
        Family = family;
        Id = id;
    }

    public required SocketStates State { get; init; }

    public required L4Address Local { get; init; }

    /// <summary>The unspecified address and port 0 when not connected.</summary>
    public required L4Address Remote { get; init; }

    /// <summary>An IPv6 socket that takes no IPv4. Known of sockets that listen or are not connected.</summary>
    public bool IsV6Only { get; init; }

    public L4Protocol Protocol => Local.Protocol;

    /// <summary>Of the IPv6 family, though it may speak IPv4.</summary>
    public bool IsV6Socket => Family == Netlink.Family.Inet6;

    /// <summary>The number that BPF programs know the socket by (bpf_get_socket_cookie).</summary>
    public ulong Cookie => Id.Cookie;

    internal byte Family { get; }

    // As the kernel wrote it: what it gets back must be the same.
    internal InetDiagSockId Id { get; }

    public override string ToString() => $"{Local} -> {Remote} (cookie {Cookie:x})";
}

/// <summary>
/// TCP and UDP sockets of one network namespace (sock_diag). Thread-safe; a list costs the kernel a walk over its tables of
/// sockets. Failures are <see cref="NetlinkException"/>.
/// </summary>
public sealed class SocketDiag : IDisposable
{
    private static readonly L4Address Nowhere = new(IpAddress.FromV4(0), 0, L4Protocol.Udp);

    private readonly NetlinkSocket _socket;

    private SocketDiag(NetlinkSocket socket) => _socket = socket;

    /// <summary>Opens a socket in the namespace (null: the calling thread's); it stays there whatever thread uses it.</summary>
    public static SocketDiag Open(NetworkNamespace? target = null) => new(NetlinkSocket.Open(target, NativeMethods.NETLINK_SOCK_DIAG));

    public void Dispose() => _socket.Dispose();

    /// <summary>The sockets of both families that are in one of the states.</summary>
    /// <param name="protocol">TCP or UDP.</param>
    /// <param name="states">A mask.</param>
    /// <param name="wanted">Which of them; null all.</param>
    public IReadOnlyList<DiagnosedSocket> List(L4Protocol protocol, SocketStates states, Predicate<DiagnosedSocket>? wanted = null)
    {
        if (protocol is not (L4Protocol.Tcp or L4Protocol.Udp))
            throw new ArgumentException($"sockets of {protocol} cannot be listed", nameof(protocol));
        List<DiagnosedSocket> found = [];
        foreach (bool isV6 in (ReadOnlySpan<bool>)[false, true])
        {
            var request = new MessageBuffer();
            request.BeginMessage(
                MessageType.SOCK_DIAG_BY_FAMILY, MessageFlags.NLM_F_REQUEST | MessageFlags.NLM_F_DUMP,
                SocketDiagMessages.ListRequest(protocol, isV6, states));
            request.EndMessage();
            int before = found.Count;
            _socket.Query(request, $"list {protocol} sockets", () => found.RemoveRange(before, found.Count - before), (type, payload) =>
            {
                if (type == MessageType.SOCK_DIAG_BY_FAMILY && SocketDiagMessages.Parse(protocol, payload) is var socket
                    && (wanted is null || wanted(socket)))
                    found.Add(socket);
            });
        }

        return found;
    }

    /// <summary>Whether the kernel was built with CONFIG_INET_DIAG_DESTROY.</summary>
    public bool CanDestroy()
    {
        try
        {
            // A socket that cannot exist: port 0 on both ends.
            Destroy([new DiagnosedSocket(Netlink.Family.Inet, default) { State = SocketStates.Close, Local = Nowhere, Remote = Nowhere }]);
            return true;
        }
        catch (NetlinkException e) when (e.Errno == Errno.EOPNOTSUPP)
        {
            return false;
        }
    }

    /// <summary>
    /// Ends sockets under their owners' hands: system calls on them, and those that wait, fail with ECONNABORTED; TCP peers get a reset.
    /// One that is gone meanwhile is no error. Returns how many were ended.
    /// </summary>
    /// <exception cref="NetlinkException">EOPNOTSUPP: the kernel was built without CONFIG_INET_DIAG_DESTROY. EPERM: CAP_NET_ADMIN is missing.</exception>
    /// <exception cref="AggregateException">Several failed; the inner exception is the first.</exception>
    public int Destroy(IReadOnlyList<DiagnosedSocket> sockets)
    {
        ArgumentNullException.ThrowIfNull(sockets);
        var batch = new RequestBatch();
        foreach (DiagnosedSocket socket in sockets)
            batch.DestroySocket(socket);
        _socket.Execute(batch);
        batch.ThrowIfFailed();
        return Enumerable.Range(0, batch.Count).Count(batch.Changed);
    }
}
