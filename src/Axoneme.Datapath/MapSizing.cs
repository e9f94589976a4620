// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Globalization;
using System.Runtime.CompilerServices;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath;

/// <summary>
/// How large the maps are to be. A size that is null comes from <see cref="DynamicSizeRatio"/> or has its default; the names of the upstream
/// options stand with each.
/// </summary>
public sealed record MapSizing
{
    /// <summary>
    /// bpf-map-dynamic-size-ratio: the share of the machine's memory that connections, translations and sockets may take together, from 0
    /// (default sizes) to 1.
    /// </summary>
    public double DynamicSizeRatio { get; init; } = 0.0025;

    /// <summary>bpf-ct-global-tcp-max.</summary>
    public int? ConntrackTcp { get; init; }

    /// <summary>bpf-ct-global-any-max. One map has the connections of all protocols; the two sizes add up.</summary>
    public int? ConntrackAny { get; init; }

    /// <summary>bpf-nat-global-max.</summary>
    public int? Nat { get; init; }

    /// <summary>bpf-sock-rev-map-max.</summary>
    public int? SocketReverse { get; init; }

    /// <summary>bpf-lb-map-max: of the maps below that have no size of their own.</summary>
    public int LoadBalancer { get; init; } = 65536;

    /// <summary>bpf-lb-service-map-max.</summary>
    public int? Services { get; init; }

    /// <summary>bpf-lb-service-backend-map-max.</summary>
    public int? Backends { get; init; }

    /// <summary>bpf-lb-rev-nat-map-max.</summary>
    public int? ReverseNat { get; init; }

    /// <summary>bpf-lb-affinity-map-max.</summary>
    public int? Affinity { get; init; }

    /// <summary>bpf-lb-source-range-map-max.</summary>
    public int? SourceRanges { get; init; }

    /// <summary>bpf-lb-maglev-map-max.</summary>
    public int? Maglev { get; init; }

    /// <summary>bpf-policy-map-max: of the policy map that each endpoint has.</summary>
    public int Policy { get; init; } = 16384;

    /// <summary>The name under which <see cref="Sizes"/> has the size of policy maps, whose own names have the endpoint's id behind it.</summary>
    public const string PolicyMaps = "cilium_policy_v2";

    private const int DefaultConntrackTcp = 512 << 10;
    private const int DefaultConntrackAny = 256 << 10;
    private const int DefaultNat = (DefaultConntrackTcp + DefaultConntrackAny) / 3 * 2;
    private const int DefaultSocketReverse = 256 << 10;

    // Bounds of sizes that follow the memory.
    private const int LeastConntrackTcp = 128 << 10;
    private const int LeastConntrackAny = 64 << 10;
    private const int LeastNat = 128 << 10;
    private const int LeastSocketReverse = 64 << 10;
    private const int Largest = 16 << 20;

    /// <summary>Entries by map name.</summary>
    /// <param name="totalMemory">Of the machine, in bytes.</param>
    /// <exception cref="InvalidOperationException">Sizes do not go together; the message names the option.</exception>
    public ImmutableDictionary<string, uint> Sizes(long totalMemory)
    {
        int tcp = ConntrackTcp ?? Scale(DefaultConntrackTcp, LeastConntrackTcp, totalMemory);
        int any = ConntrackAny ?? Scale(DefaultConntrackAny, LeastConntrackAny, totalMemory);
        // More translations than connections can never be in use.
        int nat = Nat ?? Scale(DefaultNat, LeastNat, totalMemory);
        if (nat > (long)tcp + any)
        {
            nat = Nat is null
                ? (int)(((long)tcp + any) * 2 / 3)
                : throw new InvalidOperationException($"bpf-nat-global-max: {nat} is more than both conntrack sizes together ({tcp} + {any})");
        }

        int sockets = SocketReverse ?? Scale(DefaultSocketReverse, LeastSocketReverse, totalMemory);
        var sizes = ImmutableDictionary.CreateBuilder<string, uint>();
        Set((uint)tcp + (uint)any, Maps.CiliumCt4Global.Spec.Name, Maps.CiliumCt6Global.Spec.Name);
        Set((uint)nat, Maps.CiliumSnatV4External.Spec.Name, Maps.CiliumSnatV6External.Spec.Name);
        Set((uint)sockets, Maps.CiliumLb4ReverseSk.Spec.Name, Maps.CiliumLb6ReverseSk.Spec.Name);
        Set(OfServices(Services), Maps.CiliumLb4ServicesV2.Spec.Name, Maps.CiliumLb6ServicesV2.Spec.Name);
        Set(OfServices(Backends), Maps.CiliumLb4BackendsV3.Spec.Name, Maps.CiliumLb6BackendsV3.Spec.Name);
        Set(OfServices(ReverseNat), Maps.CiliumLb4ReverseNat.Spec.Name, Maps.CiliumLb6ReverseNat.Spec.Name);
        Set(OfServices(Affinity), Maps.CiliumLb4Affinity.Spec.Name, Maps.CiliumLb6Affinity.Spec.Name, Maps.CiliumLbAffinityMatch.Spec.Name);
        Set(OfServices(SourceRanges), Maps.CiliumLb4SourceRange.Spec.Name, Maps.CiliumLb6SourceRange.Spec.Name);
        Set(OfServices(Maglev), Maps.CiliumLb4Maglev.Spec.Name, Maps.CiliumLb6Maglev.Spec.Name);
        Set((uint)Policy, PolicyMaps);
        return sizes.ToImmutable();

        void Set(uint size, params ReadOnlySpan<string> names)
        {
            foreach (string name in names)
                sizes[name] = size;
        }
    }

    /// <summary>The machine's memory in bytes.</summary>
    /// <exception cref="InvalidDataException">/proc/meminfo does not tell.</exception>
    public static long ReadTotalMemory()
    {
        const string Label = "MemTotal:";
        foreach (string line in File.ReadLines("/proc/meminfo"))
        {
            if (!line.StartsWith(Label, StringComparison.Ordinal))
                continue;
            ReadOnlySpan<char> number = line.AsSpan(Label.Length).Trim();
            return long.Parse(number[..number.IndexOf(' ')], CultureInfo.InvariantCulture) * 1024;
        }

        throw new InvalidDataException("/proc/meminfo has no line MemTotal");
    }

    private uint OfServices(int? own) => (uint)(own ?? LoadBalancer);

    /// <summary>Every map gets the same multiple of its default, such that all of them together take the share of the memory.</summary>
    private int Scale(int fallback, int least, long totalMemory)
    {
        if (DynamicSizeRatio is <= 0 or > 1)
            return fallback;
        double available = totalMemory * DynamicSizeRatio;
        return (int)Math.Clamp(fallback * available / DefaultBytes, least, Largest);
    }

    // Keys and values of IPv6, which are the larger ones.
    private static double DefaultBytes { get; } =
        ((double)(DefaultConntrackTcp + DefaultConntrackAny) * (Unsafe.SizeOf<Ct6Key>() + Unsafe.SizeOf<CtEntry>()))
        + ((double)DefaultNat * (Unsafe.SizeOf<Nat6Key>() + Unsafe.SizeOf<Nat6Entry>()))
        + ((double)DefaultSocketReverse * (Unsafe.SizeOf<Lb6ReverseSkKey>() + Unsafe.SizeOf<Lb6ReverseSk>()));
}
