// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Endpoints;
using Axoneme.Agent.Ipcache;
using Axoneme.Agent.Nodes;
using Axoneme.AgentApi;
using Axoneme.Network;

namespace Axoneme.Agent.Api;

/// <summary>Nodes of the cluster, and the addresses that are known.</summary>
internal sealed class NodeViews(ApiSources sources)
{
    private string Self => FullName(sources.Options.NodeName);

    public ClusterNodes Cluster()
    {
        List<NodeElement> nodes = [];
        if (sources.Running?.Local is { } local)
            nodes.Add(Element(local.Name, "local", (local.IPv4, local.IPv4PodRange), (local.IPv6, local.IPv6PodRange)));
        foreach (RemoteNode node in sources.Control.RemoteNodes.Table.Snapshot().Values.OrderBy(n => n.Name, StringComparer.Ordinal))
            nodes.Add(Element(node.Name, "custom-resource", (node.IPv4, RangeOf(node, isV6: false)), (node.IPv6, RangeOf(node, isV6: true))));
        return new ClusterNodes(Self, nodes);
    }

    /// <summary>Only features that mark packets by node hand out numbers; without them there is this node's own, which is 0.</summary>
    public IReadOnlyList<NodeIdModel> Ids()
        => sources.Running?.Local is { } local ? [new NodeIdModel(0, [.. local.NodeAddresses.Concat(local.Routers).Select(a => a.ToString())])] : [];

    /// <param name="cidr">Only this prefix; null or empty for all.</param>
    /// <exception cref="ApiException">It is malformed or unknown.</exception>
    public IReadOnlyList<IpEntry> Addresses(string? cidr)
    {
        IEnumerable<IpcacheRecord> records = sources.Control.Ipcache.Describe();
        if (!string.IsNullOrEmpty(cidr))
        {
            if (!IpPrefix.TryParse(cidr, out IpPrefix wanted, allowBareAddress: true))
                throw ApiException.BadRequest($"cidr: '{cidr}' is not a prefix");
            records = records.Where(record => record.Prefix == wanted).ToArray();
            if (!records.Any())
                throw ApiException.NotFound($"nothing is known of {wanted}");
        }

        Dictionary<IpAddress, Endpoint> pods = [];
        foreach (Endpoint endpoint in sources.Running?.Endpoints.Endpoints.Snapshot().Values ?? [])
        {
            foreach (IpAddress address in endpoint.Addresses)
                pods[address] = endpoint;
        }

        return [.. records.OrderBy(record => record.Prefix).Select(record => Entry(record, pods))];
    }

    private IpEntry Entry(IpcacheRecord record, Dictionary<IpAddress, Endpoint> pods)
    {
        bool isLocal = record.Source == IpcacheSource.LocalEndpoint;
        Endpoint? endpoint = isLocal ? pods.GetValueOrDefault(record.Prefix.Address) : null;
        string[] pod = record.Source == IpcacheSource.Pod ? record.Owner.Split('/', 2) : [];
        LocalNode? local = sources.Running?.Local;
        return new IpEntry
        {
            Cidr = record.Prefix.ToString(),
            Identity = record.Identity.Value,
            HostIp = (isLocal ? (record.Prefix.IsV6 ? local?.IPv6 : local?.IPv4) : record.Node)?.ToString(),
            Metadata = new IpMetadata(
                SourceName(record),
                endpoint?.Pod.Namespace ?? (pod is [var space, _] ? space : null),
                endpoint?.Pod.Name ?? (pod is [_, var name] ? name : null)),
        };
    }

    private string SourceName(IpcacheRecord record) => record.Source switch
    {
        IpcacheSource.World or IpcacheSource.Cidr => "generated",
        IpcacheSource.ApiServer => "kube-apiserver",
        IpcacheSource.LocalEndpoint => "local",
        IpcacheSource.Node when record.Owner == sources.Options.NodeName => "local",
        _ => "custom-resource",
    };

    private NodeElement Element(
        string name, string source, (IpAddress? Address, IpPrefix? Range) v4, (IpAddress? Address, IpPrefix? Range) v6) => new()
        {
            Name = FullName(name),
            Source = source,
            PrimaryAddress = new NodeAddressing(Addressing(v4.Address, v4.Range), Addressing(v6.Address, v6.Range)),
        };

    private static NodeAddressingElement? Addressing(IpAddress? address, IpPrefix? range)
        => address is null && range is null
            ? null
            : new NodeAddressingElement { Enabled = true, Ip = address?.ToString(), AllocRange = range?.ToString(), AddressType = "InternalIP" };

    private static IpPrefix? RangeOf(RemoteNode node, bool isV6)
        => node.PodRanges.Where(range => range.IsV6 == isV6).Select(range => (IpPrefix?)range).FirstOrDefault();

    private string FullName(string node) => $"{sources.Options.ClusterName}/{node}";
}
