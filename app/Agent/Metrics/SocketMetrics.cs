// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Api;
using Axoneme.Metrics;
using Axoneme.Network;

namespace Axoneme.Agent.Metrics;

/// <summary>Sockets that were ended because their backend had gone. Our own addition.</summary>
internal static class SocketMetrics
{
    public static void Register(MetricRegistry registry, ApiSources sources)
        => registry.AddCallback(
            "socket_terminations_total", "Connected sockets that were ended because their backend left its service", MetricKind.Counter,
            ["protocol"], sink =>
            {
                if (sources.Running?.Sockets is not { } sockets)
                    return;
                sink(sockets.Ended(L4Protocol.Udp), "udp");
                sink(sockets.Ended(L4Protocol.Tcp), "tcp");
            });
}
