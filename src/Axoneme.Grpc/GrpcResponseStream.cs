// SPDX-License-Identifier: Apache-2.0
using System.IO.Pipelines;
using System.Net;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using Google.Protobuf;

namespace Axoneme.Grpc;

/// <summary>The responses of one call. Dispose it to cancel the call.</summary>
public sealed class GrpcResponseStream<T> : IAsyncDisposable
    where T : class, IMessage<T>
{
    private readonly HttpResponseMessage _response;
    private readonly PipeReader _reader;
    private readonly MessageParser<T> _parser;
    private readonly FrameLimits _limits;
    private readonly CallCancellation _cancel;

    private GrpcResponseStream(HttpResponseMessage response, Stream body, MessageParser<T> parser, FrameLimits limits, CallCancellation cancel)
    {
        _response = response;
        _reader = PipeReader.Create(body);
        _parser = parser;
        _limits = limits;
        _cancel = cancel;
    }

    public HttpResponseHeaders Headers => _response.Headers;

    /// <summary>The next message, or null when the server ended the stream with status OK.</summary>
    /// <exception cref="GrpcException">The call ended with another status.</exception>
    public async ValueTask<T?> ReadAsync()
    {
        try
        {
            T? message = await GrpcFrame.ReadAsync(_reader, _parser, _limits, _cancel.Token).ConfigureAwait(false);
            if (message is null)
                CallCancellation.ThrowUnlessOk(_response.TrailingHeaders, HttpStatusCode.OK);
            return message;
        }
        catch (Exception e) when (e is not GrpcException)
        {
            throw _cancel.Translate(e);
        }
    }

    public async IAsyncEnumerable<T> ReadAllAsync([EnumeratorCancellation] CancellationToken cancellation = default)
    {
        using CancellationTokenRegistration registration = cancellation.Register(_cancel.Cancel);
        while (await ReadAsync().ConfigureAwait(false) is { } message)
            yield return message;
    }

    public async ValueTask DisposeAsync()
    {
        _cancel.Cancel();
        await _reader.CompleteAsync().ConfigureAwait(false);
        _response.Dispose();
        _cancel.Dispose();
    }

    internal static async Task<GrpcResponseStream<T>> OpenAsync(
        HttpResponseMessage response, MessageParser<T> parser, uint maximalMessageLength, CallCancellation cancel)
    {
        try
        {
            // A refusal carries its status in the headers; a stream that has begun carries it in the trailers.
            if (response.StatusCode != HttpStatusCode.OK || response.Headers.Contains("grpc-status"))
                CallCancellation.ThrowUnlessOk(response.Headers, response.StatusCode);
            string? contentType = response.Content.Headers.ContentType?.MediaType;
            if (contentType?.StartsWith("application/grpc", StringComparison.OrdinalIgnoreCase) != true
                && !response.Headers.Contains("grpc-status"))
                throw new GrpcException(GrpcStatus.Unknown, $"unexpected content-type \"{contentType}\"");
            bool isGzip = response.Headers.TryGetValues("grpc-encoding", out IEnumerable<string>? encodings) && encodings.Contains("gzip");
            Stream body = await response.Content.ReadAsStreamAsync(cancel.Token).ConfigureAwait(false);
            return new GrpcResponseStream<T>(response, body, parser, new FrameLimits(maximalMessageLength, isGzip), cancel);
        }
        catch
        {
            response.Dispose();
            throw;
        }
    }
}

/// <summary>Cancellation and deadline of one call, and what a failure means as a status.</summary>
internal sealed class CallCancellation : IDisposable
{
    private readonly CancellationTokenSource _source;
    private readonly CancellationTokenSource? _deadline;

    public CallCancellation(TimeSpan? deadline, CancellationToken outer)
    {
        _deadline = deadline is { } timeout ? new CancellationTokenSource(timeout) : null;
        _source = CancellationTokenSource.CreateLinkedTokenSource(outer, _deadline?.Token ?? CancellationToken.None);
    }

    public CancellationToken Token => _source.Token;

    public void Cancel() => _source.Cancel();

    public GrpcException Translate(Exception error) => error switch
    {
        GrpcException grpc => grpc,
        _ when _deadline?.IsCancellationRequested == true => new GrpcException(GrpcStatus.DeadlineExceeded, "context deadline exceeded", error),
        _ when _source.IsCancellationRequested => new GrpcException(GrpcStatus.Canceled, "context canceled", error),
        OperationCanceledException => new GrpcException(GrpcStatus.Unavailable, "connection error: connecting timed out", error),
        _ => new GrpcException(GrpcStatus.Unavailable, $"connection error: {(error.InnerException ?? error).Message}", error),
    };

    public static void ThrowUnlessOk(HttpHeaders headers, HttpStatusCode http)
    {
        if (!headers.TryGetValues("grpc-status", out IEnumerable<string>? values))
        {
            throw http == HttpStatusCode.OK
                ? new GrpcException(GrpcStatus.Internal, "the server closed the stream without sending a status")
                : new GrpcException(FromHttp(http), $"unexpected HTTP status code received from server: {(int)http}");
        }

        GrpcStatus status = int.TryParse(values.First(), out int number) && Enum.IsDefined((GrpcStatus)number)
            ? (GrpcStatus)number : GrpcStatus.Unknown;
        if (status == GrpcStatus.OK)
            return;
        string detail = headers.TryGetValues("grpc-message", out IEnumerable<string>? messages) ? GrpcMessageText.Decode(messages.First()) : "";
        throw new GrpcException(status, detail);
    }

    public void Dispose()
    {
        _source.Dispose();
        _deadline?.Dispose();
    }

    private static GrpcStatus FromHttp(HttpStatusCode http) => (int)http switch
    {
        400 => GrpcStatus.Internal,
        401 => GrpcStatus.Unauthenticated,
        403 => GrpcStatus.PermissionDenied,
        404 => GrpcStatus.Unimplemented,
        429 or 502 or 503 or 504 => GrpcStatus.Unavailable,
        _ => GrpcStatus.Unknown,
    };
}
