// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Datapath;

/// <summary>What the kernel has of one service address, as far as we wrote or read it.</summary>
internal sealed class ServiceState(ServiceMapKey key)
{
    public ServiceMapKey Key { get; } = key;

    /// <summary>What was applied last; null when the kernel's parts do not make up a whole.</summary>
    public ServiceMapEntry? Applied { get; set; }

    /// <summary>0 for a wildcard, and until there is one.</summary>
    public ushort Number { get; set; }

    /// <summary>Slot 0; null when it is not there, so that nobody sees the rest.</summary>
    public LbService? Master { get; set; }

    /// <summary>Backend ids of slots 1 and up.</summary>
    public uint[] Slots { get; set; } = [];

    /// <summary>The backends that those name, each of which it counts as a user of.</summary>
    public PooledBackend[] Held { get; set; } = [];

    /// <summary>What the service says of each of them.</summary>
    public LbBackendState[] Mentions { get; set; } = [];

    public bool HasReverse { get; set; }

    /// <summary>Ids with an affinity match entry.</summary>
    public uint[] Matches { get; set; } = [];

    /// <summary>The ranges that the trie has.</summary>
    public IpPrefix[] Ranges { get; set; } = [];

    /// <summary>Of the Maglev table; 0 when it has none.</summary>
    public uint MaglevSignature { get; set; }

    /// <summary>The kernel may differ from what is said here: the next round writes everything.</summary>
    public bool IsSuspect { get; set; }

    /// <summary>Highest slot that is or may be in the map.</summary>
    public int LastSlot { get; set; }

    /// <summary>What the comparison that is going on has come across.</summary>
    public ServiceSeen Seen;

    public bool IsWildcard => Key.Frontend.Port == 0;

    public bool IsV6 => Key.Frontend.Address.IsV6;
}

/// <summary>One service on its way from <see cref="Desired"/> into the maps.</summary>
internal sealed class ServiceChange(ServiceMapEntry desired, ServiceState state) : WriteOwner
{
    public ServiceMapEntry Desired { get; } = desired;

    public ServiceState State { get; } = state;

    public PooledBackend[] Backends { get; set; } = [];

    public uint[] Slots { get; set; } = [];

    /// <summary>What the service says of <see cref="Backends"/>.</summary>
    public LbBackendState[] Mentions { get; set; } = [];

    /// <summary>What it said before of those that it held, and says no more; null until then.</summary>
    public LbBackendState[]? Former { get; set; }

    public uint[] Matches { get; set; } = [];

    public IpPrefix[] Ranges { get; set; } = [];

    /// <summary>0 when there is to be no table.</summary>
    public uint MaglevSignature { get; set; }

    public LbService Master { get; set; }
}
