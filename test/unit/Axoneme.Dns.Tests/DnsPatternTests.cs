// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Dns.Tests;

public sealed class DnsPatternTests
{
    [Theory]
    [InlineData("*.example.com", "www.example.com.", true)]
    [InlineData("*.example.com", "example.com", false)]
    [InlineData("*.example.com", "a.b.example.com", false)]
    [InlineData("**.example.com", "a.b.example.com", true)]
    [InlineData("**.example.com", "example.com", false)]
    [InlineData("**.example.com", "notexample.com", false)]
    [InlineData("***.*.com", "a.b.com", true)]
    [InlineData("***.*.com", "b.com", false)]
    [InlineData("sub*.cilium.io", "sub.cilium.io", true)]
    [InlineData("sub*.cilium.io", "subdomain.cilium.io", true)]
    [InlineData("*b*c*.io", "abbcb.io", true)]
    [InlineData("*b*c*.io", "abb.io", false)]
    [InlineData("*", "anything.at.all", true)]
    [InlineData("*", "", true)]
    [InlineData("Example.COM.", "example.com", true)]
    [InlineData("*.example.com", "a!.example.com", false)]
    public void A_pattern_matches_as_documented(string pattern, string name, bool matches)
    {
        Assert.True(DnsPattern.TryParsePattern(pattern, out DnsPattern parsed, out string problem), problem);
        Assert.Equal(matches, parsed.Matches(name));
    }

    [Theory]
    [InlineData("")]
    [InlineData("a b")]
    [InlineData("(a+)+")]
    public void What_is_no_pattern_is_refused_with_a_reason(string pattern)
    {
        Assert.False(DnsPattern.TryParsePattern(pattern, out _, out string problem));
        Assert.NotEmpty(problem);
    }

    [Fact]
    public void A_name_takes_no_star() => Assert.False(DnsPattern.TryParseName("*.example.com", out _, out _));

    [Fact]
    public void A_pattern_made_to_backtrack_ends_quickly()
    {
        Assert.True(DnsPattern.TryParsePattern(string.Concat(Enumerable.Repeat("*a", 120)) + "b", out DnsPattern parsed, out _));
        Assert.False(parsed.Matches(new string('a', 250)));
    }

    // A few labels and stars, so that many patterns match, and look like each other.
    [Fact]
    public void An_index_finds_what_trying_every_pattern_finds()
    {
        var random = new Random(11);
        string[] labels = ["a", "ab", "b", "*", "a*", "*b", "**", "c"];
        var patterns = new HashSet<DnsPattern> { DnsPattern.Everything };
        var index = new DnsPatternIndex<string>();
        index.Add(DnsPattern.Everything, "*");
        for (int i = 0; i < 3_000; i++)
        {
            string text = string.Join('.', Enumerable.Range(0, random.Next(1, 5)).Select(_ => labels[random.Next(labels.Length)]));
            if (random.Next(2) == 0 && DnsPattern.TryParsePattern(text, out DnsPattern pattern, out _))
            {
                if (patterns.Remove(pattern))
                    index.Remove(pattern);
                else if (patterns.Add(pattern))
                    index.Add(pattern, pattern.Text);
            }

            string name = text.Replace("*", random.Next(2) == 0 ? "" : "ab", StringComparison.Ordinal).Trim('.').Replace("..", ".", StringComparison.Ordinal);
            string[] expected = [.. patterns.Where(p => p.Matches(name)).Select(p => p.Text).Order(StringComparer.Ordinal)];
            Assert.Equal(expected, (index.Find(name) ?? []).Order(StringComparer.Ordinal));
            Assert.Equal(expected.Length > 0, index.Matches(name));
        }
    }
}
