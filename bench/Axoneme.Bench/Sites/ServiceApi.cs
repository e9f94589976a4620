// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Threading.Channels;
using Axoneme.Kubernetes.Resources;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Axoneme.Bench.Sites;

/// <summary>
/// A Kubernetes API that has services and their slices and nothing else. Everything is encoded beforehand, so that a reader waits for itself
/// alone. POST /change gives one service another backend.
/// </summary>
internal sealed class ServiceApi : IDisposable
{
    public const int Endpoints = 4;

    private readonly WebApplication _server;
    private readonly byte[][] _services;
    private readonly byte[][] _slices;
    private readonly Channel<byte[]> _changes = Channel.CreateUnbounded<byte[]>();
    private int _version = 1;

    public ServiceApi(int services)
    {
        _services = [.. Enumerable.Range(0, services).Select(i => JsonSerializer.SerializeToUtf8Bytes(Service(i), KubernetesJson.Default.Service))];
        _slices = [.. Enumerable.Range(0, services).Select(i => JsonSerializer.SerializeToUtf8Bytes(Slice(i, 0, 1), KubernetesJson.Default.EndpointSlice))];
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        _server = builder.Build();
        _server.Urls.Add("http://127.0.0.1:0");
        _server.Run(AnswerAsync);
        _server.StartAsync().GetAwaiter().GetResult();
    }

    public Uri Address => new(_server.Urls.First());

    public static string NameOf(int service) => $"service-{service}";

    public static string ClusterIPOf(int service) => $"10.96.{service >> 8}.{service & 255}";

    /// <summary>Address of the first backend after so many changes.</summary>
    public static string ChangedBackend(int change) => $"172.20.{change >> 8}.{change & 255}";

    public void Dispose() => _server.StopAsync(new CancellationToken(canceled: true)).GetAwaiter().GetResult();

    private async Task AnswerAsync(HttpContext context)
    {
        string path = context.Request.Path;
        if (path == "/change")
        {
            int service = int.Parse(context.Request.Query["service"]!);
            int change = int.Parse(context.Request.Query["change"]!);
            EndpointSlice slice = Slice(service, change, ++_version);
            byte[] line = [.. "{\"type\":\"MODIFIED\",\"object\":"u8, .. JsonSerializer.SerializeToUtf8Bytes(slice, KubernetesJson.Default.EndpointSlice), .. "}\n"u8];
            _changes.Writer.TryWrite(line);
            return;
        }

        byte[][] items = path.EndsWith("/services", StringComparison.Ordinal) ? _services
            : path.EndsWith("/endpointslices", StringComparison.Ordinal) ? _slices : [];
        context.Response.ContentType = "application/json";
        if (context.Request.Query["watch"] == "true")
            await WatchAsync(context, items == _slices);
        else
            await ListAsync(context, items);
    }

    private static async Task ListAsync(HttpContext context, byte[][] items)
    {
        int start = int.TryParse(context.Request.Query["continue"], out int next) ? next : 0;
        int limit = int.TryParse(context.Request.Query["limit"], out int written) ? written : items.Length;
        int end = Math.Min(items.Length, start + limit);
        string rest = end < items.Length ? end.ToString() : "";
        await context.Response.WriteAsync($$"""{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1","continue":"{{rest}}"},"items":[""");
        for (int i = start; i < end; i++)
        {
            if (i > start)
                await context.Response.BodyWriter.WriteAsync(","u8.ToArray());
            await context.Response.BodyWriter.WriteAsync(items[i]);
        }

        await context.Response.WriteAsync("]}");
    }

    private async Task WatchAsync(HttpContext context, bool changes)
    {
        await context.Response.StartAsync();
        await context.Response.BodyWriter.FlushAsync();
        try
        {
            if (!changes)
                await Task.Delay(Timeout.Infinite, context.RequestAborted);
            await foreach (byte[] line in _changes.Reader.ReadAllAsync(context.RequestAborted))
            {
                await context.Response.BodyWriter.WriteAsync(line);
                await context.Response.BodyWriter.FlushAsync();
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    private static Service Service(int i) => new()
    {
        Metadata = Meta(NameOf(i), 1) with { Labels = new Dictionary<string, string> { ["app"] = NameOf(i), ["tier"] = "backend" } },
        Spec = new ServiceSpec
        {
            Type = "ClusterIP",
            ClusterIP = ClusterIPOf(i),
            ClusterIPs = [ClusterIPOf(i)],
            IpFamilies = ["IPv4"],
            IpFamilyPolicy = "SingleStack",
            InternalTrafficPolicy = "Cluster",
            SessionAffinity = "None",
            Selector = new Dictionary<string, string> { ["app"] = NameOf(i) },
            Ports = [new ServicePort { Name = "http", Port = 80, Protocol = "TCP", TargetPort = 8080 }],
        },
    };

    private static EndpointSlice Slice(int i, int change, int version) => new()
    {
        Metadata = Meta($"{NameOf(i)}-x7k2p", version) with
        {
            Labels = new Dictionary<string, string>
            {
                ["app"] = NameOf(i),
                ["kubernetes.io/service-name"] = NameOf(i),
                ["endpointslice.kubernetes.io/managed-by"] = "endpointslice-controller.k8s.io",
            },
        },
        AddressType = "IPv4",
        Ports = [new SlicePort { Name = "http", Port = 8080, Protocol = "TCP" }],
        Endpoints = [.. Enumerable.Range(0, Endpoints).Select(e => Endpoint(i, e, change))],
    };

    private static SliceEndpoint Endpoint(int service, int index, int change)
    {
        int number = (service * Endpoints) + index;
        return new SliceEndpoint
        {
            Addresses = [change > 0 && index == 0 ? ChangedBackend(change) : $"10.{128 + (number >> 16)}.{(number >> 8) & 255}.{number & 255}"],
            Conditions = new SliceEndpointConditions { Ready = true, Serving = true, Terminating = false },
            NodeName = $"worker-{number % 200}",
            Zone = $"zone-{number % 3}",
            TargetRef = new ObjectReference
            {
                Kind = "Pod",
                Namespace = "shop",
                Name = $"{NameOf(service)}-5d8f7c9b6-{number:x5}",
                Uid = $"{number:x8}-6a1c-4b52-9c1e-0242ac120002",
            },
        };
    }

    private static ObjectMeta Meta(string name, int version) => new()
    {
        Namespace = "shop",
        Name = name,
        Uid = $"{name.GetHashCode(StringComparison.Ordinal):x8}-8f0e-4f6f-9d5e-3d1f0b7c2a11",
        ResourceVersion = version.ToString(),
        CreationTimestamp = DateTimeOffset.UnixEpoch.AddYears(55),
    };
}
