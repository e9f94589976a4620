// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Lab.Pods;

/// <summary>Runs probes the way a kubelet does: network probes from the node, commands inside the container.</summary>
internal sealed class Prober(PodSandbox sandbox, Container container, ContainerCommand command, int process, TimeProvider clock)
{
    public const bool Continue = true;
    public const bool Stop = false;

    /// <summary>
    /// Probes until the token ends or <paramref name="turned"/> says to stop. It is told each change that reached its threshold.
    /// </summary>
    /// <param name="initial">The state before the first probe. Where that is a failure and <paramref name="turned"/> does no harm,</param>
    /// <param name="eager">probe closely until the first success, so that a start costs moments and not whole periods.</param>
    public async Task WatchAsync(Probe probe, bool initial, bool eager, Func<bool, bool> turned, CancellationToken cancellation)
    {
        await Task.Delay(TimeSpan.FromSeconds(probe.InitialDelaySeconds ?? 0), clock, cancellation);
        TimeSpan period = TimeSpan.FromSeconds(probe.PeriodSeconds ?? 10);
        bool state = initial;
        bool settled = initial;
        int streak = 0;
        bool last = initial;
        while (true)
        {
            bool ok = await TryAsync(probe, cancellation);
            streak = ok == last ? streak + 1 : 1;
            last = ok;
            int threshold = ok ? probe.SuccessThreshold ?? 1 : probe.FailureThreshold ?? 3;
            if (streak >= threshold && (ok != state || (!ok && !settled)))
            {
                state = ok;
                settled = true;
                if (turned(ok) == Stop)
                    return;
            }

            await Task.Delay(eager && !state && period > StartPeriod ? StartPeriod : period, clock, cancellation);
        }
    }

    private static readonly TimeSpan StartPeriod = TimeSpan.FromMilliseconds(250);

    private async Task<bool> TryAsync(Probe probe, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(TimeSpan.FromSeconds(probe.TimeoutSeconds ?? 1));
        try
        {
            if (probe.Exec is { } exec)
                return await ExecAsync(exec, limit.Token);
            if (probe.HttpGet is { } http)
                return await HttpAsync(http, limit.Token);
            if (probe.TcpSocket is { } tcp)
            {
                using Socket socket = await ConnectAsync(tcp.Host, tcp.Port, limit.Token);
                return true;
            }

            if (probe.Grpc is { } grpc)
            {
                using Socket socket = await ConnectAsync(null, grpc.Port, limit.Token);
                return true;
            }

            return true;
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or HttpRequestException or IOException)
        {
            cancellation.ThrowIfCancellationRequested();
            return false;
        }
    }

    private async Task<bool> ExecAsync(ExecAction exec, CancellationToken cancellation)
    {
        ProcessPlace place = sandbox.PlaceOf(container.Name, process) with { Environment = command.Environment };
        return (await Launch.RunAsync(place, exec.Command ?? ["true"], "", cancellation)).ExitCode == 0;
    }

    private async Task<bool> HttpAsync(HttpGetAction http, CancellationToken cancellation)
    {
        using var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseProxy = false,
            ConnectCallback = async (_, token) => new NetworkStream(await ConnectAsync(http.Host, http.Port, token), ownsSocket: true),
        };
        // A probe asks whether the server answers, not who it is.
#pragma warning disable CA5359
        handler.SslOptions.RemoteCertificateValidationCallback = (_, _, _, _) => true;
#pragma warning restore CA5359
        using var client = new HttpClient(handler);
        string scheme = http.Scheme == "HTTPS" ? "https" : "http";
        using var request = new HttpRequestMessage(HttpMethod.Get, $"{scheme}://{Bracketed(http.Host ?? command.PodAddress)}:{Port(http.Port)}{Path(http)}");
        foreach (HttpHeader header in http.HttpHeaders ?? [])
            request.Headers.TryAddWithoutValidation(header.Name, header.Value);
        using HttpResponseMessage response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
        return (int)response.StatusCode is >= 200 and < 400;
    }

    private static string Path(HttpGetAction http) => http.Path is { Length: > 0 } path ? path[0] == '/' ? path : "/" + path : "/";

    private static string Bracketed(string host) => host.Contains(':') ? $"[{host}]" : host;

    private async Task<Socket> ConnectAsync(string? host, IntOrString port, CancellationToken cancellation)
    {
        IPAddress address = IPAddress.Parse(host ?? command.PodAddress);
        Socket socket = sandbox.OpenNodeSocket(address.AddressFamily);
        try
        {
            await socket.ConnectAsync(address, Port(port), cancellation);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private int Port(IntOrString port)
        => port.TryGetNumber(out int number) ? number
            : container.Ports?.FirstOrDefault(p => p.Name == port.Text)?.Number ?? throw new IOException($"no port is named {port}");
}
