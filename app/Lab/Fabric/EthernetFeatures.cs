// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using System.Text;
using Axoneme.Linux;

namespace Axoneme.Lab.Fabric;

/// <summary>Offloads of a device; the values are the kernel's commands that set them (linux/ethtool.h).</summary>
internal enum EthernetFeature : uint
{
    TransmitChecksum = 0x17,
}

/// <summary>The ethtool interface, as far as the fabric needs it.</summary>
internal static unsafe partial class EthernetFeatures
{
    private const nuint SiocEthtool = 0x8946;
    private const int NameLength = 16;
    private const int AfInet = 2;
    private const int SockDgram = 2;

    /// <summary>Acts on the calling thread's network namespace.</summary>
    /// <exception cref="SystemCallException">No such device, or a feature that is fixed.</exception>
    public static void Set(string device, EthernetFeature feature, bool on)
    {
        var value = new EthtoolValue { Command = (uint)feature, Data = on ? 1u : 0 };
        var request = new InterfaceRequest { Data = &value };
        Encoding.ASCII.GetBytes(device, new Span<byte>(request.Name, NameLength - 1));
        int socket = CreateSocket(AfInet, SockDgram, 0);
        if (socket < 0)
            throw SystemCallException.FromLastError("open a socket");
        try
        {
            if (Ioctl(socket, SiocEthtool, &request) < 0)
                throw SystemCallException.FromLastError($"set {feature} of {device}");
        }
        finally
        {
            _ = Libc.Close(socket);
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct EthtoolValue
    {
        public uint Command;
        public uint Data;
    }

    // struct ifreq; the kernel reads 40 bytes.
    [StructLayout(LayoutKind.Sequential, Size = 40)]
    private struct InterfaceRequest
    {
        public fixed byte Name[NameLength];
        public EthtoolValue* Data;
    }

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    private static partial int CreateSocket(int domain, int type, int protocol);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Ioctl(int descriptor, nuint request, InterfaceRequest* argument);
}
