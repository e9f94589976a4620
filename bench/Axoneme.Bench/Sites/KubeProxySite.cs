// SPDX-License-Identifier: Apache-2.0
using System.Net;
using Axoneme.Bench.Netfilter;

namespace Axoneme.Bench.Sites;

internal enum ProxyMode
{
    Iptables,
    Nftables,
}

/// <summary>
/// Namespaces of the lab's shape whose nodes balance services by the netfilter rules of kube-proxy. The rules live and die with the
/// nodes' namespaces.
/// </summary>
internal sealed class KubeProxySite : IDisposable
{
    // Outside of the block that idle services are numbered in.
    private const string ClusterAddress = "10.96.250.1";
    private const string ExternalAddress = "10.96.250.2";
    private const int FirstNodePort = 31001;
    private const int Patterns = 3;

    private readonly ProxyMode _mode;
    private readonly RoutedVethSite _site;
    private int _count;

    public KubeProxySite(ProxyMode mode)
    {
        _mode = mode;
        _site = new RoutedVethSite(mode == ProxyMode.Iptables ? "axbi" : "axbn");
        string name = mode == ProxyMode.Iptables ? "iptables" : "nftables";
        ClusterIp = _site.SameNode.Via(name, IPAddress.Parse(ClusterAddress));
        NodePort = _site.Outside.Via(name, IPAddress.Parse(RoutedVethSite.NodeAddress), FirstNodePort);
    }

    /// <summary>A pod to a service with a backend on its node.</summary>
    public TrafficPath ClusterIp { get; }

    /// <summary>A host outside to a port of the first node, with a backend on the second.</summary>
    public TrafficPath NodePort { get; }

    public void Dispose() => _site.Dispose();

    /// <summary>Makes rules for so many services, of which there can only be more each time.</summary>
    public void GrowTo(int count)
    {
        foreach (string node in new[] { "node1", "node2" })
            if (_mode == ProxyMode.Iptables)
                WriteIptables(node, count);
            else
                AddToNftables(node, count);
        _count = count;
    }

    // Those that are measured are in the middle of a list that is searched from its start. The older of the two implementations of
    // iptables: the quicker one for rules like these.
    private void WriteIptables(string node, int count)
    {
        var services = new List<ProxiedService>(count + (2 * Patterns));
        services.AddRange(Idle(0, count / 2));
        services.AddRange(Measured());
        services.AddRange(Idle(count / 2, count - 1));
        Commands.Run([.. _site.Enter(node), "iptables-legacy-restore"], IptablesRules.Build(services, RoutedVethSite.PodCidr));
    }

    private void AddToNftables(string node, int count)
    {
        if (_count == 0)
        {
            RunNft(node, NftablesRules.Table(RoutedVethSite.NodeAddress));
            RunNft(node, NftablesRules.Services([.. Measured()], RoutedVethSite.PodCidr));
        }

        foreach (ProxiedService[] part in Idle(Math.Max(_count - 1, 0), count - 1).Chunk(NftablesRules.MostAtOnce))
            RunNft(node, NftablesRules.Services(part, RoutedVethSite.PodCidr));
    }

    private void RunNft(string node, string input) => Commands.Run([.. _site.Enter(node), "nft", "-f", "-"], input);

    private static IEnumerable<ProxiedService> Idle(int first, int end) => Enumerable.Range(first, end - first).Select(ProxiedService.Idle);

    private static IEnumerable<ProxiedService> Measured()
    {
        // Beyond all idle ones.
        const int index = 1_000_000;
        for (int port = 0; port < Patterns; port++)
        {
            int number = TrafficPath.DefaultFirstPort + port;
            yield return new ProxiedService(index + port, ClusterAddress, number, 0, [RoutedVethSite.NearAddress], number);
            yield return new ProxiedService(index + Patterns + port, ExternalAddress, number, FirstNodePort + port, [RoutedVethSite.FarAddress], number);
        }
    }
}
