// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using Axoneme.Agent.Api;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Health;
using Axoneme.Hosting;
using Axoneme.Metrics;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Metrics;

/// <summary>
/// The agent's metrics, under the names that dashboards ask for. They are kept whether or not somebody scrapes them: the command line shows
/// them too.
/// </summary>
internal sealed class AgentMetrics
{
    public AgentMetrics(ApiSources sources)
    {
        Registry = new MetricRegistry("cilium_", sources.Options.MetricSelection);
        Services = new ServiceMetrics(Registry, TimeProvider.System);
        Collector = new CollectorMetrics(Registry, sources);
        ProcessMetrics.Register(Registry);
        StateMetrics.Register(Registry, sources);
        FeatureMetrics.Register(Registry, sources.Options);
        PacketMetrics.Register(Registry, sources);
        MapMetrics.Register(Registry, sources);
        SocketMetrics.Register(Registry, sources);
        Names = new NameMetrics(Registry, sources);
    }

    public MetricRegistry Registry { get; }

    public ServiceMetrics Services { get; }

    public CollectorMetrics Collector { get; }

    public NameMetrics Names { get; }

    /// <summary>Serves /metrics until cancelled.</summary>
    /// <exception cref="System.Net.Sockets.SocketException">The address cannot be bound.</exception>
    public async Task ServeAsync(ListenAddress address, ILogger log, CancellationToken cancellation)
    {
        using HttpResponder responder = HttpResponder.Listen(address, Answer, log);
        await Task.Delay(Timeout.Infinite, cancellation);
    }

    private HttpAnswer Answer(string target)
    {
        if (target.Split('?')[0] != "/metrics")
            return HttpAnswer.Text(404, "only /metrics is served here\n");
        // As large as a scrape usually is, so that it is not copied over and over while it grows.
        var buffer = new ArrayBufferWriter<byte>(64 << 10);
        PrometheusText.Write(Registry, buffer);
        return new HttpAnswer(200, PrometheusText.ContentType, buffer.WrittenMemory);
    }
}
