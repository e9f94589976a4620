// SPDX-License-Identifier: Apache-2.0
using Axoneme.DnsProxy;
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

    public ProxyOptions Options
    {
        get => _options;
        set
        {
            _options = value;
            Names.Configure(value);
        }
    }
}
