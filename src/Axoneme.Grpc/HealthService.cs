// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Grpc.Health;
using static Axoneme.Grpc.Health.HealthCheckResponse.Types;

namespace Axoneme.Grpc;

/// <summary>The health protocol: which services of a server are ready. The empty name stands for the server as a whole.</summary>
public sealed class HealthService
{
    public static readonly GrpcMethod<HealthCheckRequest, HealthCheckResponse> CheckMethod = Method("Check");
    public static readonly GrpcMethod<HealthCheckRequest, HealthCheckResponse> WatchMethod = Method("Watch");

    private readonly Lock _lock = new();
    private ImmutableDictionary<string, ServingStatus> _statuses = ImmutableDictionary<string, ServingStatus>.Empty;
    private TaskCompletionSource _changed = NewSignal();

    public void Set(string service, bool isServing)
    {
        TaskCompletionSource previous;
        lock (_lock)
        {
            _statuses = _statuses.SetItem(service, isServing ? ServingStatus.Serving : ServingStatus.NotServing);
            previous = _changed;
            _changed = NewSignal();
        }

        previous.SetResult();
    }

    public void AddTo(GrpcServerBuilder server)
        => server.Announce(HealthReflection.Descriptor.Services[0])
            .Unary(CheckMethod, (request, _) => Task.FromResult(Check(request)))
            .ServerStream(WatchMethod, WatchAsync);

    private HealthCheckResponse Check(HealthCheckRequest request)
        => _statuses.TryGetValue(request.Service, out ServingStatus status)
            ? new HealthCheckResponse { Status = status }
            : throw new GrpcException(GrpcStatus.NotFound, "unknown service");

    private async Task WatchAsync(HealthCheckRequest request, GrpcStreamWriter<HealthCheckResponse> responses, GrpcServerCall call)
    {
        ServingStatus? sent = null;
        while (true)
        {
            Task changed;
            ServingStatus now;
            lock (_lock)
            {
                changed = _changed.Task;
                now = _statuses.GetValueOrDefault(request.Service, ServingStatus.ServiceUnknown);
            }

            if (now != sent)
                await responses.WriteAsync(new HealthCheckResponse { Status = now }).ConfigureAwait(false);
            sent = now;
            await changed.WaitAsync(call.Cancellation).ConfigureAwait(false);
        }
    }

    private static GrpcMethod<HealthCheckRequest, HealthCheckResponse> Method(string name)
        => GrpcMethod.Of<HealthCheckRequest, HealthCheckResponse>(HealthReflection.Descriptor.Services[0], name);

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
