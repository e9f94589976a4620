// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text.Json;

namespace Axoneme.DnsProxy;

/// <summary>What came is no message, or not one of a version that this side speaks. The connection is of no more use.</summary>
public sealed class DnsProxyProtocolException(string message, Exception? cause = null) : Exception(message, cause);

/// <summary>
/// One connection between agent and proxy. A message is its length in bytes (32 bits, little endian) and that much JSON. Any thread may send; one receives.
/// </summary>
public sealed class DnsProxyConnection : IDisposable
{
    /// <summary>Far above the rules of the largest endpoint; lists without such a bound are sent in parts.</summary>
    public const int MaximalBytes = 16 * 1024 * 1024;

    // A hello is short: whoever is not the other side gets no buffer.
    private const int MaximalHelloBytes = 4096;
    private const int HeaderBytes = sizeof(uint);

    private readonly Socket _socket;
    private readonly NetworkStream _stream;
    private readonly SemaphoreSlim _sending = new(1, 1);
    private readonly ArrayBufferWriter<byte> _outgoing = new(4096);
    private byte[] _incoming = new byte[4096];

    internal DnsProxyConnection(Socket socket)
    {
        _socket = socket;
        _stream = new NetworkStream(socket, ownsSocket: true);
    }

    /// <summary>Connects as the agent, and exchanges hellos; null when no proxy listens there.</summary>
    /// <param name="path">Of the socket.</param>
    /// <param name="cancellation">Ends the attempt.</param>
    /// <exception cref="DnsProxyProtocolException">Something else answers, or a proxy of a version that cannot be spoken with.</exception>
    /// <exception cref="IOException">The proxy closed the connection.</exception>
    public static async Task<(DnsProxyConnection Connection, ProxyHello Hello)?> TryConnectAsync(string path, CancellationToken cancellation)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        DnsProxyConnection? connection = null;
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation).ConfigureAwait(false);
            connection = new DnsProxyConnection(socket);
            await connection.SendAsync(new AgentHello(), cancellation).ConfigureAwait(false);
            return (connection, await connection.ReceiveHelloAsync<ProxyHello>(cancellation).ConfigureAwait(false));
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionRefused or SocketError.AddressNotAvailable
            || e.NativeErrorCode is 2 or 111)
        {
            socket.Dispose();
            return null;
        }
        catch
        {
            connection?.Dispose();
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Sends one message whole, after those that are being sent.</summary>
    /// <exception cref="IOException">The other side is gone.</exception>
    /// <exception cref="ArgumentException">The message is longer than <see cref="MaximalBytes"/>.</exception>
    public async Task SendAsync(ProxyMessage message, CancellationToken cancellation)
    {
        await _sending.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            _outgoing.ResetWrittenCount();
            _outgoing.GetSpan(HeaderBytes);
            _outgoing.Advance(HeaderBytes);
            await using (var writer = new Utf8JsonWriter(_outgoing))
                JsonSerializer.Serialize(writer, message, MessageJson.Default.ProxyMessage);
            await SendWrittenAsync(cancellation).ConfigureAwait(false);
        }
        finally
        {
            _sending.Release();
        }
    }

    /// <summary>Sends JSON that the caller wrote in the form of <see cref="MessageJson"/>, for messages that are too frequent to make objects for.</summary>
    /// <inheritdoc cref="SendAsync"/>
    public async Task SendJsonAsync(ReadOnlyMemory<byte> json, CancellationToken cancellation)
    {
        await _sending.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            _outgoing.ResetWrittenCount();
            _outgoing.GetSpan(HeaderBytes);
            _outgoing.Advance(HeaderBytes);
            _outgoing.Write(json.Span);
            await SendWrittenAsync(cancellation).ConfigureAwait(false);
        }
        finally
        {
            _sending.Release();
        }
    }

    /// <summary>Receives one message; null when the other side closed the connection between two.</summary>
    /// <exception cref="DnsProxyProtocolException">What came is no message.</exception>
    /// <exception cref="IOException">The connection broke within a message.</exception>
    public Task<ProxyMessage?> ReceiveAsync(CancellationToken cancellation) => ReceiveAsync(MaximalBytes, cancellation);

    internal async Task<T> ReceiveHelloAsync<T>(CancellationToken cancellation)
        where T : Hello
    {
        ProxyMessage? first = await ReceiveAsync(MaximalHelloBytes, cancellation).ConfigureAwait(false);
        if (first is not T hello)
            throw new DnsProxyProtocolException($"The first message is {first?.GetType().Name ?? "none"}, not {typeof(T).Name}.");
        if (!hello.IsUnderstood)
        {
            throw new DnsProxyProtocolException(
                $"The other side speaks versions {hello.Oldest} to {hello.Version}, this one {ProxyMessage.OldestVersion} to {ProxyMessage.CurrentVersion}.");
        }

        return hello;
    }

    // The header's place was left free in front.
    private async Task SendWrittenAsync(CancellationToken cancellation)
    {
        int length = _outgoing.WrittenCount - HeaderBytes;
        if (length > MaximalBytes)
            throw new ArgumentException($"A message of {length} bytes is longer than {MaximalBytes}.");
        if (!System.Runtime.InteropServices.MemoryMarshal.TryGetArray(_outgoing.WrittenMemory, out ArraySegment<byte> written))
            throw new InvalidOperationException("The buffer is no array.");
        BinaryPrimitives.WriteInt32LittleEndian(written, length);
        await _stream.WriteAsync(written, cancellation).ConfigureAwait(false);
    }

    private async Task<ProxyMessage?> ReceiveAsync(int limit, CancellationToken cancellation)
    {
        int got = await _stream.ReadAtLeastAsync(_incoming.AsMemory(0, HeaderBytes), HeaderBytes, throwOnEndOfStream: false, cancellation)
            .ConfigureAwait(false);
        if (got == 0)
            return null;
        if (got < HeaderBytes)
            throw new IOException("The connection between agent and DNS proxy broke within a message.");
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(_incoming);
        if (length > (uint)limit)
            throw new DnsProxyProtocolException($"A message of {length} bytes is longer than {limit}.");
        if (length > _incoming.Length)
            _incoming = new byte[Math.Min(limit, (int)length * 2)];
        await _stream.ReadExactlyAsync(_incoming.AsMemory(0, (int)length), cancellation).ConfigureAwait(false);
        try
        {
            return JsonSerializer.Deserialize(_incoming.AsSpan(0, (int)length), MessageJson.Default.ProxyMessage)
                ?? throw new DnsProxyProtocolException("A message is null.");
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            throw new DnsProxyProtocolException($"What came is no message: {e.Message}", e);
        }
    }

    public void Dispose()
    {
        _stream.Dispose();
        _socket.Dispose();
    }
}
