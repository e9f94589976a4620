// SPDX-License-Identifier: Apache-2.0
using System.Reflection;
using Axoneme.AbiGen;

namespace Axoneme.Bpf.Tests;

public sealed class GeneratorTests
{
    private static readonly IReadOnlyDictionary<string, string> Shapes =
        AbiGenerator.Generate(AbiGenerator.EmbeddedObjects(Assembly.GetExecutingAssembly()));

    [Fact]
    public void Checked_in_code_is_what_the_generator_makes_of_the_compiled_objects()
    {
        string directory = Path.Combine(Repository.Root, "src/Axoneme.Datapath.Abi/Generated");
        IReadOnlyDictionary<string, string> expected =
            AbiGenerator.Generate(AbiGenerator.EmbeddedObjects(typeof(AbiGenerator).Assembly));
        IEnumerable<string?> present = Directory.GetFiles(directory).Select(Path.GetFileName);
        Assert.Equal(expected.Keys.Order(StringComparer.Ordinal), present.Order(StringComparer.Ordinal));
        foreach ((string name, string text) in expected)
        {
            bool same = text == File.ReadAllText(Path.Combine(directory, name));
            Assert.True(same, $"{name} is out of date: dotnet run --project tools/AbiGen");
        }
    }

    [Fact]
    public void Order_of_the_objects_changes_nothing()
    {
        IReadOnlyList<BpfObjectImage> objects = AbiGenerator.EmbeddedObjects(typeof(AbiGenerator).Assembly);
        Assert.Equal(AbiGenerator.Generate(objects), AbiGenerator.Generate(objects.Reverse().ToArray()));
    }

    [Theory]
    [InlineData("[FieldOffset(0), CType(\"at\")] public Point At;")]
    [InlineData("[FieldOffset(0), CType(\"raw\")] public ByteArray6 Raw;")]
    [InlineData("[FieldOffset(8), CType(\"range\")] public ShapeRange Range;")]
    [InlineData("[FieldOffset(16), CType(\"shape\")] public long ShapeValue;")]
    [InlineData("[FieldOffset(24), CType(\"corners\")] public PointArray2 Corners;")]
    [InlineData("[FieldOffset(36), CType(\"visible\")] public bool Visible;")]
    [InlineData("[FieldOffset(40), CType(\"kind\")] public SignedKind Kind;")]
    [InlineData("[FieldOffset(0), CType(\"x\")] public NetU16 X;")]
    [InlineData("[FieldOffset(2), CType(\"y\")] public NetU32 Y;")]
    [InlineData("[FieldOffset(1), CType(\"high\")] public ByteArray3 High;")]
    public void Members_keep_offset_type_and_byte_order(string line)
        => Assert.Contains(line, Shapes["Structs.g.cs"], StringComparison.Ordinal);

    [Theory]
    [InlineData("[Flags]\n[CType(\"enum shape_flags\")]\npublic enum ShapeFlags : uint")]
    [InlineData("[CType(\"SHAPE_ROUND\")] Round = 1,")]
    [InlineData("public enum SignedKind : int")]
    [InlineData("[CType(\"KIND_NEGATIVE\")] Negative = -1,")]
    [InlineData("[CType(\"KIND_7\")] Kind7 = 7,")]
    public void Enums_keep_values_and_lose_the_repeated_prefix(string line)
        => Assert.Contains(line, Shapes["Enums.g.cs"], StringComparison.Ordinal);

    [Theory]
    [InlineData("BpfPerCpuMapDescriptor<Session, ulong> SessionBytes")]
    [InlineData("new BpfMapSpec(\"session_bytes\", BpfMapType.LruPerCpuHash, 8, 8, 77) { PinByName = true }")]
    [InlineData("BpfMapDescriptor<uint, uint> Tries")]
    [InlineData("new BpfMapSpec(\"tries.inner\", BpfMapType.LpmTrie, 8, 4, 9, (BpfMapFlags)1)")]
    public void Maps_keep_their_attributes(string text)
        => Assert.Contains(text, Shapes["Maps.g.cs"], StringComparison.Ordinal);

    [Theory]
    [InlineData("public const string Inspect = \"inspect\";")]
    [InlineData("/// <summary>Seconds &lt; a day</summary>\n    [field: FieldOffset(0)]\n    public uint LifeS {")]
    [InlineData("[field: FieldOffset(4)]\n    public NetU16 ServicePort { get; set; }")]
    [InlineData("[field: FieldOffset(8)]\n    public Session First { get; set; }")]
    public void Constants_and_programs_are_named(string text)
        => Assert.Contains(text, Shapes["MapsObject.g.cs"], StringComparison.Ordinal);

    [Fact]
    public void Objects_that_disagree_about_a_map_are_refused()
    {
        BpfObjectImage maps =
            AbiGenerator.EmbeddedObjects(Assembly.GetExecutingAssembly()).Single(image => image.Name == "maps");
        // The same object with one attribute changed: 77 entries become 78 wherever BTF says so.
        byte[] other = maps.Bytes.ToArray();
        uint typeId = maps.Types.All.Single(type => type.Kind == Btf.BtfKind.Array && type.Count == 77).Id;
        int position = ArrayCountPosition(other, typeId);
        other[position]++;
        var failure = Assert.Throws<InvalidDataException>(
            () => AbiGenerator.Generate([maps, BpfObjectImage.Parse("other", other)]));
        Assert.Contains("session_bytes", failure.Message, StringComparison.Ordinal);
        Assert.Contains("max entries: declared 78, pinned 77", failure.Message, StringComparison.Ordinal);

        static int ArrayCountPosition(ReadOnlySpan<byte> file, uint id)
        {
            // Only an array has 77 as its third word and kind 3 in the header before.
            ReadOnlySpan<byte> count = BitConverter.GetBytes(77u);
            for (int i = 24; i < file.Length - 4; i++)
            {
                if (file.Slice(i, 4).SequenceEqual(count) && file[i - 8 - 5] == (byte)Btf.BtfKind.Array)
                    return i;
            }

            throw new InvalidDataException($"array type {id} not found");
        }
    }

    [Theory]
    [InlineData("ct_flags", "CT_SEEN_NON_SYN", "SeenNonSyn")]
    [InlineData("ct_scope", "CT_SCOPE_FLOW", "Flow")]
    [InlineData("abi_limits", "LIMIT_IP6_EXTENSIONS", "Ip6Extensions")]
    [InlineData("policy_match", "POLICY_MATCH_L3_L4", "L3L4")]
    [InlineData("bits", "BIT_0", "Bit0")]
    public void Enum_constants_are_named(string type, string constant, string expected)
        => Assert.Equal(expected, Assert.Single(CSharpName.EnumConstants(type, [constant])));

    [Fact]
    public void Constants_that_would_share_a_name_stay_whole()
        => Assert.Equal(
            ["DropPolicy", "ReasonPolicy", "Other"],
            CSharpName.EnumConstants("drop_reason", ["DROP_POLICY", "REASON_POLICY", "DROP_OTHER"]));
}
