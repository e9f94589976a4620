// SPDX-License-Identifier: Apache-2.0
using Axoneme.Linux;
using Axoneme.Network;

namespace Axoneme.Netlink;

/// <summary>
/// Devices, addresses, routes, neighbours, rules and qdiscs of one network namespace. Thread-safe; calls block for the
/// microseconds that the kernel takes. Deleting what is not there is no error. Failures are <see cref="NetlinkException"/>.
/// </summary>
public sealed class RouteNetlink : IDisposable
{
    private readonly NetlinkSocket _socket;

    private RouteNetlink(NetlinkSocket socket) => _socket = socket;

    /// <summary>Opens a socket in the namespace (null: the calling thread's); it stays there whatever thread uses it.</summary>
    public static RouteNetlink Open(NetworkNamespace? target = null) => new(NetlinkSocket.Open(target));

    public void Dispose() => _socket.Dispose();

    /// <summary>Carries out a batch and throws if a request failed that it could not tolerate.</summary>
    /// <exception cref="NetlinkException">One request failed.</exception>
    /// <exception cref="AggregateException">Several failed; the inner exception is the first.</exception>
    public void Execute(RequestBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        _socket.Execute(batch);
        batch.ThrowIfFailed();
    }

    public void AddLink(LinkSpec link) => Execute(new RequestBatch().AddLink(link));

    public void SetLink(int index, LinkChange change) => Execute(new RequestBatch().SetLink(index, change));

    /// <summary>Returns whether there was such a device.</summary>
    public bool DeleteLink(string name) => ExecuteOne(new RequestBatch().DeleteLink(name));

    /// <inheritdoc cref="DeleteLink(string)"/>
    public bool DeleteLink(int index) => ExecuteOne(new RequestBatch().DeleteLink(index));

    public void ReplaceAddress(LinkAddress address) => Execute(new RequestBatch().ReplaceAddress(address));

    public bool DeleteAddress(LinkAddress address) => ExecuteOne(new RequestBatch().DeleteAddress(address));

    public void ReplaceRoute(Route route) => Execute(new RequestBatch().ReplaceRoute(route));

    public bool DeleteRoute(Route route) => ExecuteOne(new RequestBatch().DeleteRoute(route));

    public void ReplaceNeighbor(Neighbor neighbor) => Execute(new RequestBatch().ReplaceNeighbor(neighbor));

    public bool DeleteNeighbor(Neighbor neighbor) => ExecuteOne(new RequestBatch().DeleteNeighbor(neighbor));

    /// <summary>Returns whether the rule was new.</summary>
    public bool AddRule(RoutingRule rule) => ExecuteOne(new RequestBatch().AddRule(rule));

    public bool DeleteRule(RoutingRule rule) => ExecuteOne(new RequestBatch().DeleteRule(rule));

    /// <summary>Returns whether the qdisc was new.</summary>
    public bool AddClsact(int device) => ExecuteOne(new RequestBatch().AddClsact(device));

    public bool DeleteClsact(int device) => ExecuteOne(new RequestBatch().DeleteClsact(device));

    public IReadOnlyList<Link> ListLinks()
    {
        var request = LinkRequest(index: 0, name: null, MessageFlags.NLM_F_DUMP);
        return List(request, "list links", MessageType.RTM_NEWLINK, LinkMessages.Parse);
    }

    /// <summary>The device of that name, or null.</summary>
    public Link? FindLink(string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        return FindLink(LinkRequest(index: 0, name, flags: 0), $"get link {name}");
    }

    /// <summary>The device of that index, or null.</summary>
    public Link? FindLink(int index) => FindLink(LinkRequest(index, name: null, flags: 0), $"get link {index}");

    /// <summary>All addresses, or those of one device.</summary>
    public IReadOnlyList<LinkAddress> ListAddresses(int device = 0)
    {
        MessageBuffer request = Dump(MessageType.RTM_GETADDR, new IfAddrMsg { Index = device });
        return List(request, "list addresses", MessageType.RTM_NEWADDR, AddressMessages.Parse, a => device == 0 || a.Device == device);
    }

    /// <summary>Routes of both families in one table, or in all (0).</summary>
    public IReadOnlyList<Route> ListRoutes(uint table = RouteTable.Main)
        => [.. ListRoutes(isV6: false, table), .. ListRoutes(isV6: true, table)];

    public IReadOnlyList<Route> ListRoutes(bool isV6, uint table)
    {
        var request = new MessageBuffer();
        Begin(request, MessageType.RTM_GETROUTE, MessageFlags.NLM_F_DUMP, new RtMsg { Family = Family.Of(isV6) });
        if (table != 0)
            request.AddUInt32(RouteAttribute.RTA_TABLE, table);
        request.EndMessage();
        try
        {
            return List(request, "list routes", MessageType.RTM_NEWROUTE, RouteMessages.Parse, r => table == 0 || r.Table == table);
        }
        catch (NetlinkException e) when (e.Errno == Errno.ENOENT && table != 0)
        {
            // A table comes into being with its first route.
            return [];
        }
    }

