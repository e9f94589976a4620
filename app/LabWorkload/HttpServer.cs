// SPDX-License-Identifier: Apache-2.0
using System.Net.Sockets;
using System.Text;

namespace Axoneme.LabWorkload;

/// <summary>As much HTTP as it takes to tell who asked whom, over connections that are kept.</summary>
internal static class HttpServer
{
    public static Task RunAsync(int port, Drain drain) => Servers.AcceptAsync(Servers.ListenTcp(port), async connection =>
    {
        connection.NoDelay = true;
        using var reader = new StreamReader(new NetworkStream(connection), Encoding.ASCII);
        while (await reader.ReadLineAsync() is { } request)
        {
            while (await reader.ReadLineAsync() is { Length: > 0 })
            {
            }

            string body = $"pod: {Environment.MachineName}\nserver: {Servers.Address(connection.LocalEndPoint)}\n"
                + $"client: {Servers.Address(connection.RemoteEndPoint)}\nrequest: {request}\n";
            // A client that keeps its connection must learn that this one ends, or its next request meets a closed door.
            bool last = drain.HasStarted;
            await connection.SendAsync(Encoding.ASCII.GetBytes(
                $"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{(last ? "Connection: close\r\n" : "")}Content-Length: {body.Length}\r\n\r\n{body}"));
            if (last)
                return;
        }
    });
}
