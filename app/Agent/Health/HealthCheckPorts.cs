// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using System.Globalization;
using System.Net.Sockets;
using System.Text.Json;
using Axoneme.Agent.Configuration;
using Axoneme.Hosting;
using Axoneme.Kubernetes.Resources;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Health;

/// <summary>What a load balancer asks a node about a service whose external traffic stays on the nodes that have endpoints.</summary>
/// <param name="Port">spec.healthCheckNodePort.</param>
/// <param name="LocalEndpoints">Ready endpoints on this node.</param>
internal sealed record HealthCheck(ushort Port, ResourceName Service, int LocalEndpoints);

/// <summary>
/// Serves the health-check ports of services: 200 where the node has ready endpoints, 503 where it has none. A port that cannot be bound is
/// reported and tried again. Not thread-safe but for the answers.
/// </summary>
internal sealed class HealthCheckPorts(ILogger<HealthCheckPorts> log) : IDisposable
{
    private readonly Dictionary<ushort, Server> _servers = [];
    private readonly Dictionary<ushort, string> _problems = [];

    /// <summary>Ports that cannot be served, in words.</summary>
    public IReadOnlyList<string> Problems => [.. _problems.OrderBy(p => p.Key).Select(p => p.Value)];

    /// <summary>Opens, changes and closes ports so that these are served and no others. Call it again to try again what failed.</summary>
    public void Set(IReadOnlyCollection<HealthCheck> wanted)
    {
        var byPort = wanted.OrderBy(check => check.Service).ToLookup(check => check.Port);
        foreach (ushort port in _servers.Keys.Where(port => !byPort.Contains(port)).ToArray())
        {
            _servers.Remove(port, out Server? server);
            server!.Dispose();
        }

        _problems.Clear();
        foreach (IGrouping<ushort, HealthCheck> checks in byPort)
        {
            Serve(checks.First());
            foreach (HealthCheck other in checks.Skip(1))
                _problems[other.Port] = $"service {other.Service}: health-check port {other.Port} belongs to service {checks.First().Service}";
        }
    }

    public void Dispose()
    {
        foreach (Server server in _servers.Values)
            server.Dispose();
        _servers.Clear();
    }

    private void Serve(HealthCheck check)
    {
        if (_servers.TryGetValue(check.Port, out Server? server))
        {
            server.Check = check;
            return;
        }

        try
        {
            _servers[check.Port] = new Server(check, log);
        }
        catch (SocketException e)
        {
            _problems[check.Port] = $"service {check.Service}: health-check port {check.Port}: {e.Message}";
        }
    }

    private sealed class Server : IDisposable
    {
        private readonly HttpResponder _responder;
        private volatile HealthCheck _check;

        public Server(HealthCheck check, ILogger log)
        {
            _check = check;
            _responder = HttpResponder.Listen(new ListenAddress(null, check.Port), _ => Answer(_check), log);
        }

        public HealthCheck Check
        {
            set => _check = value;
        }

        public void Dispose() => _responder.Dispose();

        // Every path: what load balancers ask for differs.
        private static HttpAnswer Answer(HealthCheck check) => new(check.LocalEndpoints > 0 ? 200 : 503, "application/json", Body(check))
        {
            Headers = [new("X-Load-Balancing-Endpoint-Weight", check.LocalEndpoints.ToString(CultureInfo.InvariantCulture))],
        };

        private static ReadOnlyMemory<byte> Body(HealthCheck check)
        {
            var buffer = new ArrayBufferWriter<byte>();
            using var json = new Utf8JsonWriter(buffer);
            json.WriteStartObject();
            json.WriteStartObject("service");
            json.WriteString("namespace", check.Service.Namespace);
            json.WriteString("name", check.Service.Name);
            json.WriteEndObject();
            json.WriteNumber("localEndpoints", check.LocalEndpoints);
            json.WriteEndObject();
            json.Flush();
            return buffer.WrittenMemory;
        }
    }
}
