// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Policy.Tests;

public sealed class LabelTests
{
    [Fact]
    public void Identity_has_what_tells_workloads_apart_and_nothing_that_tells_pods_apart()
    {
        LabelSet labels = PodLabels.For(
            new PodIdentitySource
            {
                Namespace = "blue",
                Cluster = "default",
                ServiceAccount = "builder",
                Labels = new Dictionary<string, string>
                {
                    ["app"] = "web",
                    ["app.kubernetes.io/name"] = "web",
                    ["pod-template-hash"] = "5d4",
                    ["controller-revision-hash"] = "x",
                    ["statefulset.kubernetes.io/pod-name"] = "web-0",
                    ["io.cilium.k8s.policy.serviceaccount"] = "admin",
                    ["topology.kubernetes.io/zone"] = "z",
                    ["failure-domain.beta.kubernetes.io/zone"] = "z",
                },
                NamespaceLabels = new Dictionary<string, string> { ["kubernetes.io/metadata.name"] = "blue" },
            },
            LabelFilter.Default);
        Assert.Equal(
            LabelSet.Parse(
                "k8s:app=web", "k8s:app.kubernetes.io/name=web", "k8s:io.kubernetes.pod.namespace=blue", "k8s:io.cilium.k8s.policy.cluster=default",
                "k8s:io.cilium.k8s.policy.serviceaccount=builder", "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=blue"),
            labels);
        Assert.Equal(labels, PodLabels.FromSecurityLabels(PodLabels.ToSecurityLabels(labels)));
    }

    [Theory]
    [InlineData("", "app", true)]
    [InlineData("k8s:team", "app", false)]
    [InlineData("k8s:team", "team", true)]
    [InlineData("k8s:team", "io.kubernetes.pod.namespace", true)]
    [InlineData("!app", "app", false)]
    [InlineData("!app", "team", true)]
    [InlineData("!app app/name", "app/name", true)]
    public void Filter_option_adds_to_the_defaults(string option, string key, bool kept)
        => Assert.Equal(kept, LabelFilter.Parse(option).Keeps(new Label("k8s", key, "x")));

    [Fact]
    public void Pod_cannot_claim_what_the_cluster_says_of_it()
    {
        LabelSet labels = PodLabels.For(
            new PodIdentitySource
            {
                Namespace = "blue",
                Cluster = "default",
                Labels = new Dictionary<string, string>
                {
                    ["app"] = "web",
                    [PodLabels.ServiceAccount] = "admin",
                    [PodLabels.NamespaceLabelPrefix + "team"] = "one",
                    [PodLabels.Cluster] = "far",
                },
            },
            LabelFilter.Default);
        Assert.Equal("web", labels.Find("k8s", "app"));
        Assert.Equal("default", labels.Find("k8s", PodLabels.Cluster));
        Assert.Null(labels.Find("k8s", PodLabels.ServiceAccount));
        Assert.Null(labels.Find("k8s", PodLabels.NamespaceLabelPrefix + "team"));
    }

    [Fact]
    public void Pod_object_gives_the_labels_of_its_identity()
    {
        var pod = new Pod
        {
            Metadata = new ObjectMeta { Namespace = "blue", Name = "web-0", Labels = new Dictionary<string, string> { ["app"] = "web" } },
            Spec = new PodSpec
            {
                ServiceAccountName = "builder",
            },
        };
        Assert.Equal(
            LabelSet.Parse(
                "k8s:app=web", "k8s:io.kubernetes.pod.namespace=blue", "k8s:io.cilium.k8s.policy.cluster=default",
                "k8s:io.cilium.k8s.policy.serviceaccount=builder"),
            PodLabels.For(pod, null, "default", LabelFilter.Default));
    }

    [Fact]
    public void Broken_filter_is_named()
        => Assert.Contains("'app(' is not a label filter", Assert.Throws<FormatException>(() => LabelFilter.Parse("app(")).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("10.0.0.0/8", "cidr:10.0.0.0/8")]
    [InlineData("2001:db8::/32", "cidr:2001-db8--0/32")]
    [InlineData("::1/128", "cidr:0--1/128")]
    public void Address_blocks_survive_the_way_through_labels(string prefix, string label)
    {
        Assert.Equal(label, CidrLabels.Of(IpPrefix.Parse(prefix)).ToString());
        Assert.Equal(IpPrefix.Parse(prefix), CidrLabels.Find(CidrLabels.IdentityLabels(IpPrefix.Parse(prefix), dualStack: true)));
    }
}
