// SPDX-License-Identifier: Apache-2.0
using System.Net.Sockets;

namespace Axoneme.DnsProxy;

/// <summary>
/// The proxy's end of the socket. One agent is served at a time: a new one that says hello replaces the one before, which may hang. Whoever does not
/// say hello is closed and disturbs nobody.
/// </summary>
public sealed class DnsProxyServer : IDisposable
{
    // Connections that have not said hello yet; more are closed at once.
    private const int MaximalStrangers = 16;
    private static readonly TimeSpan HelloTimeout = TimeSpan.FromSeconds(5);

    private readonly Socket _listener;
    private readonly string _path;
    private readonly Func<ProxyHello> _hello;
    private readonly SemaphoreSlim _replacing = new(1, 1);
    private int _strangers;
    private CancellationTokenSource? _current;
    private Task _serving = Task.CompletedTask;

    private DnsProxyServer(Socket listener, string path, Func<ProxyHello> hello)
    {
        _listener = listener;
        _path = path;
        _hello = hello;
    }

    /// <summary>Connections that ended before a valid hello, since the start.</summary>
    public long Rejected => Interlocked.Read(ref _rejected);

    private long _rejected;

    /// <summary>Listens at <paramref name="path"/>, which only this user may connect to; a stale socket is replaced.</summary>
    public static DnsProxyServer Listen(string path, Func<ProxyHello> hello)
    {
        string fresh = path + ".new";
        File.Delete(fresh);
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            listener.Bind(new UnixDomainSocketEndPoint(fresh));
            // Between bind and here nobody can connect: the socket does not listen yet.
            File.SetUnixFileMode(fresh, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            listener.Listen(MaximalStrangers);
            File.Move(fresh, path, overwrite: true);
            return new DnsProxyServer(listener, path, hello);
        }
        catch
        {
            listener.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Accepts until cancelled. <paramref name="serve"/> runs for one agent at a time, after the hellos; its token is cancelled when the next agent comes,
    /// which waits for it to return.
    /// </summary>
    public async Task RunAsync(Func<DnsProxyConnection, CancellationToken, Task> serve, CancellationToken cancellation)
    {
        try
        {
            while (true)
            {
                Socket socket = await _listener.AcceptAsync(cancellation).ConfigureAwait(false);
                if (Interlocked.Increment(ref _strangers) > MaximalStrangers)
                {
                    Interlocked.Decrement(ref _strangers);
                    Interlocked.Increment(ref _rejected);
                    socket.Dispose();
                    continue;
                }

                _ = WelcomeAsync(new DnsProxyConnection(socket), serve, cancellation);
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            await _serving.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task WelcomeAsync(
        DnsProxyConnection connection, Func<DnsProxyConnection, CancellationToken, Task> serve, CancellationToken cancellation)
    {
        bool welcome = await ExchangeHellosAsync(connection, cancellation).ConfigureAwait(false);
        Interlocked.Decrement(ref _strangers);
        if (!welcome)
        {
            Interlocked.Increment(ref _rejected);
            connection.Dispose();
            return;
        }

        try
        {
            await _replacing.WaitAsync(cancellation).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            connection.Dispose();
            return;
        }

        try
        {
            if (_current is not null)
                await _current.CancelAsync().ConfigureAwait(false);
            await _serving.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _current?.Dispose();
            _current = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            _serving = ServeAsync(connection, serve, _current.Token);
        }
        finally
        {
            _replacing.Release();
        }
    }

    private static async Task ServeAsync(
        DnsProxyConnection connection, Func<DnsProxyConnection, CancellationToken, Task> serve, CancellationToken cancellation)
    {
        using (connection)
            await Task.Run(() => serve(connection, cancellation), CancellationToken.None).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private async Task<bool> ExchangeHellosAsync(DnsProxyConnection connection, CancellationToken cancellation)
    {
        using var limited = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limited.CancelAfter(HelloTimeout);
        try
        {
            await connection.ReceiveHelloAsync<AgentHello>(limited.Token).ConfigureAwait(false);
            await connection.SendAsync(_hello(), limited.Token).ConfigureAwait(false);
            return true;
        }
        catch (Exception e) when (e is DnsProxyProtocolException or IOException or OperationCanceledException or ObjectDisposedException)
        {
            return false;
        }
    }

    /// <summary>Stops listening. The file stays: a successor may have put its own in its place.</summary>
    public void Dispose() => _listener.Dispose();

    public override string ToString() => _path;
}
