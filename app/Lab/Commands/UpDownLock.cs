// SPDX-License-Identifier: Apache-2.0
using System.Net.Sockets;

namespace Axoneme.Lab.Commands;

/// <summary>
/// Keeps two <c>lab up</c> or <c>lab down</c> of one lab from meeting. An abstract socket: the kernel frees it when its process ends,
/// however it ends, and no file stays behind.
/// </summary>
internal sealed class UpDownLock : IDisposable
{
    private readonly Socket _socket;

    private UpDownLock(Socket socket) => _socket = socket;

    public static UpDownLock Take(LabPaths paths)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Bind(new UnixDomainSocketEndPoint($"\0axoneme-lab:{paths.Root}"));
            return new UpDownLock(socket);
        }
        catch (SocketException)
        {
            socket.Dispose();
            throw new UserErrorException("another \"lab up\" or \"lab down\" is at work; wait for it to end");
        }
    }

    public void Dispose() => _socket.Dispose();
}
