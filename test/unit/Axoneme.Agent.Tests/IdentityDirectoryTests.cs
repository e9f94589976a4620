// SPDX-License-Identifier: Apache-2.0
using System.Net;
using Axoneme.Agent.Identities;
using Axoneme.EmbeddedApi;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;
using Microsoft.Extensions.Logging.Abstractions;

namespace Axoneme.Agent.Tests;

/// <summary>Allocation of identities beside an operator that collects those that nobody uses.</summary>
public sealed class IdentityDirectoryTests : IAsyncLifetime
{
    private const string Mark = "io.cilium.heartbeat";
    private static readonly LabelSet Web = LabelSet.Parse("k8s:app=web");
    private static readonly ResourceName Name = new("1000");
    private EmbeddedApiHost _api = null!;
    private KubernetesClient _client = null!;
    private IdentityDirectory _directory = null!;
    private string _kubeconfig = "";

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private ResourceClient<CiliumIdentity> Identities => _client.Of(Kinds.CiliumIdentities);

    public async ValueTask InitializeAsync()
    {
        _api = new EmbeddedApiHost(new EmbeddedApiOptions
        {
            Listeners = [ApiListener.On(new IPEndPoint(IPAddress.Loopback, 0))],
            Tokens = new Dictionary<string, ApiUser> { ["t"] = new("agent", "system:masters") },
        });
        await _api.StartAsync();
        _api.Objects.ApplyManifests(await File.ReadAllTextAsync(Path.Combine(AppContext.BaseDirectory, "crds", "ciliumidentities.yaml")));
        _kubeconfig = Path.GetTempFileName();
        EmbeddedApiHost.WriteKubeconfig(_kubeconfig, _api.KubeconfigForToken(_api.Addresses[0], "t"));
        _client = new KubernetesClient(KubernetesConfig.Load(_kubeconfig), new KubernetesClientOptions { Qps = 0 });
        _directory = new IdentityDirectory(_client, IdentityNumbering.Default, [], NullLogger<IdentityDirectory>.Instance);
        _directory.Upsert(await Identities.CreateAsync(new CiliumIdentity
        {
            Metadata = new ObjectMeta { Name = Name.Name, Annotations = new Dictionary<string, string> { [Mark] = "2026-01-01T00:00:00Z" } },
            SecurityLabels = new Dictionary<string, string> { ["k8s:app"] = "web" },
        }));
    }

    public async ValueTask DisposeAsync()
    {
        _directory.Dispose();
        _client.Dispose();
        await _api.DisposeAsync();
        File.Delete(_kubeconfig);
    }

    [Fact]
    public async Task A_marked_identity_that_is_wanted_again_is_kept_from_the_operator()
    {
        string version = (await Identities.GetAsync(Name, Cancelled)).Metadata.ResourceVersion!;
        Assert.Equal(1000u, (await _directory.AllocateAsync(Web, Cancelled)).Value);
        Assert.Null((await Identities.GetAsync(Name, Cancelled)).Metadata.Annotation(Mark));
        KubernetesException late = await Assert.ThrowsAsync<KubernetesException>(
            () => Identities.DeleteAsync(Name, new DeleteOptions(ResourceVersion: version), Cancelled));
        Assert.True(late.IsConflict);
    }

    [Fact]
    public async Task Of_several_numbers_for_the_same_labels_the_smallest_is_used()
    {
        var labels = new Dictionary<string, string> { ["k8s:app"] = "twice" };
        foreach (string number in (string[])["2001", "2000", "2002"])
            _directory.Upsert(new CiliumIdentity { Metadata = new ObjectMeta { Name = number }, SecurityLabels = labels });
        Assert.Equal(2000u, (await _directory.AllocateAsync(LabelSet.Parse("k8s:app=twice"), Cancelled)).Value);
        _directory.Delete(new ResourceName("2000"));
        Assert.Equal(2001u, _directory.Find(LabelSet.Parse("k8s:app=twice"))!.Value.Value);
    }

    [Fact]
    public async Task New_numbers_are_those_of_the_cluster()
    {
        using var directory = new IdentityDirectory(
            _client, new IdentityNumbering { ClusterId = 300, Bits = 15 }, [], NullLogger<IdentityDirectory>.Instance);
        SecurityIdentity id = await directory.AllocateAsync(LabelSet.Parse("k8s:app=db"), Cancelled);
        Assert.InRange(id.Value, 300u << 15, (301u << 15) - 1);
    }

    [Fact]
    public async Task Well_known_pods_have_their_numbers_without_an_object()
    {
        using var directory = new IdentityDirectory(
            _client, IdentityNumbering.Default, [.. WellKnownIdentities.Of("default", "cilium")], NullLogger<IdentityDirectory>.Instance);
        LabelSet dns = LabelSet.Parse(
            "k8s:k8s-app=kube-dns", "k8s:io.kubernetes.pod.namespace=kube-system", "k8s:io.cilium.k8s.policy.serviceaccount=coredns",
            "k8s:io.cilium.k8s.policy.cluster=default");
        LabelSet named = LabelSet.From([.. dns, Label.Parse("k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=kube-system")]);
        Assert.Equal((104u, 112u), ((await directory.AllocateAsync(dns, Cancelled)).Value, (await directory.AllocateAsync(named, Cancelled)).Value));
        Assert.Single((await Identities.ListAsync(cancellationToken: Cancelled)).Items);
        LabelSet other = LabelSet.From([.. dns, Label.Parse("k8s:tier=extra")]);
        Assert.True((await directory.AllocateAsync(other, Cancelled)).Value > 255);
    }

    [Fact]
    public async Task Where_the_operator_was_faster_the_labels_get_another_identity()
    {
        await Identities.DeleteAsync(Name, null, Cancelled);
        SecurityIdentity next = await _directory.AllocateAsync(Web, Cancelled);
        Assert.NotNull(await Identities.FindAsync(new ResourceName($"{next.Value}"), Cancelled));
        Assert.Equal(next, _directory.Find(Web));
    }
}
