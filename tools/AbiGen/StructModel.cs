// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.AbiGen;

internal sealed record FieldModel(string Name, string CName, string Type, uint Offset);

/// <summary>
/// A struct or union as an explicit-layout struct that compares by its bytes, as the kernel compares keys.
/// </summary>
internal sealed record StructModel(string Name, string? CType, uint Size, IReadOnlyList<FieldModel> Fields)
{
    public bool SameAs(StructModel other)
        => CType == other.CType && Size == other.Size && Fields.SequenceEqual(other.Fields);

    public void Write(CodeText text)
    {
        if (CType is not null)
            text.Line($"[CType(\"{CType}\")]");
        text.Line($"[StructLayout(LayoutKind.Explicit, Size = {Size})]");
        text.Open($"public struct {Name} : IEquatable<{Name}>");
        foreach (FieldModel field in Fields)
            text.Line($"[FieldOffset({field.Offset}), CType(\"{field.CName}\")] public {field.Type} {field.Name};");
        text.Line();
        string operands = $"(in {Name} left, in {Name} right)";
        text.Line($"public static bool operator =={operands} => StructBytes.Equal(in left, in right);");
        text.Line();
        text.Line($"public static bool operator !={operands} => !StructBytes.Equal(in left, in right);");
        text.Line();
        text.Line($"public readonly bool Equals({Name} other) => StructBytes.Equal(in this, in other);");
        text.Line();
        text.Line($"public readonly override bool Equals(object? obj) => obj is {Name} other && Equals(other);");
        text.Line();
        text.Line("public readonly override int GetHashCode() => StructBytes.Hash(in this);");
        text.Close();
    }
}
