// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Network;

namespace Axoneme.Proxy.Names;

internal enum WriteOutcome
{
    Written,

    /// <summary>Somebody else's entry, or a block's, is there: it stays.</summary>
    Present,

    /// <summary>There is no map, or it is full.</summary>
    Failed,
}

/// <summary>The kernel's table of identities by address, which is the agent's; the proxy reads it, and adds to it while no agent is there.</summary>
internal interface IAddressTable
{
    bool TryFind(IpAddress address, out SecurityIdentity identity);

    /// <summary>Gives an address that has none an identity.</summary>
    /// <param name="address">The address.</param>
    /// <param name="identity">Of it.</param>
    /// <param name="earlier">The identity that the proxy itself gave it before: such an entry is replaced.</param>
    WriteOutcome Write(IpAddress address, SecurityIdentity identity, SecurityIdentity? earlier);
}

/// <summary>The pinned ipcache maps. Thread-safe. Without them, as on a node without agent so far, everybody is unknown.</summary>
internal sealed class PinnedIpcache(string bpfRoot) : IAddressTable, IDisposable
{
    private sealed record Maps(
        BpfMap<Ipcache4Key, IpcacheInfo> Exact4, BpfMap<Ipcache6Key, IpcacheInfo> Exact6,
        BpfMap<Ipcache4Prefix, IpcacheInfo> Prefixes4, BpfMap<Ipcache6Prefix, IpcacheInfo> Prefixes6) : IDisposable
    {
        public void Dispose()
        {
            Exact4.Dispose();
            Exact6.Dispose();
            Prefixes4.Dispose();
            Prefixes6.Dispose();
        }
    }

    // Where the programs' maps are pinned under the root.
    private readonly string _directory = Path.Combine(bpfRoot, "tc", "globals");
    private readonly ReaderWriterLockSlim _using = new();
    private Maps? _maps;

    /// <summary>Opens what is pinned now: an agent may have replaced maps. False when some are missing.</summary>
    public bool Reopen()
    {
        Maps? fresh = TryOpen();
        _using.EnterWriteLock();
        try
        {
            _maps?.Dispose();
            _maps = fresh;
            return fresh is not null;
        }
        finally
        {
            _using.ExitWriteLock();
        }
    }

    public bool TryFind(IpAddress address, out SecurityIdentity identity)
    {
        _using.EnterReadLock();
        try
        {
            identity = default;
            if (_maps is not { } maps || !TryLookUp(maps, address, out IpcacheInfo info, out _))
                return false;
            identity = new SecurityIdentity(info.Identity);
            return true;
        }
        finally
        {
            _using.ExitReadLock();
        }
    }

    public WriteOutcome Write(IpAddress address, SecurityIdentity identity, SecurityIdentity? earlier)
    {
        _using.EnterReadLock();
        try
        {
            if (_maps is not { } maps)
                return WriteOutcome.Failed;
            bool isThere = TryLookUp(maps, address, out IpcacheInfo current, out bool isExact) && !IsWorld(current, isExact);
            if (isThere && !(isExact && earlier is { } own && own.Value == current.Identity))
                return WriteOutcome.Present;
            var info = new IpcacheInfo { Identity = identity.Value };
            BpfUpdateMode mode = isThere ? BpfUpdateMode.Exist : BpfUpdateMode.NoExist;
            bool written = address.IsV6
                ? maps.Exact6.TryUpdate(new Ipcache6Key { Addr = V6(address) }, info, mode)
                : maps.Exact4.TryUpdate(new Ipcache4Key { Addr = (uint)address.Number }, info, mode);
            return written ? WriteOutcome.Written : WriteOutcome.Present;
        }
        catch (SystemCallException)
        {
            return WriteOutcome.Failed;
        }
        finally
        {
            _using.ExitReadLock();
        }
    }

    public void Dispose()
    {
        _maps?.Dispose();
        _using.Dispose();
    }

    private Maps? TryOpen()
    {
        var opened = new List<BpfMap>();
        foreach (BpfMapSpec spec in (BpfMapSpec[])[
            Datapath.Abi.Maps.CiliumIpcacheExact.Spec, Datapath.Abi.Maps.CiliumIpcache6Exact.Spec,
            Datapath.Abi.Maps.CiliumIpcacheV2.Spec, Datapath.Abi.Maps.CiliumIpcache6V2.Spec])
        {
            if (BpfMap.TryOpenPinned(Path.Combine(_directory, spec.Name)) is not { } map)
            {
                opened.ForEach(m => m.Dispose());
                return null;
            }

            opened.Add(map);
        }

        return new Maps(
            new BpfMap<Ipcache4Key, IpcacheInfo>(opened[0]), new BpfMap<Ipcache6Key, IpcacheInfo>(opened[1]),
            new BpfMap<Ipcache4Prefix, IpcacheInfo>(opened[2]), new BpfMap<Ipcache6Prefix, IpcacheInfo>(opened[3]));
    }

    // The table has an entry for everything outside, which says that nobody knows the address better.
    private static bool IsWorld(in IpcacheInfo info, bool isExact)
        => !isExact && new SecurityIdentity(info.Identity) is var id
            && (id == SecurityIdentity.World || id == SecurityIdentity.WorldIPv4 || id == SecurityIdentity.WorldIPv6);

    private static bool TryLookUp(Maps maps, IpAddress address, out IpcacheInfo info, out bool isExact)
    {
        if (address.IsV6)
        {
            isExact = maps.Exact6.TryLookup(new Ipcache6Key { Addr = V6(address) }, out info);
            return isExact || maps.Prefixes6.TryLookup(new Ipcache6Prefix { PrefixLen = 128, Addr = V6(address) }, out info);
        }

        isExact = maps.Exact4.TryLookup(new Ipcache4Key { Addr = (uint)address.Number }, out info);
        return isExact || maps.Prefixes4.TryLookup(new Ipcache4Prefix { PrefixLen = 32, Addr = (uint)address.Number }, out info);
    }

    private static Ip6Addr V6(IpAddress address)
    {
        Span<byte> bytes = stackalloc byte[16];
        address.WriteBytes(bytes);
        return System.Runtime.InteropServices.MemoryMarshal.Read<Ip6Addr>(bytes);
    }
}
