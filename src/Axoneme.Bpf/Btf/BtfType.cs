// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Bpf.Btf;

/// <summary><c>BTF_KIND_*</c>.</summary>
public enum BtfKind
{
    Void = 0,
    Integer = 1,
    Pointer = 2,
    Array = 3,
    Struct = 4,
    Union = 5,
    Enum = 6,
    Forward = 7,
    Typedef = 8,
    Volatile = 9,
    Const = 10,
    Restrict = 11,
    Function = 12,
    FunctionPrototype = 13,
    Variable = 14,
    DataSection = 15,
    Float = 16,
    DeclarationTag = 17,
    TypeTag = 18,
    Enum64 = 19,
}

/// <summary>A member of a struct or union.</summary>
/// <param name="BitSize">0 unless the member is a bit field.</param>
public readonly record struct BtfMember(string Name, uint TypeId, uint BitOffset, uint BitSize);

/// <summary>A constant of an enum, sign-extended where the enum is signed.</summary>
public readonly record struct BtfEnumerator(string Name, long Value);

/// <summary>A variable's place in a data section, in bytes.</summary>
public readonly record struct BtfSectionVariable(uint TypeId, uint Offset, uint Size);

/// <summary>One type description. Which properties carry something depends on <see cref="Kind"/>.</summary>
public sealed record BtfType(uint Id, BtfKind Kind, string Name)
{
    /// <summary>Bytes, of integers, floats, structs, unions, enums and data sections.</summary>
    public uint Size { get; init; }

    /// <summary>
    /// The type behind a pointer, typedef, qualifier, variable, function or tag; the element of an array.
    /// </summary>
    public uint TargetId { get; init; }

    /// <summary>Elements of an array.</summary>
    public uint Count { get; init; }

    /// <summary>Of integers and enums.</summary>
    public bool IsSigned { get; init; }

    /// <summary>Of integers declared as <c>bool</c>.</summary>
    public bool IsBoolean { get; init; }

    /// <summary>Which member or parameter a declaration tag is on; -1 for the whole.</summary>
    public int Component { get; init; } = -1;

    public IReadOnlyList<BtfMember> Members { get; init; } = [];

    public IReadOnlyList<BtfEnumerator> Enumerators { get; init; } = [];

    public IReadOnlyList<BtfSectionVariable> Variables { get; init; } = [];
}
