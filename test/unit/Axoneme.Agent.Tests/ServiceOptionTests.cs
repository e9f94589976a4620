// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Configuration;
using Axoneme.Hosting;
using Axoneme.LoadBalancing;
using Axoneme.Network;

namespace Axoneme.Agent.Tests;

public sealed class ServiceOptionTests
{
    [Fact]
    public void Replacing_kube_proxy_implies_translation_at_the_socket()
    {
        ServiceOptions services = Bind("--kube-proxy-replacement=true", "--bpf-lb-sock=false").Services;
        Assert.True(services.ReplaceKubeProxy);
        Assert.True(services.SocketTranslation);
        ServiceOptions socketsOnly = Bind("--bpf-lb-sock=true").Services;
        Assert.False(socketsOnly.ReplaceKubeProxy);
        Assert.True(socketsOnly.SocketTranslation);
    }

    [Fact]
    public void Services_are_set_by_the_keys_of_the_chart()
    {
        AgentOptions options = Bind(
            "--kube-proxy-replacement=true", "--routing-mode=native", "--bpf-lb-mode=dsr", "--bpf-lb-algorithm=maglev",
            "--bpf-lb-maglev-table-size=65521", "--bpf-lb-maglev-hash-seed=AAECAwQFBgcICQoL", "--node-port-range=20000,20100",
            "--nodeport-addresses=10.0.0.0/8,fd00::/8", "--bpf-lb-acceleration=best-effort", "--service-no-backend-response=drop",
            "--kube-proxy-replacement-healthz-bind-address=0.0.0.0:10256", "--prometheus-serve-addr=:9962");
        ServiceOptions services = options.Services;
        Assert.Equal((LoadBalancerMode.Dsr, BackendSelection.Maglev, 65521), (services.Mode, services.Algorithm, services.MaglevTableSize));
        Assert.Equal([.. Enumerable.Range(0, 12).Select(i => (byte)i)], services.MaglevSeed);
        Assert.Equal((20000, 20100), (services.NodePortMin, services.NodePortMax));
        Assert.Equal([IpPrefix.Parse("10.0.0.0/8"), IpPrefix.Parse("fd00::/8")], services.NodePortAddresses);
        Assert.Equal(XdpAcceleration.BestEffort, services.Acceleration);
        Assert.False(services.RejectWithoutBackend);
        Assert.Equal(new ListenAddress(IpAddress.Parse("0.0.0.0"), 10256), services.KubeProxyHealthz);
        Assert.Equal(new ListenAddress(null, 9962), options.PrometheusAddress);
    }

    [Theory]
    [InlineData("--bpf-lb-maglev-table-size=1000", "bpf-lb-maglev-table-size")]
    [InlineData("--bpf-lb-maglev-hash-seed=AAEC", "bpf-lb-maglev-hash-seed")]
    [InlineData("--node-port-range=40000,30000", "node-port-range")]
    [InlineData("--node-port-range=30000", "node-port-range")]
    [InlineData("--node-port-range=30000,65000", "node-port-range")]
    [InlineData("--bpf-policy-map-max=100", "bpf-policy-map-max")]
    [InlineData("--nodeport-addresses=10.0.0.0/33", "nodeport-addresses")]
    [InlineData("--prometheus-serve-addr=9962", "prometheus-serve-addr")]
    [InlineData("--prometheus-serve-addr=fd00::1:9962", "prometheus-serve-addr")]
    [InlineData("--prometheus-serve-addr=[10.0.0.1]:9962", "prometheus-serve-addr")]
    [InlineData("--bpf-map-dynamic-size-ratio=8", "bpf-map-dynamic-size-ratio")]
    [InlineData("--bpf-lb-mode=dsr", "routing-mode=native")]
    [InlineData("--enable-bpf-masquerade=true --kube-proxy-replacement=false", "enable-bpf-masquerade")]
    [InlineData("--bpf-lb-acceleration=native --kube-proxy-replacement=false", "bpf-lb-acceleration")]
    [InlineData("--enable-ip-masq-agent=true", "enable-ip-masq-agent")]
    [InlineData("--enable-local-redirect-policy=true --kube-proxy-replacement=false", "enable-local-redirect-policy")]
    [InlineData("--bpf-distributed-lru=true --bpf-map-dynamic-size-ratio=0", "bpf-distributed-lru")]
    [InlineData("--bpf-nat-global-max=5000 --bpf-ct-global-tcp-max=2000 --bpf-ct-global-any-max=2000", "bpf-nat-global-max")]
    [InlineData("--bpf-lb-mode=hybrid --bpf-lb-mode-annotation=true --routing-mode=native", "bpf-lb-mode-annotation")]
    public void What_cannot_be_is_refused_by_name(string flags, string named)
    {
        string[] all = ["--kube-proxy-replacement=true", .. flags.Split(' ')];
        string problem = Assert.Single(Assert.Throws<ConfigException>(() => Bind(all)).Problems);
        Assert.Contains(named, problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(":9962", null, 9962)]
    [InlineData("0.0.0.0:10256", "0.0.0.0", 10256)]
    [InlineData("[fd00::1]:80", "fd00::1", 80)]
    public void Listen_addresses_read_back_as_written(string text, string? address, int port)
    {
        Assert.True(ListenAddress.TryParse(text, out ListenAddress parsed));
        Assert.Equal(new ListenAddress(address is null ? null : IpAddress.Parse(address), (ushort)port), parsed);
        Assert.Equal(text, parsed.ToString());
    }

    private static AgentOptions Bind(params string[] flags) => AgentOptionsBinder.Bind(RawConfig.Load(flags), "worker-1", null);
}
