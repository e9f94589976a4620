// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Bpf;

/// <summary>A declared map with the types of its keys and values (generated). Pins go by the map's name.</summary>
public sealed record BpfMapDescriptor<TKey, TValue>(BpfMapSpec Spec)
    where TKey : unmanaged
    where TValue : unmanaged
{
    /// <summary>Creates an unpinned map, of another size if one is given.</summary>
    public BpfMap<TKey, TValue> Create(uint? maxEntries = null) => BpfMap.Create(Sized(maxEntries)).As<TKey, TValue>();

    /// <summary>Opens the map that is pinned under its name in a directory.</summary>
    public BpfMap<TKey, TValue> OpenPinned(string directory)
        => BpfMap.OpenPinned(Path.Combine(directory, Spec.Name)).As<TKey, TValue>();

    /// <inheritdoc cref="BpfMap.OpenOrCreatePinned"/>
    public BpfMap<TKey, TValue> OpenOrCreatePinned(string directory, uint? maxEntries = null)
        => BpfMap.OpenOrCreatePinned(Sized(maxEntries), Path.Combine(directory, Spec.Name)).As<TKey, TValue>();

    private BpfMapSpec Sized(uint? maxEntries) => maxEntries is { } count ? Spec with { MaxEntries = count } : Spec;
}

/// <summary>As <see cref="BpfMapDescriptor{TKey,TValue}"/>, where each processor has a value of its own.</summary>
public sealed record BpfPerCpuMapDescriptor<TKey, TValue>(BpfMapSpec Spec)
    where TKey : unmanaged
    where TValue : unmanaged
{
    /// <summary>Creates an unpinned map.</summary>
    public BpfPerCpuMap<TKey, TValue> Create() => BpfMap.Create(Spec).AsPerCpu<TKey, TValue>();

    /// <summary>Opens the map that is pinned under its name in a directory.</summary>
    public BpfPerCpuMap<TKey, TValue> OpenPinned(string directory)
        => BpfMap.OpenPinned(Path.Combine(directory, Spec.Name)).AsPerCpu<TKey, TValue>();

    /// <inheritdoc cref="BpfMap.OpenOrCreatePinned"/>
    public BpfPerCpuMap<TKey, TValue> OpenOrCreatePinned(string directory)
        => BpfMap.OpenOrCreatePinned(Spec, Path.Combine(directory, Spec.Name)).AsPerCpu<TKey, TValue>();
}
