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

    // Settings that select code without being yes or no: what the others leave of a frame adds up differently in each mode.
    [Theory]
    [MemberData(nameof(Objects))]
    public void Object_loads_in_each_mode_of_the_node(string name)
    {
        var refused = new List<string>();
        for (int mode = 0; mode < 32; mode++)
        {
            try
            {
                Load(name, constant => constant == "per_packet_lb" ? (mode & 1) != 0 : null, SetMode);
            }
            catch (BpfLoadException e)
            {
                refused.Add($"mode {mode}: {e.Message}");
            }

            void SetMode(BpfObject loaded)
            {
                HashSet<string> known = [.. BpfObjectImage.FromResource(Shipped, name).Constants.Select(c => c.Name)];
                if (!known.Contains("tunnel_ifindex"))
                    return;
                loaded.SetConstant("tunnel_ifindex", (mode & 2) != 0 ? 12u : 0u);
                loaded.SetConstant("uplink_ifindex", (mode & 4) != 0 ? 11u : 0u);
                loaded.SetConstant("trace_aggregation", (byte)((mode & 8) != 0 ? TraceAggregation.EveryPacket : TraceAggregation.Connections));
                loaded.SetConstant("event_wakeup_bytes", (mode & 16) != 0 ? 4096u : 0u);
            }
        }

        Assert.Empty(refused);
    }

    private static IEnumerable<BpfConstant> Options(BpfObjectImage image)
        => image.Constants.Where(
            constant => image.Types.Resolve(constant.TypeId) is { Kind: BtfKind.Integer, IsBoolean: true });

    private static void Load(string name, Func<string, bool?> option, Action<BpfObject>? adjust = null)
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

        adjust?.Invoke(loaded);
        loaded.Load();
        foreach (BpfProgramSpec program in image.Programs)
            Assert.True(loaded.Program(program.Name).GetInfo().TranslatedLength > 0);
    }
}
