// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Axoneme.Linux;
using Microsoft.Win32.SafeHandles;

namespace Axoneme.Cni;

/// <summary>
/// A SOCK_SEQPACKET unix socket that can carry a file descriptor. Straight system calls: the plugin lives for some ten
/// milliseconds, and loading System.Net.Sockets would be a good part of that.
/// </summary>
public sealed unsafe partial class CniSocket : IDisposable
{
    private const int AF_UNIX = 1;
    private const int SOCK_SEQPACKET = 5;
    private const int SOCK_CLOEXEC = 0x80000;
    private const int SOL_SOCKET = 1;
    private const int SCM_RIGHTS = 1;
    private const int SO_RCVTIMEO = 20;
    private const int SO_SNDTIMEO = 21;
    private const int SO_PEERCRED = 17;
    private const int MSG_CTRUNC = 0x8;
    private const int MSG_TRUNC = 0x20;
    private const int MSG_NOSIGNAL = 0x4000;
    private const int MSG_CMSG_CLOEXEC = 0x40000000;
    private const int Backlog = 128;

    // sizeof(struct cmsghdr) on 64-bit Linux; the descriptor follows it.
    private const int ControlHeaderBytes = 16;
    private const int ControlBytes = 24;
    private const int SocketAddressBytes = 110;

    private readonly SafeFileHandle _handle;

    private CniSocket(int fd) => _handle = new SafeFileHandle(fd, ownsHandle: true);

    private int Fd => (int)_handle.DangerousGetHandle();

    /// <summary>Connects; null when nobody listens there (the agent is down or restarting).</summary>
    /// <exception cref="SystemCallException">Any other failure, such as a missing permission.</exception>
    public static CniSocket? TryConnect(string path)
    {
        CniSocket socket = Create();
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
    public static CniSocket Listen(string path)
    {
        File.Delete(path);
        CniSocket socket = Create();
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
    public CniSocket? Accept()
    {
        while (true)
        {
            int fd = accept4(Fd, null, null, SOCK_CLOEXEC);
            if (fd >= 0)
                return new CniSocket(fd);
            int errno = Marshal.GetLastPInvokeError();
            if (errno is Errno.EINVAL or Errno.EBADF)
                return null;
            const int ConnectionAborted = 103;
            if (errno is not (Errno.EINTR or ConnectionAborted))
                throw new SystemCallException("accept a CNI connection", errno);
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
                throw SystemCallException.FromLastError("read the CNI peer's credentials");
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
                throw SystemCallException.FromLastError("set the CNI socket's time-out");
        }
    }

    /// <summary>Sends one message, with <paramref name="descriptor"/> beside it unless that is negative.</summary>
    public void Send(ReadOnlySpan<byte> message, int descriptor = -1)
    {
        byte* control = stackalloc byte[ControlBytes];
        fixed (byte* data = message)
        {
            var vector = new IoVector { Base = data, Length = (nuint)message.Length };
            var header = new MessageHeader { Vectors = &vector, VectorCount = 1 };
            if (descriptor >= 0)
            {
                *(nuint*)control = ControlHeaderBytes + sizeof(int);
                *(int*)(control + 8) = SOL_SOCKET;
                *(int*)(control + 12) = SCM_RIGHTS;
                *(int*)(control + ControlHeaderBytes) = descriptor;
                header.Control = control;
                header.ControlLength = ControlBytes;
            }

            if (sendmsg(Fd, &header, MSG_NOSIGNAL) != message.Length)
                throw SystemCallException.FromLastError("send a CNI message");
        }
    }

    /// <summary>Receives one message and returns its length: 0 when the peer is gone, -1 when it does not fit or time is up.</summary>
    /// <param name="buffer">Takes the message.</param>
    /// <param name="descriptor">A descriptor that came with it and now belongs to the caller, or -1.</param>
    public int Receive(Span<byte> buffer, out int descriptor)
    {
        descriptor = -1;
        byte* control = stackalloc byte[ControlBytes];
        fixed (byte* data = buffer)
        {
            var vector = new IoVector { Base = data, Length = (nuint)buffer.Length };
            var header = new MessageHeader { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = ControlBytes };
            nint received = recvmsg(Fd, &header, MSG_CMSG_CLOEXEC);
            if (received < 0)
                return -1;
            if (header.ControlLength >= ControlHeaderBytes + sizeof(int) && *(int*)(control + 8) == SOL_SOCKET && *(int*)(control + 12) == SCM_RIGHTS)
                descriptor = *(int*)(control + ControlHeaderBytes);
            if ((header.Flags & (MSG_TRUNC | MSG_CTRUNC)) == 0)
                return (int)received;
            if (descriptor >= 0)
                _ = Libc.Close(descriptor);
            descriptor = -1;
            return -1;
        }
    }

    public void Dispose() => _handle.Dispose();

    private static CniSocket Create()
    {
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        return fd >= 0 ? new CniSocket(fd) : throw SystemCallException.FromLastError("create a CNI socket");
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

    [StructLayout(LayoutKind.Sequential)]
    private struct IoVector
    {
        public byte* Base;
        public nuint Length;
    }

    // struct msghdr of 64-bit Linux (glibc and musl agree there).
    [StructLayout(LayoutKind.Sequential)]
    private struct MessageHeader
    {
        public void* Name;
        public uint NameLength;
        private readonly uint _pad0;
        public IoVector* Vectors;
        public nuint VectorCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
        private readonly uint _pad1;
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

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint sendmsg(int fd, MessageHeader* message, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint recvmsg(int fd, MessageHeader* message, int flags);
}
