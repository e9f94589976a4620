// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Linux;
using static Axoneme.Proxy.Sockets.SocketCalls;

namespace Axoneme.Proxy.Sockets;

/// <summary>One non-blocking socket of the proxy. Not thread-safe: it belongs to its worker.</summary>
internal sealed unsafe class ProxySocket : IDisposable
{
    private ProxySocket(int descriptor, bool isV6)
    {
        Descriptor = descriptor;
        IsV6 = isV6;
    }

    /// <summary>-1 once closed.</summary>
    public int Descriptor { get; private set; }

    public bool IsV6 { get; }

    /// <exception cref="SystemCallException">The kernel refused; EAFNOSUPPORT without IPv6.</exception>
    public static ProxySocket Open(int type, int protocol, bool isV6)
    {
        int fd = Socket(isV6 ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
        if (fd < 0)
            throw SystemCallException.FromLastError("open a socket");
        return new ProxySocket(fd, isV6);
    }

    public static ProxySocket Adopt(int descriptor, bool isV6) => new(descriptor, isV6);

    /// <exception cref="SystemCallException">The kernel refused.</exception>
    public ProxySocket Set(int level, int option, int value)
    {
        if (SetOption(Descriptor, level, option, &value, sizeof(int)) != 0)
            throw Failed($"set socket option {level}/{option}");
        return this;
    }

    /// <summary>Lets the socket have addresses of other hosts. Needs CAP_NET_ADMIN or CAP_NET_RAW.</summary>
    public ProxySocket SetTransparent() => IsV6 ? Set(SOL_IPV6, IPV6_TRANSPARENT, 1) : Set(SOL_IP, IP_TRANSPARENT, 1);

    /// <exception cref="SystemCallException">EADDRINUSE, and others.</exception>
    public ProxySocket BindTo(SocketAddress address)
    {
        byte* name = stackalloc byte[SocketAddress.MaximalBytes];
        int length = address.Write(new Span<byte>(name, SocketAddress.MaximalBytes));
        if (Bind(Descriptor, name, length) != 0)
            throw Failed($"bind a socket to {address}");
        return this;
    }

    /// <summary>False while a TCP connection is being made.</summary>
    /// <exception cref="SystemCallException">There is no way to the address, and others.</exception>
    public bool ConnectTo(SocketAddress address)
    {
        const int InProgress = 115;
        byte* name = stackalloc byte[SocketAddress.MaximalBytes];
        int length = address.Write(new Span<byte>(name, SocketAddress.MaximalBytes));
        if (Connect(Descriptor, name, length) == 0)
            return true;
        if (Marshal.GetLastPInvokeError() == InProgress)
            return false;
        throw Failed($"connect to {address}");
    }

    /// <summary>What a descriptor from elsewhere is; false if it is no socket of IPv4 or IPv6.</summary>
    public bool TryReadKind(out int type, out bool isV6)
    {
        int domain = 0, kind = 0, length = sizeof(int);
        bool isSocket = GetOption(Descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && GetOption(Descriptor, SOL_SOCKET, SO_TYPE, &kind, &length) == 0;
        (type, isV6) = (kind, domain == AF_INET6);
        return isSocket && domain is AF_INET or AF_INET6;
    }

    public SocketAddress LocalAddress()
    {
        byte* name = stackalloc byte[SocketAddress.MaximalBytes];
        int length = SocketAddress.MaximalBytes;
        if (GetName(Descriptor, name, &length) != 0)
            throw SystemCallException.FromLastError("read a socket's address");
        return SocketAddress.Read(new Span<byte>(name, length));
    }

    /// <summary>Bytes taken, or minus the error number.</summary>
    public int TrySend(ReadOnlySpan<byte> data)
    {
        fixed (byte* bytes = data)
        {
            nint sent = Send(Descriptor, bytes, (nuint)data.Length, SocketMessages.MSG_NOSIGNAL);
            return sent >= 0 ? (int)sent : -Marshal.GetLastPInvokeError();
        }
    }

    /// <summary>Bytes that came, 0 at the end of a stream, or minus the error number.</summary>
    public int TryReceive(Span<byte> data)
    {
        fixed (byte* bytes = data)
        {
            nint received = Receive(Descriptor, bytes, (nuint)data.Length, 0);
            return received >= 0 ? (int)received : -Marshal.GetLastPInvokeError();
        }
    }

    /// <summary>Closing resets the connection and waits for nothing.</summary>
    public void ResetOnClose()
    {
        long linger = 1;
        _ = SetOption(Descriptor, SOL_SOCKET, SO_LINGER, &linger, sizeof(long));
    }

    public void ShutdownSending() => _ = Shutdown(Descriptor, SHUT_WR);

    /// <summary>Gives the descriptor away.</summary>
    public int Detach()
    {
        int descriptor = Descriptor;
        Descriptor = -1;
        return descriptor;
    }

    public void Dispose()
    {
        if (Descriptor >= 0)
            _ = Libc.Close(Descriptor);
        Descriptor = -1;
    }

    private SystemCallException Failed(string operation)
    {
        SystemCallException failure = SystemCallException.FromLastError(operation);
        Dispose();
        return failure;
    }
}
