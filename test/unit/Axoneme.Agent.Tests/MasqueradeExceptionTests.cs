// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Services;
using Axoneme.Network;

namespace Axoneme.Agent.Tests;

public sealed class MasqueradeExceptionTests
{
    [Fact]
    public void File_names_the_destinations_and_link_local_ones_are_among_them_unless_it_says_otherwise()
    {
        const string Yaml = """
            nonMasqueradeCIDRs:
            - 10.0.0.0/8
            - fd00::/8
            masqLinkLocalIPv6: true
            resyncInterval: 2s
            """;
        (IReadOnlySet<IpPrefix> destinations, TimeSpan interval) = MasqueradeExceptions.Parse(Yaml);
        Assert.Equal(["10.0.0.0/8", "169.254.0.0/16", "fd00::/8"], Texts(destinations));
        Assert.Equal(TimeSpan.FromSeconds(2), interval);
    }

    [Theory]
    [InlineData("")]
    [InlineData("nonMasqueradeCIDRs: []")]
    [InlineData("{\"masqLinkLocal\": false}")]
    public void Without_a_list_private_ranges_are_not_masqueraded(string text)
    {
        IReadOnlySet<IpPrefix> destinations = MasqueradeExceptions.Parse(text).Destinations;
        Assert.Contains(IpPrefix.Parse("10.0.0.0/8"), destinations);
        Assert.Contains(IpPrefix.Parse("240.0.0.0/4"), destinations);
        Assert.Equal(13, destinations.Count);
    }

    [Theory]
    [InlineData("nonMasqueradeCIDRs: [10.0.0.0/40]", "10.0.0.0/40")]
    [InlineData("nonMasqueradeCIDRs: all", "nonMasqueradeCIDRs is not a list")]
    [InlineData("masqLinkLocal: perhaps", "masqLinkLocal: 'perhaps'")]
    [InlineData("resyncInterval: soon", "resyncInterval: 'soon'")]
    [InlineData("a: b: c", "")]
    public void Mistake_is_named(string text, string named)
        => Assert.Contains(named, Assert.Throws<FormatException>(() => MasqueradeExceptions.Parse(text)).Message);

    private static IEnumerable<string> Texts(IEnumerable<IpPrefix> prefixes) => prefixes.Select(p => p.ToString()).Order(StringComparer.Ordinal);
}
