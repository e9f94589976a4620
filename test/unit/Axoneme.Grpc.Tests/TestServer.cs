// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using Axoneme.Grpc.Health;

namespace Axoneme.Grpc.Tests;

/// <summary>A server with one method of each kind, on a unix socket of its own.</summary>
internal sealed class TestServer : IAsyncDisposable
{
    public static readonly GrpcMethod<HealthCheckRequest, HealthCheckRequest> Echo = Method("Echo");
    public static readonly GrpcMethod<HealthCheckRequest, HealthCheckRequest> Count = Method("Count");
    public static readonly GrpcMethod<HealthCheckRequest, HealthCheckRequest> Wait = Method("Wait");
    public static readonly GrpcMethod<HealthCheckRequest, HealthCheckRequest> Fail = Method("Fail");

    private readonly string _folder = Directory.CreateTempSubdirectory("axoneme-grpc-").FullName;
    private GrpcHost? _host;

    public string SocketPath => Path.Combine(_folder, "test.sock");

    public string Target => $"unix://{SocketPath}";

    /// <summary>Completes when a waiting handler saw its call end.</summary>
    public TaskCompletionSource WaitEnded { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public HealthService Health { get; } = new();

    public string TcpAddress => _host!.Addresses.Single(a => !a.Contains("unix", StringComparison.Ordinal));

    public static async Task<TestServer> StartAsync(params GrpcEndpoint[] more)
    {
        var server = new TestServer();
        GrpcEndpoint[] endpoints = [new GrpcEndpoint(new UnixDomainSocketEndPoint(server.SocketPath)), .. more];
        server._host = await GrpcHost.StartAsync(server.Build(), endpoints, cancellation: TestContext.Current.CancellationToken);
        return server;
    }

    public GrpcChannel Connect(uint maximalMessageLength = 4 << 20)
        => new(new GrpcChannelOptions { Target = Target, MaximalMessageLength = maximalMessageLength });

    public async ValueTask DisposeAsync()
    {
        if (_host is not null)
            await _host.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private GrpcServer Build()
    {
        var builder = new GrpcServerBuilder { MaximalMessageLength = 100_000 };
        builder.Unary(Echo, (request, call) =>
            {
                call.ResponseHeaders["echo-length"] = request.Service.Length.ToString();
                return Task.FromResult(request);
            })
            .ServerStream(Count, async (request, responses, _) =>
            {
                for (int i = 0; i < int.Parse(request.Service); i++)
                    await responses.WriteAsync(new HealthCheckRequest { Service = i.ToString() }, flush: false);
            })
            .ServerStream(Wait, async (_, responses, call) =>
            {
                await responses.WriteAsync(new HealthCheckRequest { Service = "waiting" });
                try
                {
                    await Task.Delay(Timeout.Infinite, call.Cancellation);
                }
                finally
                {
                    WaitEnded.TrySetResult();
                }
            })
            .Unary(Fail, (request, _) => throw (request.Service.Length == 0
                ? new InvalidOperationException("broken") : new GrpcException(GrpcStatus.FailedPrecondition, request.Service)));
        Health.AddTo(builder);
        ReflectionService.AddTo(builder);
        return builder.Build();
    }

    private static GrpcMethod<HealthCheckRequest, HealthCheckRequest> Method(string name)
        => new("test.Test", name, HealthCheckRequest.Parser, HealthCheckRequest.Parser);
}
