// SPDX-License-Identifier: Apache-2.0
using System.Reflection;
using Axoneme.Bpf.Btf;
using Axoneme.Bpf.Elf;

namespace Axoneme.Bpf.Tests;

public sealed class BtfTests
{
    private static readonly BpfObjectImage Image = BpfObjectImage.FromResource(Assembly.GetExecutingAssembly(), "maps");

    [Fact]
    public void Typedefs_and_qualifiers_resolve_to_what_they_name()
    {
        BtfType variable = Image.Types.Find(BtfKind.Variable, "service_port")!;
        BtfType resolved = Image.Types.Resolve(variable.TargetId);
        Assert.Equal((BtfKind.Integer, 2u), (resolved.Kind, resolved.Size));
    }

    [Fact]
    public void Constants_have_the_offsets_and_defaults_of_the_object()
    {
        Assert.Equal(["life_s@0+4", "service_port@4+2", "first@8+8"],
            Image.Constants.Select(constant => $"{constant.Name}@{constant.Offset}+{constant.Size}"));
        Assert.Equal("doc:Seconds < a day", Image.Constants[0].Documentation);
    }

    [Fact]
    public void Programs_are_listed_with_their_sections()
        => Assert.Equal([new BpfProgramSpec("inspect", "tc/ingress")], Image.Programs);

    [Fact]
    public void Cut_off_types_are_refused_at_every_length()
    {
        ReadOnlyMemory<byte> section = ElfObject.Parse(Image.Bytes.ToArray()).Find(".BTF")!.Data;
        BtfTypes.Parse(section.Span);
        for (int length = 0; length < section.Length; length++)
            Assert.Throws<InvalidDataException>(() => BtfTypes.Parse(section.Span[..length]));
    }

    [Fact]
    public void Damaged_objects_are_refused_or_read_but_never_crash()
    {
        byte[] bytes = Image.Bytes.ToArray();
        var random = new Random(20261);
        for (int round = 0; round < 3000; round++)
        {
            byte[] damaged = (byte[])bytes.Clone();
            for (int i = 0; i < 4; i++)
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            try
            {
                BpfObjectImage.Parse("damaged", damaged);
            }
            catch (InvalidDataException)
            {
                // Refusing is as good as reading; any other exception fails the test.
            }
        }
    }

    [Fact]
    public void Type_that_refers_to_itself_is_refused()
    {
        // One typedef whose target is itself.
        byte[] btf = new byte[24 + 12 + 3];
        BitConverter.GetBytes((ushort)0xeb9f).CopyTo(btf, 0);
        BitConverter.GetBytes(24).CopyTo(btf, 4);
        BitConverter.GetBytes(12).CopyTo(btf, 12);
        BitConverter.GetBytes(12).CopyTo(btf, 16);
        BitConverter.GetBytes(3).CopyTo(btf, 20);
        BitConverter.GetBytes(1).CopyTo(btf, 24);
        BitConverter.GetBytes((int)BtfKind.Typedef << 24).CopyTo(btf, 28);
        BitConverter.GetBytes(1).CopyTo(btf, 32);
        btf[37] = (byte)'t';
        BtfTypes types = BtfTypes.Parse(btf);
        Assert.Equal("t", types[1].Name);
        Assert.Throws<InvalidDataException>(() => types.Resolve(1));
    }

    [Theory]
    [InlineData("0", 1)]
    [InlineData("0-3", 4)]
    [InlineData("0-1,4-7\n", 8)]
    public void Possible_processors_are_counted_up_to_the_highest(string list, int expected)
        => Assert.Equal(expected, ProcessorSet.Count(list));
}
