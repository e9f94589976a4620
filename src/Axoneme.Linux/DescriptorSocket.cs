// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using static Axoneme.Linux.SocketMessages;

namespace Axoneme.Linux;

/// <summary>
/// A SOCK_SEQPACKET unix socket that can carry file descriptors. Straight system calls: the CNI plugin lives for some ten
/// milliseconds, and loading System.Net.Sockets would be a good part of that.
/// </summary>
public sealed unsafe partial class DescriptorSocket : IDisposable
{
    private const int AF_UNIX = 1;
    private const int SOCK_SEQPACKET = 5;
    private const int SOCK_CLOEXEC = 0x80000;
    private const int SOL_SOCKET = 1;
    private const int SCM_RIGHTS = 1;
    private const int SO_RCVTIMEO = 20;
    private const int SO_SNDTIMEO = 21;
    private const int SO_PEERCRED = 17;
    private const int Backlog = 128;
    private const int MaximalControlBytes = ControlHeaderBytes + (MaximalDescriptors * sizeof(int));
    private const int SocketAddressBytes = 110;

    /// <summary>In one message; the kernel takes 253.</summary>
    public const int MaximalDescriptors = 32;

    private readonly SafeFileHandle _handle;

    private DescriptorSocket(int fd) => _handle = new SafeFileHandle(fd, ownsHandle: true);

    private int Fd => (int)_handle.DangerousGetHandle();

    /// <summary>Connects; null when nobody listens there (the agent is down or restarting).</summary>
    /// <exception cref="SystemCallException">Any other failure, such as a missing permission.</exception>
    public static DescriptorSocket? TryConnect(string path)
    {
        DescriptorSocket socket = Create();
        Span<byte> address = stackalloc byte[SocketAddressBytes];
        int length = WriteAddress(path, address);
        fixed (byte* pointer = address)
        {
            if (connect(socket.Fd, pointer, length) == 0)
                return socket;
        }

        int errno = Marshal.GetLastPInvokeError();
        socket.Dispose();
        const int ConnectionRefused = 111;
        if (errno is Errno.ENOENT or ConnectionRefused or Errno.EAGAIN)
            return null;
        throw new SystemCallException($"connect to {path}", errno);
    }

    /// <summary>Listens at <paramref name="path"/>, which only root may then connect to; a stale file is replaced.</summary>
    public static DescriptorSocket Listen(string path)
    {
        File.Delete(path);
        DescriptorSocket socket = Create();
        Span<byte> address = stackalloc byte[SocketAddressBytes];
        int length = WriteAddress(path, address);
        fixed (byte* pointer = address)
        {
            if (bind(socket.Fd, pointer, length) != 0)
                throw socket.Failed($"bind {path}");
        }

        // Between bind and here nobody can connect: the socket does not listen yet.
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        if (listen(socket.Fd, Backlog) != 0)
            throw socket.Failed($"listen on {path}");
        return socket;
    }

    /// <summary>Blocks until a peer connects; null once the listener is shut down.</summary>
    public DescriptorSocket? Accept()
    {
        while (true)
        {
            int fd = accept4(Fd, null, null, SOCK_CLOEXEC);
            if (fd >= 0)
                return new DescriptorSocket(fd);
            int errno = Marshal.GetLastPInvokeError();
            if (errno is Errno.EINVAL or Errno.EBADF)
                return null;
            const int ConnectionAborted = 103;
            if (errno is not (Errno.EINTR or ConnectionAborted))
                throw new SystemCallException("accept a connection of a unix socket", errno);
        }
    }

    /// <summary>Wakes a blocked <see cref="Accept"/>.</summary>
    public void Shutdown() => _ = shutdown(Fd, 2);

    /// <summary>The peer's user id as the kernel knows it.</summary>
    public uint PeerUserId()
    {
        Span<uint> credentials = stackalloc uint[3];
        int length = 12;
        fixed (uint* pointer = credentials)
        {
            if (getsockopt(Fd, SOL_SOCKET, SO_PEERCRED, pointer, &length) != 0)
                throw SystemCallException.FromLastError("read the credentials of a unix socket's peer");
        }

        return credentials[1];
    }

    /// <summary>Bounds every later receive and send.</summary>
    public void SetTimeout(TimeSpan timeout)
    {
        Span<long> value = [(long)timeout.TotalSeconds, timeout.Milliseconds * 1000L];
        fixed (long* pointer = value)
        {
            if (setsockopt(Fd, SOL_SOCKET, SO_RCVTIMEO, pointer, 16) != 0 || setsockopt(Fd, SOL_SOCKET, SO_SNDTIMEO, pointer, 16) != 0)
                throw SystemCallException.FromLastError("set a unix socket's time-out");
        }
    }

