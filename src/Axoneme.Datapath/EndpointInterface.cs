// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>The device pair of an endpoint as it shall be.</summary>
public sealed record EndpointInterfaceSpec(ushort EndpointId)
{
    public SecurityIdentity Identity { get; init; } = SecurityIdentity.Init;

    /// <summary>Name on the host; see <see cref="DeviceName"/>.</summary>
    public required string HostDevice { get; init; }

    /// <summary>Name inside the pod.</summary>
    public string PodDevice { get; init; } = "eth0";

    public IpAddress? IPv4 { get; init; }

    public IpAddress? IPv6 { get; init; }

    /// <summary>Null derives one from the device's name, the same at each call.</summary>
    public MacAddress? PodMac { get; init; }

    /// <summary>The gateway's address as the pod sees it; null likewise.</summary>
    public MacAddress? HostMac { get; init; }

    /// <summary>The addresses that it has.</summary>
    public IEnumerable<IpAddress> Addresses
    {
        get
        {
            if (IPv4 is { } v4)
                yield return v4;
            if (IPv6 is { } v6)
                yield return v6;
        }
    }

    /// <summary>The host device of a container's interface: lxc and 12 hexadecimal digits, which fits the 15 characters of a name.</summary>
    public static string DeviceName(string containerId, string podDevice)
        => "lxc" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{containerId}:{podDevice}")).AsSpan(0, 6));

    internal MacAddress EffectivePodMac => PodMac ?? Derive("pod");

    internal MacAddress EffectiveHostMac => HostMac ?? Derive("host");

    private MacAddress Derive(string end)
        => MacAddress.LocallyAdministered(
            BinaryPrimitives.ReadUInt64BigEndian(SHA256.HashData(Encoding.UTF8.GetBytes($"{HostDevice}:{EndpointId}:{end}"))));
}

/// <summary>The device pair of an endpoint as it is.</summary>
/// <param name="HostIndex">Index of the device in the host namespace.</param>
public sealed record EndpointInterface(EndpointInterfaceSpec Spec, int HostIndex, MacAddress HostMac, MacAddress PodMac)
{
    /// <summary>The entries of the endpoint map that go with it.</summary>
    public IEnumerable<EndpointMapEntry> MapEntries() => Spec.Addresses.Select(address => new EndpointMapEntry(address)
    {
        EndpointId = Spec.EndpointId,
        Identity = Spec.Identity,
        Device = HostIndex,
        PodMac = PodMac,
        HostMac = HostMac,
    });
}
