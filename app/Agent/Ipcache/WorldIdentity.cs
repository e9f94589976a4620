// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Configuration;
using Axoneme.Network;

namespace Axoneme.Agent.Ipcache;

/// <summary>What is outside: with two families each has an identity of its own, so that policies can tell them apart.</summary>
internal static class WorldIdentity
{
    public static SecurityIdentity Of(bool isV6, AgentOptions options)
    {
        if (!options.EnableIPv4 || !options.EnableIPv6)
            return SecurityIdentity.World;
        return isV6 ? SecurityIdentity.WorldIPv6 : SecurityIdentity.WorldIPv4;
    }
}
