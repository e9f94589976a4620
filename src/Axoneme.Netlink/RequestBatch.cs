// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Linux;
using Axoneme.Network;

namespace Axoneme.Netlink;

/// <summary>
/// Requests that travel to the kernel together. The kernel carries them out one after the other, each on its own: a failure does
/// not undo or stop the others. Not thread-safe.
/// </summary>
public sealed class RequestBatch
{
    private readonly List<Request> _requests = [];

    internal MessageBuffer Buffer { get; } = new();

    public int Count => _requests.Count;

    public void Clear()
    {
        _requests.Clear();
        Buffer.Clear();
    }

    public RequestBatch AddLink(LinkSpec link)
    {
        ArgumentNullException.ThrowIfNull(link);
        Begin("create", link, MessageType.RTM_NEWLINK, MessageFlags.NLM_F_CREATE | MessageFlags.NLM_F_EXCL, LinkMessages.Header(link));
        LinkMessages.Write(Buffer, link);
        return End();
    }

    /// <summary>Changes a device by index.</summary>
    public RequestBatch SetLink(int index, LinkChange change)
    {
        ArgumentNullException.ThrowIfNull(change);
        // RTM_NEWLINK without CREATE changes as well and, unlike RTM_SETLINK, is the form that iproute2 keeps exercised.
        Begin("change link", index, MessageType.RTM_NEWLINK, 0, LinkMessages.Header(index, change));
        LinkMessages.Write(Buffer, change);
        return End();
    }

    public RequestBatch DeleteLink(int index)
    {
        Begin("delete link", index, MessageType.RTM_DELLINK, 0, new IfInfoMsg { Index = index }, Errno.ENODEV);
        return End();
    }

    public RequestBatch DeleteLink(string name)
    {
        Begin("delete link", name, MessageType.RTM_DELLINK, 0, default(IfInfoMsg), Errno.ENODEV);
        Buffer.AddString(LinkAttribute.IFLA_IFNAME, name);
        return End();
    }

    /// <summary>Adds an address or changes the flags of the one that is there.</summary>
    public RequestBatch ReplaceAddress(LinkAddress address)
        => Address(address, "set address", MessageType.RTM_NEWADDR, MessageFlags.NLM_F_CREATE | MessageFlags.NLM_F_REPLACE);

    public RequestBatch DeleteAddress(LinkAddress address)
        => Address(address, "delete address", MessageType.RTM_DELADDR, 0, Errno.EADDRNOTAVAIL, Errno.ENODEV);

    public RequestBatch ReplaceRoute(Route route)
    {
        ArgumentNullException.ThrowIfNull(route);
        Begin("set route", route, MessageType.RTM_NEWROUTE, MessageFlags.NLM_F_CREATE | MessageFlags.NLM_F_REPLACE,
            RouteMessages.Header(route));
        RouteMessages.Write(Buffer, route);
        return End();
    }

    public RequestBatch DeleteRoute(Route route)
    {
        ArgumentNullException.ThrowIfNull(route);
        Begin("delete route", route, MessageType.RTM_DELROUTE, 0, RouteMessages.Header(route), Errno.ESRCH, Errno.ENODEV);
        RouteMessages.Write(Buffer, route);
        return End();
    }

    public RequestBatch ReplaceNeighbor(Neighbor neighbor)
    {
        ArgumentNullException.ThrowIfNull(neighbor);
        Begin("set neighbour", neighbor, MessageType.RTM_NEWNEIGH, MessageFlags.NLM_F_CREATE | MessageFlags.NLM_F_REPLACE,
            NeighborMessages.Header(neighbor));
        NeighborMessages.Write(Buffer, neighbor);
        return End();
    }

    public RequestBatch DeleteNeighbor(Neighbor neighbor)
    {
        ArgumentNullException.ThrowIfNull(neighbor);
        Begin("delete neighbour", neighbor, MessageType.RTM_DELNEIGH, 0, NeighborMessages.Header(neighbor), Errno.ENOENT, Errno.ENODEV);
        Buffer.AddAddress(NeighborAttribute.NDA_DST, neighbor.Address);
        return End();
    }

