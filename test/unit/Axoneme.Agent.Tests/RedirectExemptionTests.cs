// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Services;
using Axoneme.Datapath;
using Axoneme.Kubernetes.Resources;
using Axoneme.LoadBalancing;
using Axoneme.Network;

namespace Axoneme.Agent.Tests;

public sealed class RedirectExemptionTests
{
    private static readonly ResourceName Pod = new("shop", "cache");
    private static readonly L4Address Frontend = new(IpAddress.Parse("10.96.0.10"), 53, L4Protocol.Udp);
    private readonly RedirectExemptions _exemptions = new();

    private static CatalogChange Begin => CatalogChange.None with { NewExemptions = [new RedirectExemption(Pod, Frontend)] };

    private static CatalogChange End => CatalogChange.None with { EndedExemptions = [new RedirectExemption(Pod, Frontend)] };

    private IEnumerable<SkippedTranslation> Rows => _exemptions.Table.Snapshot().Values;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Pod_is_exempt_when_its_namespace_and_the_policy_are_known(bool namespaceFirst)
    {
        if (namespaceFirst)
            _exemptions.SetNamespace(Pod, 7);
        _exemptions.Apply(Begin);
        if (!namespaceFirst)
        {
            Assert.Empty(Rows);
            _exemptions.SetNamespace(Pod, 7);
        }

        Assert.Equal([new SkippedTranslation(7, Frontend)], Rows);
        _exemptions.Apply(End);
        Assert.Empty(Rows);
    }

    [Fact]
    public void Next_pod_of_the_name_takes_over_and_the_end_of_the_last_one_does_not_hurt_it()
    {
        _exemptions.Apply(Begin);
        _exemptions.SetNamespace(Pod, 7);
        _exemptions.SetNamespace(Pod, 8);
        _exemptions.RemoveNamespace(Pod, 7);
        Assert.Equal([new SkippedTranslation(8, Frontend)], Rows);
        _exemptions.RemoveNamespace(Pod, 8);
        Assert.Empty(Rows);
    }
}