    /// <summary>Neighbours of both families on one device, or on all (0); proxy entries are not among them.</summary>
    public IReadOnlyList<Neighbor> ListNeighbors(int device = 0) => ListNeighbors(device, proxy: false);

    /// <summary>The addresses that devices answer for on behalf of others.</summary>
    public IReadOnlyList<Neighbor> ListProxyNeighbors(int device = 0) => ListNeighbors(device, proxy: true);

    public IReadOnlyList<RoutingRule> ListRules(bool isV6)
    {
        MessageBuffer request = Dump(MessageType.RTM_GETRULE, new FibRuleHdr { Family = Family.Of(isV6) });
        return List(request, "list rules", MessageType.RTM_NEWRULE, RuleMessages.Parse);
    }

    public IReadOnlyList<Qdisc> ListQdiscs(int device)
    {
        MessageBuffer request = Dump(MessageType.RTM_GETQDISC, new TcMsg { Index = device });
        return List(request, "list qdiscs", MessageType.RTM_NEWQDISC, QdiscMessages.Parse, q => q.Device == device);
    }

    /// <summary>The id that this namespace knows the other one by, or null when it has none yet.</summary>
    public int? FindNamespaceId(NetworkNamespace other)
    {
        ArgumentNullException.ThrowIfNull(other);
        var request = new MessageBuffer();
        // struct rtgenmsg is one byte, padded to four.
        Begin(request, MessageType.RTM_GETNSID, 0, 0u);
        request.AddInt32(NamespaceAttribute.NETNSA_FD, other.Descriptor);
        request.EndMessage();
        int id = -1;
        _socket.Query(request, $"get id of network namespace {other.Path}", () => id = -1, (type, payload) =>
        {
            var attributes = new AttributeReader(payload[4..]);
            while (type == MessageType.RTM_NEWNSID && attributes.Next())
            {
                if (attributes.Type == NamespaceAttribute.NETNSA_NSID)
                    id = attributes.AsInt32();
            }
        });
        return id < 0 ? null : id;
    }

    private bool ExecuteOne(RequestBatch batch)
    {
        Execute(batch);
        return batch.Changed(0);
    }

    private Link? FindLink(MessageBuffer request, string operation)
    {
        Link? link = null;
        try
        {
            _socket.Query(request, operation, () => link = null, (type, payload) =>
            {
                if (type == MessageType.RTM_NEWLINK)
                    link = LinkMessages.Parse(payload);
            });
        }
        catch (NetlinkException e) when (e.Errno is Errno.ENODEV)
        {
            return null;
        }

        return link;
    }

    private List<Neighbor> ListNeighbors(int device, bool proxy)
    {
        var header = new NdMsg { Flags = proxy ? NeighborAttribute.NTF_PROXY : (byte)0 };
        MessageBuffer request = Dump(MessageType.RTM_GETNEIGH, header);
        return List(request, "list neighbours", MessageType.RTM_NEWNEIGH, NeighborMessages.Parse,
            n => n.Proxy == proxy && (device == 0 || n.Device == device));
    }

    private List<T> List<T>(
        MessageBuffer request, string operation, ushort type, Func<ReadOnlySpan<byte>, T?> parse, Func<T, bool>? wanted = null)
        where T : class
    {
        List<T> found = [];
        _socket.Query(request, operation, found.Clear, (actual, payload) =>
        {
            if (actual == type && parse(payload) is { } item && (wanted is null || wanted(item)))
                found.Add(item);
        });
        return found;
    }

    private static MessageBuffer LinkRequest(int index, string? name, ushort flags)
    {
        var request = new MessageBuffer();
        // A get of one object is acknowledged after its answer, which ends the query like the end of a dump.
        Begin(request, MessageType.RTM_GETLINK, flags, new IfInfoMsg { Index = index });
        if (name is not null)
            request.AddString(LinkAttribute.IFLA_IFNAME, name);
        request.AddUInt32(LinkAttribute.IFLA_EXT_MASK, LinkAttribute.RTEXT_FILTER_SKIP_STATS);
        request.EndMessage();
        return request;
    }

    private static MessageBuffer Dump<T>(ushort type, in T header)
        where T : unmanaged
    {
        var request = new MessageBuffer();
        Begin(request, type, MessageFlags.NLM_F_DUMP, header);
        request.EndMessage();
        return request;
    }

    private static void Begin<T>(MessageBuffer request, ushort type, ushort flags, in T header)
        where T : unmanaged
    {
        ushort acknowledge = flags == 0 ? MessageFlags.NLM_F_ACK : (ushort)0;
        request.BeginMessage(type, (ushort)(flags | MessageFlags.NLM_F_REQUEST | acknowledge), header);
    }
}
