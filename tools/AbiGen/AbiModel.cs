// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Bpf.Btf;

namespace Axoneme.AbiGen;

/// <summary>The C# types that were asked for so far. Types of several objects with one name must be the same.</summary>
public sealed class AbiModel
{
    private readonly SortedDictionary<string, EnumModel> _enums = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, StructModel> _structs = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, (string Element, uint Count)> _arrays = new(StringComparer.Ordinal);

    /// <summary>Adds what the variables of <c>abi.c</c> point to, and what that consists of.</summary>
    public void AddSharedTypes(BpfObjectImage image)
    {
        ArgumentNullException.ThrowIfNull(image);
        foreach (BtfType variable in image.Types.All.Where(type => type.Kind == BtfKind.Variable))
        {
            BtfType pointer = image.Types.Resolve(variable.TargetId);
            if (pointer.Kind == BtfKind.Pointer)
                NameOf(image.Types, pointer.TargetId, variable.Name);
        }
    }

    /// <summary>The C# type for a C type; it is added to the output when it is not a built-in one.</summary>
    /// <param name="where">Who needs it, for messages.</param>
    public string NameOf(BtfTypes types, uint id, string where)
    {
        ArgumentNullException.ThrowIfNull(types);
        if (ByteOrderType(types, id) is { } networkOrder)
            return networkOrder;
        BtfType type = types.Resolve(id);
        return type.Kind switch
        {
            BtfKind.Integer => IntegerName(type, where),
            BtfKind.Enum or BtfKind.Enum64 => AddEnum(type, where),
            BtfKind.Struct or BtfKind.Union => AddStruct(types, type, CSharpName.Pascal(Named(type.Name, where))),
            BtfKind.Array => AddArray(types, type, where),
            _ => throw new InvalidDataException($"{where}: a {type.Kind} has no meaning on the other side"),
        };
    }

    public string WriteEnums()
    {
        CodeText text = CodeText.NewFile("Enums");
        text.Line("namespace Axoneme.Datapath.Abi;");
        foreach ((string name, EnumModel model) in _enums)
        {
            text.Line();
            if (name.EndsWith("Flags", StringComparison.Ordinal) || name.EndsWith("Flags2", StringComparison.Ordinal))
                text.Line("[Flags]");
            text.Line($"[CType(\"enum {model.CName}\")]");
            text.Open($"public enum {name} : {model.Underlying}");
            foreach ((string constant, string cName, long value) in model.Constants)
                text.Line($"[CType(\"{cName}\")] {constant} = {value},");
            text.Close();
        }

        return text.ToString();
    }

    public string WriteStructs()
    {
        CodeText text = CodeText.NewFile("Structs");
        text.Line("using System.Runtime.InteropServices;");
        text.Line();
        text.Line("namespace Axoneme.Datapath.Abi;");
        foreach (StructModel model in _structs.Values)
        {
            text.Line();
            model.Write(text);
        }

        return text.ToString();
    }

    public string WriteArrays()
    {
        CodeText text = CodeText.NewFile("Arrays");
        text.Line("using System.Runtime.CompilerServices;");
        text.Line();
        text.Line("namespace Axoneme.Datapath.Abi;");
        foreach ((string name, (string element, uint count)) in _arrays)
        {
            text.Line();
            text.Summary($"{count} values side by side; converts to a span.");
            text.Line($"[InlineArray({count})]");
            text.Open($"public struct {name}");
            text.Line($"private {element} _element;");
            text.Close();
        }

        return text.ToString();
    }

    private static string Named(string name, string where)
        => name.Length > 0 ? name : throw new InvalidDataException($"{where}: the type needs a name");

    private static string? ByteOrderType(BtfTypes types, uint id)
    {
        BtfType type = types[id];
        while (type.Kind is BtfKind.Typedef or BtfKind.Const or BtfKind.Volatile or BtfKind.Restrict or BtfKind.TypeTag)
        {
            switch (type.Kind == BtfKind.Typedef ? type.Name : "")
            {
                case "__be16": return "NetU16";
                case "__be32": return "NetU32";
                case "__be64": return "NetU64";
            }

            type = types[type.TargetId];
        }

        return null;
    }

