// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>Between the values of services and the layouts of <c>bpf/abi/lb.h</c>.</summary>
internal static class LoadBalancerCodec
{
    // The bits before the address in a source range's key, which the prefix length counts.
    private const int RangeHeaderBits = 32;

    public static Lb4Key Key4(ServiceMapKey key, ushort slot) => new()
    {
        Addr = key.Frontend.Address.ToV4(),
        Port = key.Frontend.Port,
        Slot = slot,
        Protocol = (byte)key.Frontend.Protocol,
        Scope = (byte)key.Scope,
    };

    public static Lb6Key Key6(ServiceMapKey key, ushort slot) => new()
    {
        Addr = key.Frontend.Address.ToV6(),
        Port = key.Frontend.Port,
        Slot = slot,
        Protocol = (byte)key.Frontend.Protocol,
        Scope = (byte)key.Scope,
    };

    public static ServiceMapKey Decode(in Lb4Key key)
        => new(new L4Address(key.Addr.ToAddress(), key.Port.Value, (L4Protocol)key.Protocol), (LbScope)key.Scope);

    public static ServiceMapKey Decode(in Lb6Key key)
        => new(new L4Address(key.Addr.ToAddress(), key.Port.Value, (L4Protocol)key.Protocol), (LbScope)key.Scope);

    public static Lb4Backend Backend4(BackendMapEntry backend) => new()
    {
        Addr = backend.Address.Address.ToV4(),
        Port = backend.Address.Port,
        Protocol = (byte)backend.Address.Protocol,
        State = (byte)backend.State,
        Zone = backend.Zone,
    };

    public static Lb6Backend Backend6(BackendMapEntry backend) => new()
    {
        Addr = backend.Address.Address.ToV6(),
        Port = backend.Address.Port,
        Protocol = (byte)backend.Address.Protocol,
        State = (byte)backend.State,
        Zone = backend.Zone,
    };

    public static BackendMapEntry Decode(in Lb4Backend b)
        => new(new L4Address(b.Addr.ToAddress(), b.Port.Value, (L4Protocol)b.Protocol)) { State = (LbBackendState)b.State, Zone = b.Zone };

    public static BackendMapEntry Decode(in Lb6Backend b)
        => new(new L4Address(b.Addr.ToAddress(), b.Port.Value, (L4Protocol)b.Protocol)) { State = (LbBackendState)b.State, Zone = b.Zone };

    public static Lb4SourceRange Range4(ushort reverseNat, IpPrefix range)
        => new() { PrefixLen = (uint)(RangeHeaderBits + range.Length), RevNat = reverseNat, Addr = range.Address.ToV4() };

    public static Lb6SourceRange Range6(ushort reverseNat, IpPrefix range)
        => new() { PrefixLen = (uint)(RangeHeaderBits + range.Length), RevNat = reverseNat, Addr = range.Address.ToV6() };

    public static IpPrefix Decode(in Lb4SourceRange range) => new(range.Addr.ToAddress(), (int)range.PrefixLen - RangeHeaderBits);

    public static IpPrefix Decode(in Lb6SourceRange range) => new(range.Addr.ToAddress(), (int)range.PrefixLen - RangeHeaderBits);

    /// <summary>Slot 0 has the affinity timeout and the algorithm where the others have the backend.</summary>
    public static uint SlotZeroWord(uint affinitySeconds, LbAlgorithm algorithm)
        => Math.Min(affinitySeconds, (uint)LbSlot0.AffinitySeconds) | ((uint)algorithm << (int)LbSlot0.AlgorithmShift);

    public static (uint AffinitySeconds, LbAlgorithm Algorithm) DecodeSlotZero(uint word)
        => (word & (uint)LbSlot0.AffinitySeconds, (LbAlgorithm)(word >> (int)LbSlot0.AlgorithmShift));
}
