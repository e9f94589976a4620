// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath.Tests;

/// <summary>A service as the maps have it, beyond what <see cref="Node.AddService"/> writes.</summary>
/// <param name="Frontend">ADDRESS:PORT; port 0 of protocol 0 refuses what is not served on the address.</param>
public sealed record TestService(string Frontend, ushort ReverseNat, byte Protocol)
{
    /// <summary>ADDRESS:PORT of those in use; their ids follow from the number of the service, so that they stay when the list changes.</summary>
    public IReadOnlyList<string> Backends { get; init; } = [];

    public LbFlags Flags { get; init; }

    public LbFlags2 Flags2 { get; init; }

    public LbScope Scope { get; init; }

    /// <summary>In seconds; 0 none.</summary>
    public uint Affinity { get; init; }

    public LbAlgorithm Algorithm { get; init; }

    private (IpAddress Address, ushort Port) Key => Packet.Endpoint(Frontend);

    /// <summary>Id of the backend of this service in that position.</summary>
    public uint BackendId(int index) => (ReverseNat * 100u) + (uint)index + 1;

    /// <summary>Writes or replaces the service with its reverse translation, backends and affinity.</summary>
    public TestService Install(Node node)
    {
        for (int i = 0; i < Backends.Count; i++)
        {
            SetBackend(node, i, LbBackendState.Active);
            WriteSlot(node, (ushort)(i + 1), new LbService { Backend = BackendId(i) });
            if (Affinity != 0)
                node.Map(Maps.CiliumLbAffinityMatch).Update(new LbAffinityMatch { Backend = BackendId(i), RevNat = ReverseNat }, 1);
        }

        if (Key.Address.IsV6)
            node.Map(Maps.CiliumLb6ReverseNat).Update(new LbRevNatKey { Index = ReverseNat }, new Lb6RevNat { Addr = Node.Ip6(Key.Address), Port = Key.Port });
        else
            node.Map(Maps.CiliumLb4ReverseNat).Update(new LbRevNatKey { Index = ReverseNat }, new Lb4RevNat { Addr = (uint)Key.Address.Number, Port = Key.Port });
        WriteSlot0(node, Backends.Count);
        return this;
    }

    public void SetBackend(Node node, int index, LbBackendState state)
    {
        (IpAddress address, ushort port) = Packet.Endpoint(Backends[index]);
        var key = new LbBackendKey { Id = BackendId(index) };
        if (address.IsV6)
            node.Map(Maps.CiliumLb6BackendsV3).Update(key, new Lb6Backend { Addr = Node.Ip6(address), Port = port, Protocol = Protocol, State = (byte)state });
        else
            node.Map(Maps.CiliumLb4BackendsV3).Update(key, new Lb4Backend { Addr = (uint)address.Number, Port = port, Protocol = Protocol, State = (byte)state });
    }

    /// <summary>Leaves one backend in use; the others stay in the map of backends.</summary>
    public void UseOnly(Node node, uint backend)
    {
        WriteSlot(node, 1, new LbService { Backend = backend });
        WriteSlot0(node, 1);
    }

    public bool RemoveBackend(Node node, int index)
    {
        var key = new LbBackendKey { Id = BackendId(index) };
        return Key.Address.IsV6 ? node.Map(Maps.CiliumLb6BackendsV3).TryDelete(key) : node.Map(Maps.CiliumLb4BackendsV3).TryDelete(key);
    }

    /// <summary>Gives the service a Maglev table whose slots have the backends in these positions, over and over; it lives as long as the node.</summary>
    public void FillMaglev(Node node, params int[] backends)
    {
        var fill = new LbMaglevPair[(Node.MaglevSlots + 1) / 2];
        Span<uint> slots = MemoryMarshal.Cast<LbMaglevPair, uint>(fill.AsSpan());
        for (int slot = 0; slot < slots.Length; slot++)
            slots[slot] = BackendId(backends[slot % backends.Length]);
        node.AddMaglevTable(ReverseNat, Key.Address.IsV6, fill);
    }

    private void WriteSlot0(Node node, int count) => WriteSlot(node, 0, new LbService
    {
        Count = (ushort)count,
        RevNat = ReverseNat,
        Flags = (byte)(Flags | (Affinity != 0 ? LbFlags.Affinity : 0)),
        Flags2 = (byte)Flags2,
        Backend = Affinity | ((uint)Algorithm << (int)LbSlot0.AlgorithmShift),
    });

    private void WriteSlot(Node node, ushort slot, in LbService value)
    {
        if (Key.Address.IsV6)
            node.Map(Maps.CiliumLb6ServicesV2).Update(new Lb6Key { Addr = Node.Ip6(Key.Address), Port = Key.Port, Slot = slot, Protocol = Protocol, Scope = (byte)Scope }, value);
        else
            node.Map(Maps.CiliumLb4ServicesV2).Update(new Lb4Key { Addr = (uint)Key.Address.Number, Port = Key.Port, Slot = slot, Protocol = Protocol, Scope = (byte)Scope }, value);
    }
}
