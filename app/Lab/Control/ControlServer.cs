// SPDX-License-Identifier: Apache-2.0
using System.Net.Sockets;
using System.Text.Json;

namespace Axoneme.Lab.Control;

/// <summary>The supervisor's socket for <c>lab</c> commands; only root may open it.</summary>
internal sealed class ControlServer(LabPaths paths, Func<ControlRequest, Func<ControlReply, Task>, Task> answer) : IDisposable
{
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    public void Listen()
    {
        File.Delete(paths.ControlSocket);
        _listener.Bind(new UnixDomainSocketEndPoint(paths.ControlSocket));
        File.SetUnixFileMode(paths.ControlSocket, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        _listener.Listen(16);
    }

    public async Task RunAsync(CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
            _ = ServeAsync(await _listener.AcceptAsync(cancellation));
    }

    private async Task ServeAsync(Socket socket)
    {
        await using var stream = new NetworkStream(socket, ownsSocket: true);
        using var reader = new StreamReader(stream);
        try
        {
            if (await reader.ReadLineAsync() is not { } line)
                return;
            ControlRequest request = JsonSerializer.Deserialize(line, ControlJson.Default.ControlRequest)
                ?? throw new JsonException("empty request");
            await answer(request, reply => WriteAsync(stream, reply));
        }
        catch (Exception e) when (e is JsonException or UserErrorException)
        {
            await WriteAsync(stream, new ControlReply { Error = e.Message, IsLast = true });
        }
        catch (IOException)
        {
            // The asker has left.
        }
    }

    private static async Task WriteAsync(NetworkStream stream, ControlReply reply)
    {
        byte[] line = [.. JsonSerializer.SerializeToUtf8Bytes(reply, ControlJson.Default.ControlReply), (byte)'\n'];
        await stream.WriteAsync(line);
    }

    public void Dispose() => _listener.Dispose();
}
