// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging;

namespace Axoneme.Hosting;

/// <summary>A complete answer.</summary>
public sealed record HttpAnswer(int Status, string ContentType, ReadOnlyMemory<byte> Body)
{
    /// <summary>Besides those that every answer has.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Headers { get; init; } = [];

    public static HttpAnswer Text(int status, string text) => new(status, "text/plain; charset=utf-8", Encoding.UTF8.GetBytes(text));
}

/// <summary>
/// One listening port that answers GET and HEAD with short texts, one request a connection. Services come and go with ports of their own,
/// which Kestrel cannot open and close while it runs; here a port costs a socket, and all ports share the runtime's one thread that waits.
/// </summary>
public sealed class HttpResponder : IDisposable
{
    private const int MaximalHeadBytes = 8 << 10;
    private const int Backlog = 128;

    // Of one port: probes of load balancers come one at a time from each. Beyond it connections wait in the backlog.
    private const int MaximalConnections = 32;

    private static readonly TimeSpan ConnectionTimeout = TimeSpan.FromSeconds(5);

    private readonly Socket _listener;
    private readonly Func<string, HttpAnswer> _answer;
    private readonly ILogger _log;
    private readonly CancellationTokenSource _stop = new();
    private readonly SemaphoreSlim _free = new(MaximalConnections);

    private HttpResponder(Socket listener, Func<string, HttpAnswer> answer, ILogger log)
    {
        _listener = listener;
        _answer = answer;
        _log = log;
        Port = (ushort)((IPEndPoint)listener.LocalEndPoint!).Port;
    }

    public ushort Port { get; }

    /// <summary>Listens and answers until disposed of.</summary>
    /// <param name="answer">Gets the path with its query; called on any thread, by several at once.</param>
    /// <exception cref="SocketException">The address cannot be bound.</exception>
    public static HttpResponder Listen(ListenAddress address, Func<string, HttpAnswer> answer, ILogger log)
    {
        var responder = new HttpResponder(Bind(address), answer, log);
        _ = responder.AcceptAsync();
        return responder;
    }

    /// <summary>Closes the port. Answers that are under way are given.</summary>
    public void Dispose()
    {
        _stop.Cancel();
        _listener.Dispose();
    }

    private static Socket Bind(ListenAddress address)
    {
        bool isAny = address.Address is null;
        IPAddress own = address.Address?.ToIPAddress() ?? (Socket.OSSupportsIPv6 ? IPAddress.IPv6Any : IPAddress.Any);
        var socket = new Socket(own.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (own.AddressFamily == AddressFamily.InterNetworkV6)
                socket.DualMode = isAny;
            socket.Bind(new IPEndPoint(own, address.Port));
            socket.Listen(Backlog);
            return socket;
        }
        catch (SocketException e) when (isAny && e.SocketErrorCode is SocketError.AddressNotAvailable or SocketError.AddressFamilyNotSupported)
        {
            // The kernel has IPv6 and the namespace has it switched off.
            socket.Dispose();
            return Bind(address with { Address = Network.IpAddress.FromV4(0) });
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                await _free.WaitAsync(_stop.Token);
                Socket connection = await _listener.AcceptAsync(_stop.Token);
                _ = ServeAsync(connection);
            }
            catch (Exception e) when (_stop.IsCancellationRequested && e is OperationCanceledException or ObjectDisposedException or SocketException)
            {
                return;
            }
            catch (SocketException e)
            {
                // Such as no more descriptors, or a client that went before it was accepted.
                _free.Release();
                _log.LogWarning("Port {Port}: a connection could not be accepted: {Reason}", Port, e.Message);
                await Task.Delay(TimeSpan.FromMilliseconds(100));
            }
        }
    }

    private async Task ServeAsync(Socket connection)
    {
        using var limit = new CancellationTokenSource(ConnectionTimeout);
        try
        {
            using (connection)
            {
                string? head = await ReadHeadAsync(connection, limit.Token);
                HttpAnswer answer = AnswerTo(head, out bool isHead);
                await SendAsync(connection, answer, isHead, limit.Token);
                connection.Shutdown(SocketShutdown.Send);
            }
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException)
        {
            // The client went away or sends nothing: its own loss.
        }
        finally
        {
            _free.Release();
        }
    }

    // Null when the head does not end within the limits.
    private static async Task<string?> ReadHeadAsync(Socket connection, CancellationToken cancellation)
    {
        byte[] buffer = new byte[1024];
        int length = 0;
        while (true)
        {
            if (length == buffer.Length)
            {
                if (length == MaximalHeadBytes)
                    return null;
                Array.Resize(ref buffer, length * 2);
            }

            int read = await connection.ReceiveAsync(buffer.AsMemory(length), cancellation);
            if (read == 0)
                return null;
            length += read;
            if (buffer.AsSpan(0, length).IndexOf("\r\n\r\n"u8) >= 0)
                return Encoding.ASCII.GetString(buffer, 0, length);
        }
    }

    private HttpAnswer AnswerTo(string? head, out bool isHead)
    {
        isHead = false;
        string[] words = head?[..head.IndexOf('\r')].Split(' ') ?? [];
        if (words is not [{ } method, ['/', ..] and { } target, { } version] || !version.StartsWith("HTTP/1.", StringComparison.Ordinal))
            return HttpAnswer.Text(400, "not an HTTP/1 request\n");
        isHead = method == "HEAD";
        if (!isHead && method != "GET")
            return HttpAnswer.Text(405, "only GET is possible\n") with { Headers = [new("Allow", "GET, HEAD")] };
        try
        {
            return _answer(target);
        }
        catch (Exception e)
        {
            _log.LogError(e, "Port {Port}: {Target} could not be answered", Port, target);
            return HttpAnswer.Text(500, e.Message + "\n");
        }
    }

    private static async Task SendAsync(Socket connection, HttpAnswer answer, bool isHead, CancellationToken cancellation)
    {
        var head = new StringBuilder(256);
        head.Append(CultureInfo.InvariantCulture, $"HTTP/1.1 {answer.Status} {Reason(answer.Status)}\r\n");
        head.Append(CultureInfo.InvariantCulture, $"Content-Type: {answer.ContentType}\r\nContent-Length: {answer.Body.Length}\r\n");
        head.Append("X-Content-Type-Options: nosniff\r\nConnection: close\r\n");
        foreach ((string name, string value) in answer.Headers)
            head.Append(CultureInfo.InvariantCulture, $"{name}: {value}\r\n");
        head.Append("\r\n");
        byte[] bytes = Encoding.ASCII.GetBytes(head.ToString());
        await SendAllAsync(connection, bytes, cancellation);
        if (!isHead)
            await SendAllAsync(connection, answer.Body, cancellation);
    }

    private static async Task SendAllAsync(Socket connection, ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        while (!bytes.IsEmpty)
            bytes = bytes[await connection.SendAsync(bytes, cancellation)..];
    }

    private static string Reason(int status) => status switch
    {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    };
}
