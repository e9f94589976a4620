// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Ipcache;
using Axoneme.Network;

namespace Axoneme.Agent.Tests;

/// <summary>Who is believed about an address.</summary>
public sealed class IpcacheTests
{
    private static readonly IpAddress Host = IpAddress.Parse("172.30.0.12");
    private static readonly SecurityIdentity Block = new(SecurityIdentity.LocalCidrScope + 1);

    private readonly Ipcache.Ipcache _ipcache = new();

    private void Say(string prefix, SecurityIdentity identity, IpcacheSource source, string owner = "", IpAddress? node = null)
        => _ipcache.Set(new IpcacheRecord(IpPrefix.Parse(prefix), identity, node, source, owner));

    private SecurityIdentity? IdentityOf(string address) => _ipcache.Find(IpAddress.Parse(address))?.Identity;

    [Theory]
    [InlineData("10.244.1.0/25")]
    [InlineData("10.244.1.7/32")]
    [InlineData("10.244.1.0/24")]
    public void Blocks_and_names_do_not_speak_for_addresses_of_pods(string block)
    {
        Say(block, Block, IpcacheSource.Cidr);
        Assert.Equal(Block, IdentityOf("10.244.1.7"));
        Say("10.244.1.0/24", SecurityIdentity.Unmanaged, IpcacheSource.PodRange, "two", Host);
        Assert.Equal((SecurityIdentity.Unmanaged, Host), (IdentityOf("10.244.1.7"), _ipcache.Find(IpAddress.Parse("10.244.1.7"))!.Node));
        Assert.DoesNotContain(_ipcache.Describe(), record => record.Source == IpcacheSource.Cidr);

        Say(block, new SecurityIdentity(Block.Value + 1), IpcacheSource.Cidr);
        Assert.Equal(SecurityIdentity.Unmanaged, IdentityOf("10.244.1.7"));
        Say("10.244.1.7/32", new SecurityIdentity(700), IpcacheSource.Pod, "blue/pod", Host);
        Assert.Equal(700u, IdentityOf("10.244.1.7")!.Value.Value);
        _ipcache.Remove(IpPrefix.Parse("10.244.1.7/32"), IpcacheSource.Pod, "blue/pod");
        _ipcache.Remove(IpPrefix.Parse("10.244.1.0/24"), IpcacheSource.PodRange, "two");
        Assert.Equal(Block.Value + 1, IdentityOf("10.244.1.7")!.Value.Value);
    }

    [Fact]
    public void Blocks_around_and_beside_pod_ranges_count()
    {
        Say("10.244.1.0/24", SecurityIdentity.Unmanaged, IpcacheSource.PodRange, "two", Host);
        Say("10.0.0.0/8", Block, IpcacheSource.Cidr);
        Say("10.244.2.0/25", new SecurityIdentity(Block.Value + 1), IpcacheSource.Cidr);
        Assert.Equal(Block, IdentityOf("10.1.1.1"));
        Assert.Equal(Block.Value + 1, IdentityOf("10.244.2.1")!.Value.Value);
        Assert.Equal(SecurityIdentity.Unmanaged, IdentityOf("10.244.1.1"));
    }
}
