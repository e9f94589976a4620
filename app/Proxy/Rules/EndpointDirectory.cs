// SPDX-License-Identifier: Apache-2.0
using Axoneme.DnsProxy;
using Axoneme.Network;

namespace Axoneme.Proxy.Rules;

/// <summary>Endpoints by address. Changed as a whole, so that workers read it without locks.</summary>
internal sealed class EndpointDirectory
{
    private volatile Dictionary<IpAddress, EndpointRules> _byAddress = [];
    private readonly Dictionary<ushort, ProxiedEndpoint> _endpoints = [];
    private readonly Lock _changing = new();

    public EndpointRules? Find(IpAddress address) => _byAddress.GetValueOrDefault(address);

    public IReadOnlyList<ProxiedEndpoint> All
    {
        get
        {
            lock (_changing)
                return [.. _endpoints.Values];
        }
    }

    /// <summary>Returns the ids of endpoints that are gone.</summary>
    /// <param name="upsert">New or changed ones.</param>
    /// <param name="remove">Ids of those that are gone; ignored when <paramref name="replace"/>.</param>
    /// <param name="replace">All others are gone.</param>
    public IReadOnlyList<ushort> Update(IEnumerable<ProxiedEndpoint> upsert, IEnumerable<ushort> remove, bool replace = false)
    {
        lock (_changing)
        {
            var gone = new HashSet<ushort>(replace ? _endpoints.Keys : remove.Where(_endpoints.ContainsKey));
            var next = new Dictionary<IpAddress, EndpointRules>(_byAddress);
            foreach (ushort id in gone)
                Remove(id, next);
            foreach (ProxiedEndpoint endpoint in upsert)
            {
                Remove(endpoint.Id, next);
                gone.Remove(endpoint.Id);
                _endpoints[endpoint.Id] = endpoint;
                var rules = new EndpointRules(endpoint);
                foreach (IpAddress address in endpoint.Addresses)
                    next[address] = rules;
            }

            _byAddress = next;
            return [.. gone];
        }
    }

    // An address may have a new owner already.
    private void Remove(ushort id, Dictionary<IpAddress, EndpointRules> byAddress)
    {
        if (!_endpoints.Remove(id, out ProxiedEndpoint? endpoint))
            return;
        foreach (IpAddress address in endpoint.Addresses)
        {
            if (byAddress.TryGetValue(address, out EndpointRules? owner) && owner.Id == id)
                byAddress.Remove(address);
        }
    }
}
