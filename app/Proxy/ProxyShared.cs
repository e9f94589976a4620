// SPDX-License-Identifier: Apache-2.0
using Axoneme.DnsProxy;
using Axoneme.Network;
using Axoneme.Proxy.Names;
using Axoneme.Proxy.Rules;

namespace Axoneme.Proxy;

/// <summary>What all workers and the agent's connection have in common.</summary>
internal sealed class ProxyShared(TimeProvider time, IAddressTable addresses)
{
    private volatile ProxyOptions _options = new();

    public TimeProvider Time => time;

    public IAddressTable Addresses => addresses;

    public EndpointDirectory Endpoints { get; } = new();

    public NameCache Names { get; } = new(time, addresses);

    /// <summary>Which identities are the own cluster's.</summary>
    public IdentityNumbering Cluster { get; private set; } = IdentityNumbering.Default;

    public ProxyOptions Options
    {
        get => _options;
        set
        {
            _options = value;
            Cluster = new IdentityNumbering { ClusterId = value.ClusterId, Bits = value.IdentityBits };
            Names.Configure(value);
        }
    }
}
