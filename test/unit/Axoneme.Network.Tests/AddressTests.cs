// SPDX-License-Identifier: Apache-2.0
using System.Net;

namespace Axoneme.Network.Tests;

public sealed class AddressTests
{
    [Theory]
    [InlineData("10.0.0.1", "10.0.0.1")]
    [InlineData("2001:DB8::1", "2001:db8::1")]
    [InlineData("::ffff:10.0.0.1", "10.0.0.1")]
    [InlineData("::", "::")]
    public void Address_prints_in_its_canonical_form(string text, string canonical)
        => Assert.Equal(canonical, IpAddress.Parse(text).ToString());

    [Theory]
    [InlineData("")]
    [InlineData("10.1")]
    [InlineData("1")]
    [InlineData("10.0.0.256")]
    [InlineData("fe80::1%eth0")]
    [InlineData("10.0.0.1/32")]
    public void What_Kubernetes_does_not_take_for_an_address_is_refused(string text) => Assert.False(IpAddress.TryParse(text, out _));

    [Theory]
    [InlineData("10.1.2.3/8", "10.0.0.0/8")]
    [InlineData("10.1.2.3/0", "0.0.0.0/0")]
    [InlineData("2001:db8:1::/32", "2001:db8::/32")]
    [InlineData("fd00::1/128", "fd00::1/128")]
    public void Prefix_masks_its_host_bits(string text, string canonical) => Assert.Equal(canonical, IpPrefix.Parse(text).ToString());

    [Theory]
    [InlineData("10.0.0.0")]
    [InlineData("10.0.0.0/33")]
    [InlineData("10.0.0.0/")]
    [InlineData("10.0.0.0/+8")]
    [InlineData("fd00::/129")]
    [InlineData("fd00::/1000")]
    public void Malformed_prefix_is_refused(string text) => Assert.False(IpPrefix.TryParse(text, out _));

    [Fact]
    public void Prefix_contains_what_the_platform_says_it_contains()
    {
        var random = new Random(1);
        Span<byte> bytes = stackalloc byte[16];
        for (int i = 0; i < 2000; i++)
        {
            random.NextBytes(bytes);
            Span<byte> used = i % 2 == 0 ? bytes[..4] : bytes;
            IpAddress address = IpAddress.FromBytes(used);
            int length = random.Next(address.BitCount + 1);
            var prefix = new IpPrefix(address, length);
            var network = new IPNetwork(prefix.Address.ToIPAddress(), length);
            IpAddress other = address.Add(UInt128.One << random.Next(address.BitCount));
            Assert.True(prefix.Contains(address));
            Assert.Equal(network.Contains(other.ToIPAddress()), prefix.Contains(other));
        }
    }

    [Fact]
    public void Bytes_and_order_follow_the_wire()
    {
        byte[] bytes = new byte[16];
        Assert.Equal(4, IpAddress.Parse("10.0.0.1").WriteBytes(bytes));
        Assert.Equal([10, 0, 0, 1], bytes[..4]);
        Assert.True(IpAddress.Parse("9.255.255.255") < IpAddress.Parse("10.0.0.0"));
        Assert.True(IpAddress.Parse("255.255.255.255") < IpAddress.Parse("::"));
        Assert.Equal(IpAddress.Parse("0.0.0.0"), IpAddress.Parse("255.255.255.255").Add(1));
    }

    [Theory]
    [InlineData("k8s:app=web", "k8s", "app", "web")]
    [InlineData("app=a=b", "unspec", "app", "a=b")]
    [InlineData("$host", "reserved", "host", "")]
    [InlineData("k8s:key=a:b", "k8s", "key", "a:b")]
    public void Label_text_has_source_key_and_value(string text, string source, string key, string value)
        => Assert.Equal(new Label(source, key, value), Label.Parse(text));

    [Fact]
    public void Label_sets_with_the_same_labels_are_equal()
    {
        LabelSet one = LabelSet.Parse("k8s:b=2", "k8s:a=1", "k8s:b=3");
        Assert.Equal("k8s:a=1,k8s:b=3", one.ToString());
        Assert.Equal(one, LabelSet.Parse("k8s:a=1", "k8s:b=3"));
        Assert.Equal("3", one.Find(Label.Any, "b"));
        Assert.Null(one.Find("reserved", "b"));
    }

    [Fact]
    public void Service_address_prints_as_the_command_line_shows_it()
    {
        Assert.Equal("10.96.0.10:53/UDP", new L4Address(IpAddress.Parse("10.96.0.10"), 53, L4Protocol.Udp).ToString());
        Assert.Equal("[fd00::1]:53/TCP", new L4Address(IpAddress.Parse("fd00::1"), 53, L4Protocol.Tcp).ToString());
    }
}
