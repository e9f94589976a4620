// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;

namespace Axoneme.Datapath.Abi;

/// <summary>Equality of generated structs: by bytes, as the kernel compares keys.</summary>
internal static class StructBytes
{
    public static bool Equal<T>(in T left, in T right)
        where T : unmanaged
        => Of(in left).SequenceEqual(Of(in right));

    public static int Hash<T>(in T value)
        where T : unmanaged
    {
        var hash = default(HashCode);
        hash.AddBytes(Of(in value));
        return hash.ToHashCode();
    }

    private static ReadOnlySpan<byte> Of<T>(in T value)
        where T : unmanaged
        => MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value));
}