    /// <summary>Adds a rule; one that is there already is left alone.</summary>
    public RequestBatch AddRule(RoutingRule rule)
    {
        ArgumentNullException.ThrowIfNull(rule);
        Begin("add rule", rule, MessageType.RTM_NEWRULE, MessageFlags.NLM_F_CREATE | MessageFlags.NLM_F_EXCL,
            RuleMessages.Header(rule), Errno.EEXIST);
        RuleMessages.Write(Buffer, rule);
        return End();
    }

    public RequestBatch DeleteRule(RoutingRule rule)
    {
        ArgumentNullException.ThrowIfNull(rule);
        Begin("delete rule", rule, MessageType.RTM_DELRULE, 0, RuleMessages.Header(rule), Errno.ENOENT);
        RuleMessages.Write(Buffer, rule);
        return End();
    }

    /// <summary>Adds the qdisc that holds traffic-control filters for both directions; one that is there already is left alone.</summary>
    public RequestBatch AddClsact(int device)
        => Clsact(device, "add clsact qdisc on link", MessageType.RTM_NEWQDISC,
            MessageFlags.NLM_F_CREATE | MessageFlags.NLM_F_EXCL, Errno.EEXIST);

    public RequestBatch DeleteClsact(int device)
        => Clsact(device, "delete clsact qdisc on link", MessageType.RTM_DELQDISC, 0, Errno.ENOENT, Errno.EINVAL);

    internal RequestBatch DestroySocket(DiagnosedSocket socket)
    {
        // ENOENT: its owner closed it meanwhile.
        Begin("destroy socket", socket, MessageType.SOCK_DESTROY, 0, SocketDiagMessages.DestroyRequest(socket), Errno.ENOENT);
        return End();
    }

    internal void SetResult(int index, Result result) => CollectionsMarshal.AsSpan(_requests)[index].Result = result;

    /// <summary>False when the request changed nothing, because what it asked for was so already.</summary>
    internal bool Changed(int index) => _requests[index].Result.Errno == 0;

    /// <summary>Throws for the first request that failed, with the number of others that failed as well.</summary>
    internal void ThrowIfFailed()
    {
        NetlinkException? first = null;
        int failures = 0;
        foreach (Request request in _requests)
        {
            if (request.Result.Errno == 0 || request.Tolerates(request.Result.Errno))
                continue;
            failures++;
            first ??= request.Result.ToException($"{request.Operation} {request.Subject}");
        }

        if (failures > 1)
            throw new AggregateException($"{failures} of {Count} netlink requests failed", first!);
        if (first is not null)
            throw first;
    }

    private RequestBatch Address(LinkAddress address, string operation, ushort type, ushort flags, params int[] tolerated)
    {
        ArgumentNullException.ThrowIfNull(address);
        Begin(operation, address, type, flags, AddressMessages.Header(address), tolerated);
        AddressMessages.Write(Buffer, address);
        return End();
    }

    private RequestBatch Clsact(int device, string operation, ushort type, ushort flags, params int[] tolerated)
    {
        var header = new TcMsg
        {
            Index = device,
            Handle = TrafficControlAttribute.ClsactHandle,
            Parent = TrafficControlAttribute.TC_H_CLSACT,
        };
        Begin(operation, device, type, flags, header, tolerated);
        Buffer.AddString(TrafficControlAttribute.TCA_KIND, "clsact");
        return End();
    }

    private void Begin<T>(string operation, object subject, ushort type, ushort flags, in T header, params int[] tolerated)
        where T : unmanaged
    {
        _requests.Add(new Request(operation, subject, tolerated));
        Buffer.BeginMessage(type, (ushort)(flags | MessageFlags.NLM_F_REQUEST | MessageFlags.NLM_F_ACK), header);
    }

    private RequestBatch End()
    {
        Buffer.EndMessage();
        return this;
    }

    // The subject is made text only when the request fails.
    private struct Request(string operation, object subject, int[] tolerated)
    {
        public readonly string Operation = operation;
        public readonly object Subject = subject;
        public Result Result;

        public readonly bool Tolerates(int errno) => Array.IndexOf(tolerated, errno) >= 0;
    }
}