    private static string IntegerName(BtfType type, string where) => (type.IsBoolean, type.Size, type.IsSigned) switch
    {
        (true, 1, _) => "bool",
        (_, 1, _) => type.IsSigned && type.Name != "char" ? "sbyte" : "byte",
        (_, 2, false) => "ushort",
        (_, 2, true) => "short",
        (_, 4, false) => "uint",
        (_, 4, true) => "int",
        (_, 8, false) => "ulong",
        (_, 8, true) => "long",
        _ => throw new InvalidDataException($"{where}: no C# integer has {type.Size} bytes"),
    };

    private string AddEnum(BtfType type, string where)
    {
        string name = CSharpName.Pascal(Named(type.Name, where));
        IReadOnlyList<string> names =
            CSharpName.EnumConstants(type.Name, type.Enumerators.Select(constant => constant.Name).ToArray());
        bool wide = type.Size == 8;
        var model = new EnumModel(type.Name, type.IsSigned ? (wide ? "long" : "int") : (wide ? "ulong" : "uint"),
            type.Enumerators.Select((constant, i) => (names[i], constant.Name, constant.Value)).ToArray());
        if (_enums.TryGetValue(name, out EnumModel? known) && !known.SameAs(model))
            throw new InvalidDataException($"{where}: there are two different enums {type.Name}");
        _enums[name] = model;
        return name;
    }

    private string AddArray(BtfTypes types, BtfType array, string where)
    {
        string element = NameOf(types, array.TargetId, where);
        string name = $"{CSharpName.Pascal(element)}Array{array.Count}";
        _arrays[name] = (element, array.Count);
        return name;
    }

    private string AddStruct(BtfTypes types, BtfType type, string name)
    {
        var fields = new List<FieldModel>();
        AddFields(types, type, name, baseOffset: 0, fields);
        var model = new StructModel(
            name, type.Name.Length == 0 ? null : $"{(type.Kind == BtfKind.Union ? "union" : "struct")} {type.Name}",
            type.Size, fields);
        if (_structs.TryGetValue(name, out StructModel? known) && !known.SameAs(model))
            throw new InvalidDataException($"there are two different structs {name}");
        _structs[name] = model;
        return name;
    }

    private void AddFields(BtfTypes types, BtfType type, string owner, uint baseOffset, List<FieldModel> fields)
    {
        foreach (BtfMember member in type.Members)
        {
            string where = $"{owner}.{member.Name}";
            if (member.BitSize != 0 || member.BitOffset % 8 != 0)
                throw new InvalidDataException(
                    $"{where}: bit fields have no layout that both sides agree on; use a mask");
            uint offset = baseOffset + (member.BitOffset / 8);
            BtfType inner = types.Resolve(member.TypeId);
            if (member.Name.Length == 0)
            {
                // Members of anonymous structs and unions are members of the outer one, as in C.
                AddFields(types, inner, owner, offset, fields);
                continue;
            }

            bool anonymous = inner is { Kind: BtfKind.Struct or BtfKind.Union, Name.Length: 0 };
            string typeName = anonymous
                ? AddStruct(types, inner, owner + CSharpName.Pascal(member.Name))
                : NameOf(types, member.TypeId, where);
            string fieldName = CSharpName.Pascal(member.Name);
            // C# forbids a member with the name of its type.
            fields.Add(new FieldModel(
                fieldName == owner ? fieldName + "Value" : fieldName, member.Name, typeName, offset));
        }
    }

    private sealed record EnumModel(
        string CName, string Underlying, IReadOnlyList<(string Name, string CName, long Value)> Constants)
    {
        public bool SameAs(EnumModel other)
            => CName == other.CName && Underlying == other.Underlying && Constants.SequenceEqual(other.Constants);
    }
}
