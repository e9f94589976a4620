// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>
/// The settings that are compiled into programs. Each header of <c>bpf/config</c> is filled for every object that includes it, whichever those
/// are. The same options give the same bytes for the life of this object, so that nothing is loaded twice.
/// </summary>
internal sealed class ProgramConstants(DatapathOptions options, NodeDevices devices)
{
    private readonly JiffiesClock? _jiffies = options.ClockJiffies ? KernelClock.MeasureJiffies() : null;

    public T For<T>(BpfObjectImage image)
        where T : unmanaged, IBpfConstants
    {
        // Boxed once: setting a property through an interface would change a copy of the struct otherwise.
        object constants = image.DefaultConstants<T>();
        if (constants is INodeConstants node)
            Fill(node);
        if (constants is ILbConstants lb)
            Fill(lb);
        if (constants is INatConstants nat)
            Fill(nat);
        if (constants is IClockConstants clock)
            Fill(clock);
        if (constants is IPodConstants pod)
            Fill(pod);
        if (constants is ISockConstants sockets)
            Fill(sockets);
        if (constants is IXdpConstants frames)
            Fill(frames);
        return (T)constants;
    }

    private void Fill(INodeConstants constants)
    {
        constants.UplinkIfindex = devices.Uplinks.Count == 1 ? (uint)devices.Uplinks[0].Index : 0;
        constants.UplinkMtu = (uint)devices.Mtu;
        constants.TunnelIfindex = (uint)(devices.Tunnel?.Index ?? 0);
        constants.TunnelMtu = (uint)devices.RouteMtu;
        constants.TunnelPort = options.TunnelPort;
        constants.HostEndpoint = options.HostEndpoint;
        constants.PolicyDenyIcmp = options.PolicyDenyIcmp;
        constants.ClusterId = options.ClusterId;
        constants.ClusterIdentityBits = (byte)options.ClusterIdentityBits;
        constants.TraceAggregation = (byte)options.MonitorAggregation;
        constants.TraceIntervalS = (uint)options.TraceInterval.TotalSeconds;
        constants.TraceEvents = options.TraceEvents;
        constants.DropEvents = options.DropEvents;
        constants.PolicyVerdictEvents = options.PolicyVerdictEvents;
        constants.CtTcpTimeoutS = (uint)options.ConntrackTimeouts.Tcp.TotalSeconds;
        constants.CtTcpSynTimeoutS = (uint)options.ConntrackTimeouts.TcpSyn.TotalSeconds;
        constants.CtTcpFinTimeoutS = (uint)options.ConntrackTimeouts.TcpFin.TotalSeconds;
        constants.CtAnyTimeoutS = (uint)options.ConntrackTimeouts.Any.TotalSeconds;
        constants.CtServiceTcpTimeoutS = (uint)options.ConntrackTimeouts.ServiceTcp.TotalSeconds;
        constants.CtServiceAnyTimeoutS = (uint)options.ConntrackTimeouts.ServiceAny.TotalSeconds;
        // With two families each has an outside of its own.
        if (options.EnableIPv4 && options.EnableIPv6)
        {
            constants.WorldIdentity4 = SecurityIdentity.WorldIPv4.Value;
            constants.WorldIdentity6 = SecurityIdentity.WorldIPv6.Value;
        }
    }

    private void Fill(ILbConstants constants)
    {
        ServiceForwarding services = options.Services;
        constants.ServiceMaglev = services.Maglev;
        constants.MaglevSlots = services.MaglevSlots;
        constants.MaglevSeed = services.MaglevSeed;
        constants.NodePortMin = services.NodePortMin;
        constants.NodePortMax = services.NodePortMax;
        constants.RejectWithoutBackend = services.RejectWithoutBackend;
        constants.ClaimWithoutBackend = services.ClaimWithoutBackend;
    }

    private void Fill(INatConstants constants)
    {
        constants.NodePorts = options.Services.NodePorts;
        constants.ServiceDsr = options.Services.DirectServerReturn;
        (constants.NatPortMin, constants.NatPortMax) = options.Services.NatPorts;
        Masquerading masquerade = options.Masquerade;
        // With a native prefix that is everything there is nothing to masquerade; its mask of 0 would mean that there is no such prefix.
        constants.Masquerade4 = masquerade.IPv4 && options.EnableIPv4 && masquerade.NativeCidr4 is not { Length: 0 };
        constants.Masquerade6 = masquerade.IPv6 && options.EnableIPv6 && masquerade.NativeCidr6 is not { Length: 0 };
        constants.MasqueradeExceptions = masquerade.Exceptions;
        if (masquerade.NativeCidr4 is { } v4)
            (constants.NativeCidr4, constants.NativeMask4) = (v4.Address.ToV4(), IpAddress.FromV4(uint.MaxValue).Mask(v4.Length).ToV4());
        if (masquerade.NativeCidr6 is { } v6)
            (constants.NativeCidr6, constants.NativeMask6) = (v6.Address.ToV6(), IpAddress.FromV6(UInt128.MaxValue).Mask(v6.Length).ToV6());
    }

    private void Fill(IClockConstants constants)
    {
        if (_jiffies is not { } clock)
            return;
        constants.ClockJiffies = true;
        (constants.JiffiesBase, constants.ClockBaseS, constants.JiffiesReciprocal) = (clock.Base, clock.BaseSeconds, clock.Reciprocal);
    }

    private void Fill(IPodConstants constants)
    {
        constants.PerPacketLb = options.PacketLoadBalancing;
        constants.RouterIfindex = (uint)devices.Net.Index;
        constants.RouterMac = (devices.Net.Mac ?? default).ToAbi();
        constants.VerifySourceAddress = options.VerifySourceAddress;
    }

    private void Fill(ISockConstants constants)
    {
        using NetworkNamespace? own = options.HostNamespace is null ? NetworkNamespace.OpenCurrent() : null;
        constants.HostNetnsCookie = (options.HostNamespace ?? own!).ReadCookie();
        constants.SocketsOfHostOnly = options.SocketsOfHostOnly;
        constants.ProtectNodePorts = options.NodePortBindProtection;
        constants.ExternalIpsOfNodeOnly = options.ExternalIpsOfNodeOnly;
    }

    // Where drivers differ, one of them may take no frames from the others.
    private void Fill(IXdpConstants constants)
        => constants.XdpRedirects = options.Services.Acceleration != AccelerationMode.BestEffort && devices.Uplinks.Count > 1;
}
