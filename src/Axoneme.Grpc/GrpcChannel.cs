// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using Google.Protobuf;

namespace Axoneme.Grpc;

/// <summary>How a channel reaches its server.</summary>
public sealed record GrpcChannelOptions
{
    /// <summary><c>unix:///path</c>, <c>host:port</c> or <c>tls://host:port</c>.</summary>
    public required string Target { get; init; }

    /// <summary>Set for TLS; <see cref="SslClientAuthenticationOptions.TargetHost"/> defaults to the host of the target.</summary>
    public SslClientAuthenticationOptions? Tls { get; init; }

    /// <summary>Largest response message accepted, in bytes.</summary>
    public uint MaximalMessageLength { get; init; } = GrpcFrame.DefaultMaximalMessageLength;

    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Sent with every call (lower-case names), such as <c>authorization</c>.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Metadata { get; init; } = [];
}

/// <summary>A client's connection to one server; connects on the first call and again when the connection was lost.</summary>
public sealed class GrpcChannel : IDisposable
{
    private readonly HttpMessageInvoker _http;
    private readonly GrpcChannelOptions _options;
    private readonly Uri _base;

    /// <exception cref="FormatException">The target is none of the forms.</exception>
    public GrpcChannel(GrpcChannelOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        string target = options.Target;
        bool isTls = options.Tls is not null || target.StartsWith("tls://", StringComparison.Ordinal);
        var handler = new SocketsHttpHandler
        {
            UseProxy = false,
            UseCookies = false,
            AllowAutoRedirect = false,
            ActivityHeadersPropagator = null,
            ConnectTimeout = options.ConnectTimeout,
            EnableMultipleHttp2Connections = true,
        };
        if (UnixPath(target) is { } path)
        {
            handler.ConnectCallback = (_, cancellation) => ConnectUnixAsync(path, cancellation);
            _base = new Uri(isTls ? "https://localhost" : "http://localhost");
        }
        else
        {
            _base = ParseHost(target, isTls);
        }

        if (isTls)
            handler.SslOptions = options.Tls ?? new SslClientAuthenticationOptions();
        _http = new HttpMessageInvoker(handler, disposeHandler: true);
    }

    public string Target => _options.Target;

    /// <summary>One request, one response.</summary>
    /// <exception cref="GrpcException">The call ended with another status than OK, or the server cannot be reached.</exception>
    public async Task<TResponse> UnaryAsync<TRequest, TResponse>(
        GrpcMethod<TRequest, TResponse> method, TRequest request, TimeSpan? deadline = null, CancellationToken cancellation = default)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>
    {
        await using GrpcResponseStream<TResponse> stream = await StartAsync(method, request, deadline, cancellation).ConfigureAwait(false);
        TResponse? only = null;
        while (await stream.ReadAsync().ConfigureAwait(false) is { } response)
        {
            if (only is not null)
                throw new GrpcException(GrpcStatus.Internal, "a unary call was answered with more than one message");
            only = response;
        }

        return only ?? throw new GrpcException(GrpcStatus.Internal, "a unary call was answered without a message");
    }

    /// <summary>One request, a stream of responses: returns when the server has sent its headers.</summary>
    /// <exception cref="GrpcException">The call was refused, or the server cannot be reached.</exception>
    public Task<GrpcResponseStream<TResponse>> ServerStreamAsync<TRequest, TResponse>(
        GrpcMethod<TRequest, TResponse> method, TRequest request, TimeSpan? deadline = null, CancellationToken cancellation = default)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>
        => StartAsync(method, request, deadline, cancellation);

    public void Dispose() => _http.Dispose();

    private async Task<GrpcResponseStream<TResponse>> StartAsync<TRequest, TResponse>(
        GrpcMethod<TRequest, TResponse> method, TRequest request, TimeSpan? deadline, CancellationToken cancellation)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>
    {
        var body = new System.Buffers.ArrayBufferWriter<byte>();
        GrpcFrame.Write(body, request);
        using var message = new HttpRequestMessage(HttpMethod.Post, new Uri(_base, method.Path))
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new ReadOnlyMemoryContent(body.WrittenMemory),
        };
        // The handler takes the name to verify from here, not from its own TLS options.
        if (_options.Tls?.TargetHost is { Length: > 0 } name)
            message.Headers.Host = name;
        message.Content.Headers.TryAddWithoutValidation("content-type", "application/grpc");
        message.Headers.TryAddWithoutValidation("te", "trailers");
        message.Headers.TryAddWithoutValidation("grpc-accept-encoding", "identity,gzip");
        message.Headers.TryAddWithoutValidation("user-agent", "grpc-axoneme");
        foreach ((string header, string value) in _options.Metadata)
            message.Headers.TryAddWithoutValidation(header, value);
        if (deadline is { } timeout)
            message.Headers.TryAddWithoutValidation("grpc-timeout", GrpcTimeout.Format(timeout));
        var cancel = new CallCancellation(deadline, cancellation);
        try
        {
            HttpResponseMessage response = await _http.SendAsync(message, cancel.Token).ConfigureAwait(false);
            return await GrpcResponseStream<TResponse>.OpenAsync(
                response, method.ResponseParser, _options.MaximalMessageLength, cancel).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            GrpcException status = cancel.Translate(e);
            cancel.Dispose();
            throw status;
        }
    }

    private static string? UnixPath(string target)
        => target.StartsWith("unix://", StringComparison.Ordinal) ? target["unix://".Length..]
            : target.StartsWith("unix:", StringComparison.Ordinal) ? target["unix:".Length..]
            : null;

    private static Uri ParseHost(string target, bool isTls)
    {
        int scheme = target.IndexOf("://", StringComparison.Ordinal);
        string authority = (scheme < 0 ? target : target[(scheme + 3)..]).TrimStart('/');
        bool isKnown = scheme < 0 || target[..scheme] is "tls" or "dns" or "passthrough";
        if (!isKnown || !Uri.TryCreate($"{(isTls ? "https" : "http")}://{authority}", UriKind.Absolute, out Uri? uri)
            || uri.Host.Length == 0 || uri.AbsolutePath != "/")
            throw new FormatException($"'{target}' is not a server address such as host:port, tls://host:port or unix:///path.");
        return uri;
    }

    private static async ValueTask<Stream> ConnectUnixAsync(string path, CancellationToken cancellation)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation).ConfigureAwait(false);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new HttpRequestException($"connect {path}: {e.Message}", e);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
