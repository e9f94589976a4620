// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;

namespace Axoneme.AbiGen;

/// <summary>
/// Writes, for each object, its constants as a struct with the layout of the compiled section, its program names and
/// its image. The constants of a header come in an interface named after it, so that one method sets them in every
/// object that includes the header.
/// </summary>
internal sealed class ConstantsWriter
{
    private readonly AbiModel _model;
    private readonly SortedDictionary<string, List<Constant>> _shared = new(StringComparer.Ordinal);

    public ConstantsWriter(AbiModel model, IReadOnlyList<BpfObjectImage> images)
    {
        _model = model;
        foreach (BpfObjectImage image in images)
        {
            foreach (BpfConstant source in image.Constants.Where(c => c.SourceFile?.EndsWith(".h", StringComparison.Ordinal) == true))
            {
                string name = $"I{CSharpName.Pascal(Path.GetFileNameWithoutExtension(source.SourceFile!))}Constants";
                if (!_shared.TryGetValue(name, out List<Constant>? list))
                    _shared[name] = list = [];
                Constant constant = Describe(image, source);
                if (!list.Any(constant.IsSame))
                    list.Add(constant);
            }
        }
    }

    public string Write(BpfObjectImage image)
    {
        string name = CSharpName.Pascal(image.Name);
        CodeText text = CodeText.NewFile($"Object {image.Name}");
        text.Line("using System.Runtime.InteropServices;");
        text.Line("using Axoneme.Bpf;");
        text.Line();
        text.Line("namespace Axoneme.Datapath.Abi;");
        text.Line();
        text.Summary($"The object compiled from bpf/progs/{image.Name}.c.");
        text.Open($"public static class {name}Object");
        text.Line("private static readonly Lazy<BpfObjectImage> Parsed =");
        text.Line($"    new(() => BpfObjectImage.FromResource(typeof({name}Object).Assembly, \"{image.Name}\"));");
        text.Line();
        text.Summary("Parsed at first use, then shared by all loads.");
        text.Line("public static BpfObjectImage Image => Parsed.Value;");
        foreach (BpfProgramSpec program in image.Programs)
        {
            text.Line();
            text.Summary($"Program in section {program.Section}.");
            text.Line($"public const string {CSharpName.Pascal(program.Name)} = \"{program.Name}\";");
        }

        text.Close();
        if (image.Constants.Count > 0)
            WriteConstants(text, image, name);
        return text.ToString();
    }

    /// <summary>The interfaces of the headers; null when there are none.</summary>
    public string? WriteShared()
    {
        if (_shared.Count == 0)
            return null;
        CodeText text = CodeText.NewFile("Constants by header of bpf/config");
        text.Line("namespace Axoneme.Datapath.Abi;");
        foreach ((string name, List<Constant> constants) in _shared)
        {
            text.Line();
            text.Open($"public interface {name}");
            string separator = "";
            foreach (Constant constant in constants.OrderBy(constant => constant.Property, StringComparer.Ordinal))
            {
                if (separator.Length > 0)
                    text.Line();
                separator = "\n";
                text.Summary(constant.Documentation);
                text.Line($"{constant.Type} {constant.Property} {{ get; set; }}");
            }

            text.Close();
        }

        return text.ToString();
    }

    private void WriteConstants(CodeText text, BpfObjectImage image, string name)
    {
        Constant[] constants = image.Constants.Select(constant => Describe(image, constant)).ToArray();
        string interfaces = string.Concat(_shared
            .Where(entry => entry.Value.All(shared => constants.Any(shared.IsSame)))
            .Select(entry => $", {entry.Key}"));
        text.Line();
        text.Summary($"Load-time constants of {name}Object; Image.DefaultConstants has the values of the source.");
        text.Line($"[StructLayout(LayoutKind.Explicit, Size = {image.ConstantsSize})]");
        text.Open($"public struct {name}Constants : IBpfConstants{interfaces}");
        text.Line("private static readonly (string Name, int Offset, int Size)[] Fields =");
        text.Line("[");
        foreach (BpfConstant constant in image.Constants)
            text.Line($"    (\"{constant.Name}\", {constant.Offset}, {constant.Size}),");
        text.Line("];");
        text.Line();
        text.Line("public static ReadOnlySpan<(string Name, int Offset, int Size)> Layout => Fields;");
        foreach ((BpfConstant source, Constant constant) in image.Constants.Zip(constants))
        {
            text.Line();
            text.Summary(constant.Documentation);
            text.Line($"[field: FieldOffset({source.Offset})]");
            text.Line($"public {constant.Type} {constant.Property} {{ get; set; }}");
        }

        text.Close();
    }

    private Constant Describe(BpfObjectImage image, BpfConstant constant)
    {
        const string Prefix = "doc:";
        string? text = constant.Documentation;
        if (text?.StartsWith(Prefix, StringComparison.Ordinal) == true)
            text = text[Prefix.Length..].Trim();
        return new Constant(CSharpName.Pascal(constant.Name),
            _model.NameOf(image.Types, constant.TypeId, $"constant {constant.Name} of {image.Name}.c"), text);
    }

    private sealed record Constant(string Property, string Type, string? Documentation)
    {
        public bool IsSame(Constant other) => Property == other.Property && Type == other.Type;
    }
}
