// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Configuration;
using Axoneme.Hosting;

namespace Axoneme.Agent.Tests;

public sealed class ConfigurationTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("axoneme-config-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void Keys_of_the_directory_are_read_and_flags_win()
    {
        Write("routing-mode", "native\n");
        Write("enable-ipv6", "true");
        Write("cluster-name", "one");
        AgentOptions options = Bind("--cluster-name=two");
        Assert.Equal(RoutingMode.Native, options.RoutingMode);
        Assert.True(options.EnableIPv6);
        Assert.Equal("two", options.ClusterName);
    }

    [Fact]
    public void Every_bad_value_is_listed_with_its_key()
    {
        Write("enable-ipv4", "yes please");
        Write("tunnel-port", "99999");
        Write("routing-mode", "sideways");
        Write("ipv4-native-routing-cidr", "10.0.0.0/33");
        var failure = Assert.Throws<ConfigException>(() => Bind());
        Assert.Equal(4, failure.Problems.Count);
        foreach (string key in new[] { "enable-ipv4", "tunnel-port", "routing-mode", "ipv4-native-routing-cidr" })
            Assert.Contains(failure.Problems, problem => problem.Contains(key, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("0", "255", 256u, 65535u)]
    [InlineData("255", "255", 0xFF0000u, 0xFFFFFFu)]
    [InlineData("0", "511", 256u, 32767u)]
    [InlineData("300", "511", 300u << 15, (301u << 15) - 1)]
    public void Clusters_share_the_numbers_of_identities(string id, string clusters, uint first, uint last)
    {
        Write("cluster-id", id);
        Write("max-connected-clusters", clusters);
        AgentOptions options = Bind();
        Assert.Equal((first, last), (options.Numbering.First, options.Numbering.Last));
    }

    [Theory]
    [InlineData("256", "255", "cluster-id")]
    [InlineData("512", "511", "cluster-id")]
    [InlineData("0", "300", "max-connected-clusters")]
    public void A_cluster_without_numbers_is_refused(string id, string clusters, string key)
    {
        Write("cluster-id", id);
        Write("max-connected-clusters", clusters);
        Assert.Contains(key, Assert.Single(Assert.Throws<ConfigException>(() => Bind()).Problems), StringComparison.Ordinal);
    }

    [Fact]
    public void A_misspelt_key_is_reported_with_its_neighbour_and_does_not_stop_the_agent()
    {
        Write("enable-ipv66", "true");
        RawConfig raw = RawConfig.Load(["--config-dir", _directory]);
        string warning = Assert.Single(raw.Warnings);
        Assert.Contains("enable-ipv66", warning, StringComparison.Ordinal);
        Assert.Contains("did you mean enable-ipv6", warning, StringComparison.Ordinal);
    }

    [Fact]
    public void A_feature_that_is_not_there_is_reported_when_it_is_asked_for()
    {
        Write("enable-wireguard", "true");
        Write("enable-bbr", "false");
        RawConfig raw = RawConfig.Load(["--config-dir", _directory]);
        Assert.Contains("enable-wireguard", Assert.Single(raw.Warnings), StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_directory_is_named()
        => Assert.Contains("/no/such", Assert.Throws<ConfigException>(() => RawConfig.Load(["--config-dir=/no/such"])).Message, StringComparison.Ordinal);

    [Fact]
    public void A_missing_node_name_is_named()
        => Assert.Contains("K8S_NODE_NAME", Assert.Throws<ConfigException>(
            () => AgentOptionsBinder.Bind(RawConfig.Load([]), nodeName: null, podNamespace: null)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("5s", 5)]
    [InlineData("1m30s", 90)]
    [InlineData("2h13m20s", 8000)]
    [InlineData("100ms", 0.1)]
    [InlineData("0", 0)]
    public void Durations_are_read(string text, double seconds)
    {
        Assert.True(GoDuration.TryParse(text, out TimeSpan value));
        Assert.Equal(seconds, value.TotalSeconds, 6);
    }

    [Theory]
    [InlineData("5")]
    [InlineData("s")]
    [InlineData("5 s")]
    [InlineData("")]
    [InlineData("1d")]
    public void Other_texts_are_no_durations(string text) => Assert.False(GoDuration.TryParse(text, out _));

    private void Write(string key, string value) => File.WriteAllText(Path.Combine(_directory, key), value);

    private AgentOptions Bind(params string[] flags)
        => AgentOptionsBinder.Bind(RawConfig.Load(["--config-dir", _directory, .. flags]), "node-1", null);
}
