// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Bench.Netfilter;

/// <summary>One port of a service, as a proxy that writes netfilter rules sees it.</summary>
/// <param name="Index">Makes the names of its chains.</param>
/// <param name="Address">The cluster address, IPv4.</param>
/// <param name="NodePort">0 for none.</param>
/// <param name="Endpoints">IPv4 addresses of the backends.</param>
/// <param name="EndpointPort">The port of all of them.</param>
internal sealed record ProxiedService(int Index, string Address, int Port, int NodePort, IReadOnlyList<string> Endpoints, int EndpointPort)
{
    public string Name => $"bench/service-{Index}:tcp";

    /// <summary>A service that nobody asks, with two backends that nobody has; there is room for 60,000.</summary>
    public static ProxiedService Idle(int index)
    {
        const int PerBlock = 250;
        string place = $"{index / PerBlock}.{(index % PerBlock) + 1}";
        return new ProxiedService(index, $"10.96.{place}", 80, 0, [$"10.200.{place}", $"10.201.{place}"], 8080);
    }
}
