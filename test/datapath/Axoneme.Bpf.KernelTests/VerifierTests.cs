// SPDX-License-Identifier: Apache-2.0
using System.Reflection;
using Axoneme.Bpf.Btf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Bpf.KernelTests;

/// <summary>
/// Every object that ships passes the verifier of this kernel, whichever branches its constants leave alive.
/// </summary>
public sealed class VerifierTests
{
    private static readonly Assembly Shipped = typeof(NetU16).Assembly;

    public static TheoryData<string> Objects => [.. Shipped.GetManifestResourceNames()
        .Where(name => name.StartsWith("bpf/", StringComparison.Ordinal) && name != "bpf/abi.o")
        .Select(name => name["bpf/".Length..^".o".Length])];

    [Theory]
    [MemberData(nameof(Objects))]
    public void Object_loads_with_its_defaults(string name) => Load(name, _ => null);

    [Theory]
    [MemberData(nameof(Objects))]
    public void Object_loads_with_every_option_on(string name) => Load(name, _ => true);

    [Theory]
    [MemberData(nameof(Objects))]
    public void Object_loads_with_every_option_off(string name) => Load(name, _ => false);

    [Theory]
    [MemberData(nameof(Objects))]
    public void Object_loads_with_each_option_turned(string name)
    {
        BpfObjectImage image = BpfObjectImage.FromResource(Shipped, name);
        var refused = new List<string>();
        foreach (BpfConstant option in Options(image))
        {
            foreach (bool value in (bool[])[false, true])
            {
                try
                {
                    Load(name, constant => constant == option.Name ? value : null);
                }
                catch (BpfLoadException e)
                {
                    refused.Add($"{option.Name} = {value}: {e.Message}");
                }
            }
        }

        Assert.Empty(refused);
    }

    private static IEnumerable<BpfConstant> Options(BpfObjectImage image)
        => image.Constants.Where(
            constant => image.Types.Resolve(constant.TypeId) is { Kind: BtfKind.Integer, IsBoolean: true });

    private static void Load(string name, Func<string, bool?> option)
    {
        BpfObjectImage image = BpfObjectImage.FromResource(Shipped, name);
        using BpfObject loaded = image.Open();
        // Map sizes are no business of the verifier, and large ones cost time to make.
        foreach (BpfMapSpec map in image.Maps.Values.Where(map => map.Type is BpfMapType.Hash or BpfMapType.LruHash))
            loaded.SetMaxEntries(map.Name, 1024);
        foreach (BpfConstant constant in Options(image))
        {
            if (option(constant.Name) is { } value)
                loaded.SetConstant(constant.Name, value);
        }

        loaded.Load();
        foreach (BpfProgramSpec program in image.Programs)
            Assert.True(loaded.Program(program.Name).GetInfo().TranslatedLength > 0);
    }
}
