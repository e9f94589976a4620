// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Bpf.Btf;

namespace Axoneme.AbiGen;

/// <summary>
/// Collects the maps of all objects. A map that several objects declare is one map, so they must agree.
/// </summary>
internal sealed class MapWriter(AbiModel model)
{
    private readonly SortedDictionary<string, (BpfMapSpec Spec, string Source, string? Key, string? Value)> _maps =
        new(StringComparer.Ordinal);

    public void Add(BpfObjectImage image)
    {
        foreach (BtfType variable in MapDeclarations.Variables(image.Types))
        {
            BpfMapSpec spec = image.Maps[variable.Name];
            string? key = TypeName(image, variable, "key") ?? (spec.Inner is null ? null : "uint");
            // User space writes a descriptor into a map of maps and reads an id.
            string? value = spec.Inner is null ? TypeName(image, variable, "value") : "uint";
            if (_maps.TryGetValue(spec.Name, out var known)
                && (known.Spec != spec || known.Key != key || known.Value != value))
            {
                string differences = string.Join("; ", spec.DifferencesFrom(known.Spec));
                throw new InvalidDataException(
                    $"map {spec.Name} differs between {known.Source}.c and {image.Name}.c: {differences}");
            }

            _maps[spec.Name] = (spec, known.Source ?? image.Name, key, value);
        }
    }

    public string Write()
    {
        CodeText text = CodeText.NewFile("Maps");
        text.Line("using Axoneme.Bpf;");
        text.Line();
        text.Line("namespace Axoneme.Datapath.Abi;");
        text.Line();
        text.Summary("The maps that the programs declare, by their names.");
        text.Open("public static class Maps");
        string separator = "";
        foreach ((BpfMapSpec spec, _, string? key, string? value) in _maps.Values)
        {
            if (separator.Length > 0)
                text.Line();
            separator = "\n";
            WriteMap(text, spec, key, value);
        }

        text.Line();
        string[] names = _maps.Values.Select(map => CSharpName.Pascal(map.Spec.Name)
            + (map.Key is not null && map.Value is not null ? ".Spec" : "")).ToArray();
        text.Summary("Every declared map.");
        text.Line($"public static IReadOnlyList<BpfMapSpec> All {{ get; }} = [{string.Join(", ", names)}];");
        text.Close();
        return text.ToString();
    }

    private static void WriteMap(CodeText text, BpfMapSpec spec, string? key, string? value)
    {
        string name = CSharpName.Pascal(spec.Name);
        string type = key is null || value is null
            ? nameof(BpfMapSpec)
            : $"{(spec.IsPerCpu ? "BpfPerCpuMapDescriptor" : "BpfMapDescriptor")}<{key}, {value}>";
        text.Summary($"{spec.Name}: {spec.Type}" + (spec.Inner is { } inner ? $" of {inner.Type}" : "")
            + (spec.PinByName ? ", pinned" : ""));
        text.Line(type == nameof(BpfMapSpec)
            ? $"public static {type} {name} {{ get; }} = {Expression(spec)};"
            : $"public static {type} {name} {{ get; }} = new({Expression(spec)});");
    }

    private static string Expression(BpfMapSpec spec)
    {
        string flags = spec.Flags == BpfMapFlags.None ? "" : $", (BpfMapFlags){(uint)spec.Flags}";
        var properties = new List<string>();
        if (spec.PinByName)
            properties.Add("PinByName = true");
        if (spec.Inner is not null)
            properties.Add($"Inner = {Expression(spec.Inner)}");
        string initializer = properties.Count == 0 ? "" : $" {{ {string.Join(", ", properties)} }}";
        string sizes = $"{spec.KeySize}, {spec.ValueSize}, {spec.MaxEntries}";
        return $"new BpfMapSpec(\"{spec.Name}\", BpfMapType.{spec.Type}, {sizes}{flags}){initializer}";
    }

    private string? TypeName(BpfObjectImage image, BtfType variable, string member)
        => MapDeclarations.ElementType(image.Types, variable, member) is { } id
            ? model.NameOf(image.Types, id, $"{member} of map {variable.Name}")
            : null;
}
