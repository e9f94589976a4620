// SPDX-License-Identifier: Apache-2.0
using System.Collections.Frozen;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Axoneme.Grpc;

public delegate Task<TResponse> UnaryHandler<in TRequest, TResponse>(TRequest request, GrpcServerCall call);

public delegate Task ServerStreamHandler<in TRequest, TResponse>(TRequest request, GrpcStreamWriter<TResponse> responses, GrpcServerCall call)
    where TResponse : class, IMessage<TResponse>;

public delegate Task DuplexHandler<in TRequest, TResponse>(
    IAsyncEnumerable<TRequest> requests, GrpcStreamWriter<TResponse> responses, GrpcServerCall call)
    where TResponse : class, IMessage<TResponse>;

/// <summary>Collects the methods of a server; <see cref="Build"/> freezes them.</summary>
public sealed class GrpcServerBuilder
{
    private readonly Dictionary<string, Func<GrpcServerCall, Task>> _methods = [];
    private readonly List<ServiceDescriptor> _services = [];

    /// <summary>Largest request message accepted, in bytes.</summary>
    public uint MaximalMessageLength { get; init; } = GrpcFrame.DefaultMaximalMessageLength;

    public TimeProvider Time { get; init; } = TimeProvider.System;

    public ILogger Logger { get; init; } = NullLogger.Instance;

    /// <summary>Services that reflection lists.</summary>
    public IReadOnlyList<ServiceDescriptor> Services => _services;

    public GrpcServerBuilder Announce(ServiceDescriptor service)
    {
        _services.Add(service);
        return this;
    }

    public GrpcServerBuilder Unary<TRequest, TResponse>(GrpcMethod<TRequest, TResponse> method, UnaryHandler<TRequest, TResponse> handler)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>
        => Add(method.Path, async call =>
        {
            TRequest request = await call.ReadOnlyRequestAsync(method.RequestParser).ConfigureAwait(false);
            TResponse response = await handler(request, call).ConfigureAwait(false);
            await new GrpcStreamWriter<TResponse>(call).WriteAsync(response, flush: false).ConfigureAwait(false);
        });

    public GrpcServerBuilder ServerStream<TRequest, TResponse>(
        GrpcMethod<TRequest, TResponse> method, ServerStreamHandler<TRequest, TResponse> handler)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>
        => Add(method.Path, async call =>
        {
            TRequest request = await call.ReadOnlyRequestAsync(method.RequestParser).ConfigureAwait(false);
            await handler(request, new GrpcStreamWriter<TResponse>(call), call).ConfigureAwait(false);
        });

    public GrpcServerBuilder Duplex<TRequest, TResponse>(GrpcMethod<TRequest, TResponse> method, DuplexHandler<TRequest, TResponse> handler)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>
        => Add(method.Path, call => handler(call.ReadAllAsync(method.RequestParser), new GrpcStreamWriter<TResponse>(call), call));

    public GrpcServer Build() => new(_methods.ToFrozenDictionary(StringComparer.Ordinal), MaximalMessageLength, Time, Logger);

    private GrpcServerBuilder Add(string path, Func<GrpcServerCall, Task> run)
    {
        _methods.Add(path, run);
        return this;
    }
}

/// <summary>Answers gRPC calls that Kestrel receives: use <see cref="HandleAsync"/> as the terminal request delegate.</summary>
public sealed class GrpcServer
{
    private readonly FrozenDictionary<string, Func<GrpcServerCall, Task>> _methods;
    private readonly uint _maximalMessageLength;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;

    internal GrpcServer(
        FrozenDictionary<string, Func<GrpcServerCall, Task>> methods, uint maximalMessageLength, TimeProvider time, ILogger logger)
    {
        _methods = methods;
        _maximalMessageLength = maximalMessageLength;
        _time = time;
        _logger = logger;
    }

    public static bool IsGrpc(HttpRequest request)
        => request.ContentType is { } type && type.StartsWith("application/grpc", StringComparison.OrdinalIgnoreCase)
            && (type.Length == 16 || type[16] is '+' or ';');

    /// <summary>Never throws for anything that a peer sends; what a handler throws becomes the call's status.</summary>
    public async Task HandleAsync(HttpContext http)
    {
        ArgumentNullException.ThrowIfNull(http);
        if (!HttpProtocol.IsHttp2(http.Request.Protocol))
        {
            http.Response.StatusCode = StatusCodes.Status426UpgradeRequired;
            return;
        }

        if (!HttpMethods.IsPost(http.Request.Method) || !IsGrpc(http.Request))
        {
            http.Response.StatusCode = HttpMethods.IsPost(http.Request.Method)
                ? StatusCodes.Status415UnsupportedMediaType : StatusCodes.Status405MethodNotAllowed;
            return;
        }

        string? timeoutText = http.Request.Headers["grpc-timeout"];
        TimeSpan timeout = Timeout.InfiniteTimeSpan;
        bool timeoutOk = timeoutText is null || GrpcTimeout.TryParse(timeoutText, out timeout);
        using var call = new GrpcServerCall(http, _maximalMessageLength, timeout, _time);
        (GrpcStatus status, string detail) = timeoutOk
            ? await RunAsync(call).ConfigureAwait(false)
            : (GrpcStatus.Internal, $"malformed grpc-timeout: \"{timeoutText}\"");
        await call.FinishAsync(status, detail).ConfigureAwait(false);
    }

    private async Task<(GrpcStatus Status, string Detail)> RunAsync(GrpcServerCall call)
    {
        if (call.UnsupportedEncoding is { } encoding)
            return (GrpcStatus.Unimplemented, $"grpc: Decompressor is not installed for grpc-encoding \"{encoding}\"");
        if (!_methods.TryGetValue(call.Path, out Func<GrpcServerCall, Task>? run))
            return (GrpcStatus.Unimplemented, $"unknown method {call.Path}");
        try
        {
            await run(call).ConfigureAwait(false);
            return (GrpcStatus.OK, "");
        }
        catch (GrpcException e)
        {
            return (e.Status, e.Detail);
        }
        catch (Exception e) when (call.Cancellation.IsCancellationRequested && e is OperationCanceledException or IOException)
        {
            return call.IsDeadlineExceeded
                ? (GrpcStatus.DeadlineExceeded, "context deadline exceeded") : (GrpcStatus.Canceled, "context canceled");
        }
        catch (IOException e)
        {
            return (GrpcStatus.Canceled, e.Message);
        }
        catch (Exception e)
        {
            _logger.LogError(e, "{Method} failed", call.Path);
            return (GrpcStatus.Unknown, e.Message);
        }
    }
}
