// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using System.Text.Json;
using Axoneme.Agent.Configuration;
using Axoneme.Hosting;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Health;

/// <summary>
/// kube-proxy's health page, which load balancers of clouds ask on every node: whether services are served here, and when they were last
/// brought up to date.
/// </summary>
/// <param name="problem">Why services are not served, or null.</param>
internal sealed class KubeProxyHealthz(Func<string?> problem, TimeProvider time)
{
    private DateTimeOffset _lastHealthy = time.GetUtcNow();

    /// <exception cref="System.Net.Sockets.SocketException">The address cannot be bound.</exception>
    public HttpResponder Listen(ListenAddress address, ILogger log) => HttpResponder.Listen(address, Answer, log);

    public HttpAnswer Answer(string target)
    {
        if (target.Split('?')[0] is not ("/healthz" or "/livez"))
            return HttpAnswer.Text(404, "only /healthz is served here\n");
        DateTimeOffset now = time.GetUtcNow();
        bool isHealthy = problem() is null;
        // Writes to the kernel follow their events at once: while all is well, the state is that of now.
        if (isHealthy)
            _lastHealthy = now;
        return new HttpAnswer(isHealthy ? 200 : 503, "application/json", Body(_lastHealthy, now));
    }

    private static ReadOnlyMemory<byte> Body(DateTimeOffset lastUpdated, DateTimeOffset now)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using var json = new Utf8JsonWriter(buffer);
        json.WriteStartObject();
        json.WriteString("lastUpdated", lastUpdated);
        json.WriteString("currentTime", now);
        json.WriteEndObject();
        json.Flush();
        return buffer.WrittenMemory;
    }
}
