// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Configuration;
using Axoneme.Hosting;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Agent.Tests;

public sealed class NodeConfigTests
{
    private static CiliumNodeConfig Config(string name, LabelSelector? selector, params (string Key, string Value)[] defaults) => new()
    {
        Metadata = new ObjectMeta { Namespace = "kube-system", Name = name },
        Spec = new CiliumNodeConfigSpec { NodeSelector = selector, Defaults = defaults.ToDictionary(d => d.Key, d => d.Value) },
    };

    private static LabelSelector Zone(string zone) => new() { MatchLabels = new Dictionary<string, string> { ["zone"] = zone } };

    [Fact]
    public void Later_names_win_among_objects_that_select_the_node()
    {
        IReadOnlyList<ConfigOverride> overrides = NodeConfigOverrides.Select(
            [
                Config("b", Zone("a"), ("mtu", "1400"), ("debug", "true")),
                Config("a", LabelSelector.Everything, ("mtu", "1300")),
                Config("c", Zone("other"), ("mtu", "1200")),
                Config("d", null, ("mtu", "1100")),
            ],
            new Dictionary<string, string> { ["zone"] = "a" });
        Assert.Equal(["debug=true", "mtu=1400"], overrides.Select(o => $"{o.Key}={o.Value}"));
        Assert.Equal("mtu in spec.defaults of CiliumNodeConfig kube-system/b", overrides[1].Source);
    }

    [Fact]
    public void They_come_over_the_config_map_and_under_flags_and_errors_name_the_object()
    {
        string directory = Directory.CreateTempSubdirectory().FullName;
        try
        {
            File.WriteAllText(Path.Combine(directory, "mtu"), "1500");
            File.WriteAllText(Path.Combine(directory, "enable-ipv6"), "false");
            RawConfig raw = RawConfig.Load(["--config-dir", directory, "--cluster-name=flagged"]);
            IReadOnlyList<ConfigOverride> applied = raw.Apply(
            [
                new ConfigOverride("mtu", "1400", "here"), new ConfigOverride("cluster-name", "other", "here"), new ConfigOverride("ENABLE_IPV6", "maybe", "there"),
            ]);
            Assert.Equal(["mtu", "enable-ipv6"], applied.Select(a => a.Key));
            Assert.Equal(("1400", "flagged"), (raw.Find("mtu"), raw.Find("cluster-name")));
            ConfigException e = Assert.Throws<ConfigException>(() => AgentOptionsBinder.Bind(raw, "one", null));
            Assert.Contains("there: 'maybe' is neither true nor false", e.Message, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [Fact]
    public async Task Without_an_api_server_the_last_answer_counts()
    {
        string directory = Directory.CreateTempSubdirectory().FullName;
        try
        {
            Directory.CreateDirectory(Path.Combine(directory, "state"));
            await File.WriteAllTextAsync(
                Path.Combine(directory, "state", "node-config.json"), """[{"key":"mtu","value":"1400","source":"before"}]""", TestContext.Current.CancellationToken);
            using var client = new KubernetesClient(new KubernetesConfig { Servers = [new Uri("http://127.0.0.1:1")] }, new KubernetesClientOptions());
            var warnings = new List<string>();
            IReadOnlyList<ConfigOverride> overrides = await NodeConfigOverrides.ReadAsync(
                client, "one", "kube-system", directory, warnings.Add, TestContext.Current.CancellationToken);
            Assert.Equal([new ConfigOverride("mtu", "1400", "before")], overrides);
            Assert.Contains("1 settings", Assert.Single(warnings), StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }
}
