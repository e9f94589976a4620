// SPDX-License-Identifier: Apache-2.0
using System.Reflection;
using Axoneme.Bpf;

namespace Axoneme.AbiGen;

/// <summary>
/// Writes the C# side of what kernel and user space share, from the BTF of the compiled objects: <c>abi.o</c> keeps the
/// shared types, every other object contributes its maps, load-time constants and programs. The same objects give the
/// same text, whatever their order.
/// </summary>
public static class AbiGenerator
{
    private const string TypesObject = "abi";

    /// <summary>Reads the objects that the build embedded into an assembly.</summary>
    public static IReadOnlyList<BpfObjectImage> EmbeddedObjects(Assembly assembly)
    {
        ArgumentNullException.ThrowIfNull(assembly);
        return assembly.GetManifestResourceNames()
            .Where(name => name.StartsWith("bpf/", StringComparison.Ordinal)
                && name.EndsWith(".o", StringComparison.Ordinal))
            .Select(name => BpfObjectImage.FromResource(assembly, name["bpf/".Length..^".o".Length]))
            .OrderBy(image => image.Name, StringComparer.Ordinal)
            .ToArray();
    }

    /// <summary>File name to text.</summary>
    /// <exception cref="InvalidDataException">Something in the objects has no safe equivalent in C#; the message names
    /// it.</exception>
    public static IReadOnlyDictionary<string, string> Generate(IReadOnlyList<BpfObjectImage> objects)
    {
        ArgumentNullException.ThrowIfNull(objects);
        BpfObjectImage[] programs = objects.Where(image => image.Name != TypesObject)
            .OrderBy(image => image.Name, StringComparer.Ordinal).ToArray();
        var model = new AbiModel();
        foreach (BpfObjectImage image in objects.Where(image => image.Name == TypesObject))
            model.AddSharedTypes(image);
        var maps = new MapWriter(model);
        foreach (BpfObjectImage image in programs)
            maps.Add(image);
        var constants = new ConstantsWriter(model, programs);
        var files = new SortedDictionary<string, string>(StringComparer.Ordinal);
        string mapText = maps.Write();
        foreach (BpfObjectImage image in programs)
            files[$"{CSharpName.Pascal(image.Name)}Object.g.cs"] = constants.Write(image);
        if (constants.WriteShared() is { } shared)
            files["SharedConstants.g.cs"] = shared;
        files["Maps.g.cs"] = mapText;
        // Written last: maps and constants may name types that nothing else does.
        files["Enums.g.cs"] = model.WriteEnums();
        files["Structs.g.cs"] = model.WriteStructs();
        files["Arrays.g.cs"] = model.WriteArrays();
        return files;
    }
}
