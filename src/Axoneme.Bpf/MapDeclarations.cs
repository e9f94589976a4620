// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf.Btf;

namespace Axoneme.Bpf;

/// <summary>
/// Reads the map declarations of an object: variables in section <c>.maps</c> whose anonymous struct type tells the
/// attributes (<c>__uint</c> is a pointer to an array of that many elements, <c>__type</c> a pointer to the type).
/// </summary>
public static class MapDeclarations
{
    public static IEnumerable<BpfMapSpec> Read(BtfTypes types)
        => Variables(types).Select(
            variable => ReadMap(types, variable.Name, types.Resolve(variable.TargetId), isInner: false));

    /// <summary>The variables that declare maps, in the order of the source.</summary>
    public static IEnumerable<BtfType> Variables(BtfTypes types)
    {
        ArgumentNullException.ThrowIfNull(types);
        return types.Find(BtfKind.DataSection, ".maps")?.Variables.Select(variable => types[variable.TypeId]) ?? [];
    }

    /// <summary>
    /// The type that a declaration names for its keys (<c>key</c>) or values (<c>value</c>); null when it gives a size
    /// only.
    /// </summary>
    public static uint? ElementType(BtfTypes types, BtfType variable, string member)
    {
        ArgumentNullException.ThrowIfNull(types);
        ArgumentNullException.ThrowIfNull(variable);
        foreach (BtfMember candidate in types.Resolve(variable.TargetId).Members)
        {
            if (candidate.Name == member)
                return types.Resolve(candidate.TypeId).TargetId;
        }

        return null;
    }

    private static BpfMapSpec ReadMap(BtfTypes types, string name, BtfType declaration, bool isInner)
    {
        var spec = new BpfMapSpec(name, BpfMapType.Unspecified, 0, 0, 0);
        foreach (BtfMember member in declaration.Members)
        {
            spec = member.Name switch
            {
                "type" => spec with { Type = (BpfMapType)Number(types, member) },
                "key" => spec with { KeySize = (int)TypeSize(types, member) },
                "key_size" => spec with { KeySize = (int)Number(types, member) },
                "value" => spec with { ValueSize = (int)TypeSize(types, member) },
                "value_size" => spec with { ValueSize = (int)Number(types, member) },
                "max_entries" => spec with { MaxEntries = Number(types, member) },
                "map_flags" => spec with { Flags = (BpfMapFlags)Number(types, member) },
                "pinning" => spec with { PinByName = Number(types, member) == 1 },
                "values" when isInner => throw new InvalidDataException($"map {name}: the kernel nests maps only once"),
                "values" => WithInner(types, spec, member),
                "numa_node" or "map_extra" => spec,
                _ => throw new InvalidDataException($"map {name}: unknown attribute {member.Name}"),
            };
        }

        return spec;
    }

    private static BpfMapSpec WithInner(BtfTypes types, BpfMapSpec spec, BtfMember member)
    {
        // An array of pointers: to a map declaration, or to functions in a program array.
        BtfType element = types.Resolve(types.Resolve(types.Resolve(member.TypeId).TargetId).TargetId);
        BpfMapSpec result = spec with { KeySize = spec.KeySize == 0 ? 4 : spec.KeySize, ValueSize = 4 };
        return element.Kind == BtfKind.Struct
            ? result with { Inner = ReadMap(types, spec.Name + ".inner", element, isInner: true) }
            : result;
    }

    private static uint Number(BtfTypes types, BtfMember member)
        => types.Resolve(types.Resolve(member.TypeId).TargetId).Count;

    private static uint TypeSize(BtfTypes types, BtfMember member)
        => types.SizeOf(types.Resolve(member.TypeId).TargetId);
}
