// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using Google.Protobuf;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Axoneme.Grpc;

/// <summary>One call on the server: deadline and cancellation, metadata, the request stream.</summary>
public sealed class GrpcServerCall : IDisposable
{
    private readonly HttpContext _http;
    private readonly FrameLimits _limits;
    private readonly CancellationTokenSource _deadline;
    private readonly CancellationTokenSource _cancellation;
    private bool _started;

    internal GrpcServerCall(HttpContext http, uint maximalMessageLength, TimeSpan timeout, TimeProvider time)
    {
        _http = http;
        _deadline = new CancellationTokenSource(timeout, time);
        _cancellation = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted, _deadline.Token);
        string? encoding = http.Request.Headers["grpc-encoding"];
        UnsupportedEncoding = encoding is null or "identity" or "gzip" ? null : encoding;
        _limits = new FrameLimits(maximalMessageLength, encoding == "gzip");
        http.Response.ContentType = "application/grpc";
        http.Response.Headers["grpc-accept-encoding"] = "identity,gzip";
        // Kestrel bounds whole request bodies; a stream has no length, its messages have.
        if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } bodySize)
            bodySize.MaxRequestBodySize = null;
        // A quiet stream is normal: clients of a follow call send one message and then only listen.
        if (http.Features.Get<Microsoft.AspNetCore.Server.Kestrel.Core.Features.IHttpMinRequestBodyDataRateFeature>() is { } rate)
            rate.MinDataRate = null;
    }

    public string Path => _http.Request.Path.Value ?? "";

    /// <summary>Fires when the client goes away, cancels, or the deadline passes.</summary>
    public CancellationToken Cancellation => _cancellation.Token;

    public IHeaderDictionary RequestHeaders => _http.Request.Headers;

    /// <summary>Sent before the first message; later changes are lost.</summary>
    public IHeaderDictionary ResponseHeaders => _http.Response.Headers;

    internal string? UnsupportedEncoding { get; }

    internal bool IsDeadlineExceeded => _deadline.IsCancellationRequested;

    public void Dispose()
    {
        _cancellation.Dispose();
        _deadline.Dispose();
    }

    /// <summary>Sends the headers now: a client of a stream that stays silent for long learns that the call was accepted.</summary>
    public async ValueTask StartAsync()
    {
        if (_started)
            return;
        _started = true;
        await _http.Response.StartAsync(Cancellation).ConfigureAwait(false);
    }

    internal async ValueTask<T> ReadOnlyRequestAsync<T>(MessageParser<T> parser)
        where T : class, IMessage<T>
    {
        T request = await GrpcFrame.ReadAsync(_http.Request.BodyReader, parser, _limits, Cancellation).ConfigureAwait(false)
            ?? throw new GrpcException(GrpcStatus.Internal, "the call has no request message");
        T? second = await GrpcFrame.ReadAsync(_http.Request.BodyReader, parser, _limits, Cancellation).ConfigureAwait(false);
        return second is null ? request : throw new GrpcException(GrpcStatus.Internal, "the call has more than one request message");
    }

    internal async IAsyncEnumerable<T> ReadAllAsync<T>(MessageParser<T> parser, [EnumeratorCancellation] CancellationToken cancellation = default)
        where T : class, IMessage<T>
    {
        CancellationToken either = cancellation.CanBeCanceled ? cancellation : Cancellation;
        while (await GrpcFrame.ReadAsync(_http.Request.BodyReader, parser, _limits, either).ConfigureAwait(false) is { } message)
            yield return message;
    }

    internal async ValueTask WriteAsync(IMessage message, bool flush)
    {
        await StartAsync().ConfigureAwait(false);
        GrpcFrame.Write(_http.Response.BodyWriter, message);
        if (flush || _http.Response.BodyWriter.UnflushedBytes >= FlushThreshold)
            await FlushAsync().ConfigureAwait(false);
    }

    internal async ValueTask FlushAsync()
    {
        Cancellation.ThrowIfCancellationRequested();
        System.IO.Pipelines.FlushResult result = await _http.Response.BodyWriter.FlushAsync(Cancellation).ConfigureAwait(false);
        if (result.IsCompleted || result.IsCanceled)
            throw new IOException("the client has closed the stream");
    }

    internal async Task FinishAsync(GrpcStatus status, string detail)
    {
        if (_http.RequestAborted.IsCancellationRequested)
            return;
        bool trailersOnly = !_started && !_http.Response.HasStarted;
        IHeaderDictionary target = trailersOnly
            ? _http.Response.Headers
            : _http.Features.Get<IHttpResponseTrailersFeature>()!.Trailers;
        target["grpc-status"] = ((int)status).ToString();
        if (detail.Length > 0)
            target["grpc-message"] = GrpcMessageText.Encode(detail);
        try
        {
            await _http.Response.CompleteAsync().ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            // The client went away while the status was on its way: nobody is left to tell.
        }
    }

    // Large enough to fill a few frames of a burst, small enough that a reader is not kept waiting.
    private const long FlushThreshold = 16 * 1024;
}

/// <summary>Sends the messages of a streaming response; awaits when the client reads slower than that.</summary>
public sealed class GrpcStreamWriter<T>
    where T : class, IMessage<T>
{
    private readonly GrpcServerCall _call;

    internal GrpcStreamWriter(GrpcServerCall call) => _call = call;

    /// <param name="message">The message; it is serialised before the method returns.</param>
    /// <param name="flush">False inside a burst: the message goes out with the next flush, or when enough has gathered.</param>
    public ValueTask WriteAsync(T message, bool flush = true) => _call.WriteAsync(message, flush);

    public ValueTask FlushAsync() => _call.FlushAsync();
}
