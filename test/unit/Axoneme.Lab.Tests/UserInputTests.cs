// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Lab.Commands;
using Axoneme.Lab.Configuration;
using Axoneme.Lab.Pods;

namespace Axoneme.Lab.Tests;

public sealed class UserInputTests
{
    [Fact]
    public void Values_become_configuration_keys()
    {
        Dictionary<string, string> keys = HelmValues.Read(
            "routingMode: tunnel\nbpf:\n  policyMapMax: 1024\ndevices: [eth0, eth1]\nhubble: {enabled: false}\n", "values.yaml");
        Assert.Equal(
            [("bpf-policy-map-max", "1024"), ("devices", "eth0 eth1"), ("enable-hubble", "false"), ("routing-mode", "tunnel")],
            keys.Select(k => (k.Key, k.Value)).Order());
    }

    [Fact]
    public void All_mistakes_in_values_are_named_with_path_and_line()
    {
        UserErrorException error = Assert.Throws<UserErrorException>(
            () => HelmValues.Read("ipv6:\n  enabled: perhaps\nbgp:\n  speaker: true\n", "v.yaml"));
        Assert.Equal(
            "v.yaml: ipv6.enabled (line 2): 'perhaps' is not a switch\nv.yaml: bgp (line 3): the lab does not know this value", error.Message);
    }

    [Theory]
    [InlineData("a: [")]
    [InlineData("- a\n- b\n")]
    public void Values_that_are_no_map_are_refused(string yaml)
        => Assert.StartsWith("v.yaml", Assert.Throws<UserErrorException>(() => HelmValues.Read(yaml, "v.yaml")).Message, StringComparison.Ordinal);

    [Fact]
    public void Settings_name_values_or_keys_and_the_last_one_wins()
    {
        var keys = new Dictionary<string, string> { ["bpf-lb-mode"] = "snat" };
        HelmValues.Set(keys, ["prometheus.enabled=true"]);
        Assert.Equal(":9962", keys["prometheus-serve-addr"]);
        keys.Remove("prometheus-serve-addr");
        HelmValues.Set(keys, ["loadBalancer.mode=dsr", "bpf-lb-algorithm=random", "loadBalancer.algorithm=maglev", "some-new-key=a=b"]);
        Assert.Equal([("bpf-lb-algorithm", "maglev"), ("bpf-lb-mode", "dsr"), ("some-new-key", "a=b")], keys.Select(k => (k.Key, k.Value)).Order());
    }

    [Theory]
    [InlineData("bpf.masquerade")]
    [InlineData("bpf.masquerade=perhaps")]
    [InlineData("bpf.noSuchValue=true")]
    [InlineData("=true")]
    public void Settings_that_say_nothing_are_refused(string setting)
        => Assert.StartsWith("--set", Assert.Throws<UserErrorException>(() => HelmValues.Set([], [setting])).Message, StringComparison.Ordinal);

    [Fact]
    public void User_keys_win_over_the_labs()
    {
        var options = new LabOptions { Routing = "vxlan", Keys = new Dictionary<string, string> { ["devices"] = "eth9" } };
        Dictionary<string, string> keys = options.AgentKeys("/cgroup");
        Assert.Equal(("tunnel", "false", "eth9", "/cgroup"),
            (keys["routing-mode"], keys["auto-direct-node-routes"], keys["devices"], keys["cgroup-root"]));
        Assert.False(keys.ContainsKey("ipv4-native-routing-cidr"));
    }

    [Fact]
    public void Options_after_the_separator_belong_to_the_command()
    {
        var arguments = new ArgumentList(["web", "-c", "main", "--", "sh", "-c", "exit 1"]);
        Assert.Equal("main", arguments.TakeOption("-c"));
        Assert.Equal("web", arguments.TakePositional());
        Assert.Equal(["sh", "-c", "exit 1"], arguments.TakeCommand("exec"));
        arguments.RequireEmpty();
    }

    [Fact]
    public void An_option_without_its_value_is_refused()
        => Assert.Equal(2, Assert.Throws<UserErrorException>(() => new ArgumentList(["--nodes"]).TakeOption("--nodes")).Status);

    [Theory]
    [InlineData("$(A)-$(B)", "1-$(B)")]
    [InlineData("$$(A)", "$(A)")]
    [InlineData("$(A", "$(A")]
    [InlineData("$", "$")]
    public void References_in_command_lines_are_replaced_where_they_are_known(string text, string expected)
        => Assert.Equal(expected, PodEnvironment.Expand(text, new Dictionary<string, string> { ["A"] = "1" }));

    [Theory]
    [InlineData("axoneme.io/echo", "echo")]
    [InlineData("axoneme.io/echo:v1", "echo")]
    [InlineData("axoneme.io/client@sha256:00", "idle")]
    public void Builtin_images_bring_a_command(string image, string verb)
        => Assert.Equal(verb, BuiltinImages.CommandLine(new Container { Image = image })![1]);

    [Fact]
    public void Other_images_need_a_command()
    {
        Assert.Null(BuiltinImages.CommandLine(new Container { Image = "nginx" }));
        Assert.Equal(["sleep", "1"], BuiltinImages.CommandLine(new Container { Image = "nginx", Command = ["sleep"], Args = ["1"] }));
    }
}