    /// <summary>Sends one message, with copies of <paramref name="descriptors"/> beside it, at most <see cref="MaximalDescriptors"/>.</summary>
    public void Send(ReadOnlySpan<byte> message, params ReadOnlySpan<int> descriptors)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(descriptors.Length, MaximalDescriptors);
        byte* control = stackalloc byte[MaximalControlBytes];
        fixed (byte* data = message)
        {
            var vector = new IoVector { Base = data, Length = (nuint)message.Length };
            var header = new MessageHeader { Vectors = &vector, VectorCount = 1 };
            if (descriptors.Length > 0)
            {
                int length = ControlHeaderBytes + (descriptors.Length * sizeof(int));
                *(nuint*)control = (nuint)length;
                *(int*)(control + 8) = SOL_SOCKET;
                *(int*)(control + 12) = SCM_RIGHTS;
                descriptors.CopyTo(new Span<int>(control + ControlHeaderBytes, descriptors.Length));
                header.Control = control;
                header.ControlLength = (nuint)length;
            }

            if (SocketMessages.Send(Fd, &header, MSG_NOSIGNAL) != message.Length)
                throw SystemCallException.FromLastError("send a message over a unix socket");
        }
    }

    /// <summary>Receives one message and returns its length: 0 when the peer is gone, -1 when it does not fit or time is up.</summary>
    /// <param name="buffer">Takes the message.</param>
    /// <param name="descriptor">The one that came with it and now belongs to the caller, or -1. A message with more does not fit.</param>
    public int Receive(Span<byte> buffer, out int descriptor)
    {
        descriptor = -1;
        int length = Receive(buffer, new Span<int>(ref descriptor), out int count);
        descriptor = count == 1 ? descriptor : -1;
        return length;
    }

    /// <inheritdoc cref="Receive(Span{byte}, out int)"/>
    /// <param name="buffer">Takes the message.</param>
    /// <param name="descriptors">Takes those that came with it, which now belong to the caller.</param>
    /// <param name="count">How many came.</param>
    public int Receive(Span<byte> buffer, Span<int> descriptors, out int count)
    {
        count = 0;
        byte* control = stackalloc byte[MaximalControlBytes];
        fixed (byte* data = buffer)
        {
            var vector = new IoVector { Base = data, Length = (nuint)buffer.Length };
            var header = new MessageHeader { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = MaximalControlBytes };
            nint received = SocketMessages.Receive(Fd, &header, MSG_CMSG_CLOEXEC);
            if (received < 0)
                return -1;
            ReadOnlySpan<int> came = DescriptorsOf(header);
            if ((header.Flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 && came.Length <= descriptors.Length)
            {
                came.CopyTo(descriptors);
                count = came.Length;
                return (int)received;
            }

            foreach (int descriptor in came)
                _ = Libc.Close(descriptor);
            return -1;
        }
    }

    private static ReadOnlySpan<int> DescriptorsOf(in MessageHeader header)
    {
        var control = (byte*)header.Control;
        if (header.ControlLength < ControlHeaderBytes || *(int*)(control + 8) != SOL_SOCKET || *(int*)(control + 12) != SCM_RIGHTS)
            return [];
        return new ReadOnlySpan<int>(control + ControlHeaderBytes, ((int)*(nuint*)control - ControlHeaderBytes) / sizeof(int));
    }

    public void Dispose() => _handle.Dispose();

    private static DescriptorSocket Create()
    {
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        return fd >= 0 ? new DescriptorSocket(fd) : throw SystemCallException.FromLastError("create a unix socket");
    }

    private static int WriteAddress(string path, Span<byte> address)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(address, AF_UNIX);
        int length = Encoding.UTF8.GetByteCount(path);
        if (length >= SocketAddressBytes - sizeof(ushort))
            throw new ArgumentException($"The socket path {path} is longer than a unix socket address allows.", nameof(path));
        Encoding.UTF8.GetBytes(path, address[sizeof(ushort)..]);
        return sizeof(ushort) + length + 1;
    }

    private SystemCallException Failed(string operation)
    {
        SystemCallException failure = SystemCallException.FromLastError(operation);
        Dispose();
        return failure;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int socket(int domain, int type, int protocol);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int connect(int fd, byte* address, int length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int bind(int fd, byte* address, int length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int listen(int fd, int backlog);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int accept4(int fd, byte* address, int* length, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int shutdown(int fd, int how);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int getsockopt(int fd, int level, int name, void* value, int* length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setsockopt(int fd, int level, int name, void* value, int length);
}
