// SPDX-License-Identifier: Apache-2.0
using System.Net.Sockets;
using System.Text.Json;

namespace Axoneme.Lab.Control;

/// <summary>Asks the supervisor of a running lab.</summary>
internal static class ControlClient
{
    public static bool IsListening(LabPaths paths)
    {
        using Socket? socket = TryConnect(paths);
        return socket is not null;
    }

    /// <summary>Sends a request and hands every reply on; returns the last one.</summary>
    /// <exception cref="UserErrorException">No lab is running, or it refused.</exception>
    public static async Task<ControlReply> AskAsync(LabPaths paths, ControlRequest request, Action<string>? progress = null)
    {
        using Socket socket = TryConnect(paths) ?? throw new UserErrorException(Directory.Exists(paths.Root)
            ? $"the lab's supervisor is gone (see {paths.SupervisorLog}): \"lab down\" removes what is left, \"lab up\" starts anew"
            : "no lab is running: \"lab up\" starts one");
        await using var stream = new NetworkStream(socket);
        await stream.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(request, ControlJson.Default.ControlRequest));
        await stream.WriteAsync("\n"u8.ToArray());
        using var reader = new StreamReader(stream);
        while (await ReadLineAsync(reader) is { } line)
        {
            ControlReply reply = JsonSerializer.Deserialize(line, ControlJson.Default.ControlReply)!;
            if (reply.Progress is { } step)
                progress?.Invoke(step);
            if (reply.Error is { } error)
                throw new UserErrorException(error);
            if (reply.IsLast)
                return reply;
        }

        throw new UserErrorException($"the lab's supervisor ended while it was asked; see {paths.SupervisorLog}");
    }

    private static async Task<string?> ReadLineAsync(StreamReader reader)
    {
        try
        {
            return await reader.ReadLineAsync();
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static Socket? TryConnect(LabPaths paths)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(paths.ControlSocket));
            return socket;
        }
        catch (SocketException)
        {
            socket.Dispose();
            return null;
        }
    }
}
