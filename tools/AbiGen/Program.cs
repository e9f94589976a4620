// SPDX-License-Identifier: Apache-2.0
using System.Reflection;
using Axoneme.AbiGen;

// Regenerates src/Axoneme.Datapath.Abi/Generated from the objects that were compiled into this tool.
string output = args.Length > 0 ? args[0] : Path.Combine(FindRepository(), "src/Axoneme.Datapath.Abi/Generated");
IReadOnlyDictionary<string, string> files;
try
{
    files = AbiGenerator.Generate(AbiGenerator.EmbeddedObjects(Assembly.GetExecutingAssembly()));
}
catch (InvalidDataException e)
{
    Console.Error.WriteLine($"abigen: {e.Message}");
    return 1;
}

Directory.CreateDirectory(output);
foreach (string stale in Directory.GetFiles(output, "*.g.cs").Where(path => !files.ContainsKey(Path.GetFileName(path))))
    File.Delete(stale);
foreach ((string name, string text) in files)
{
    string path = Path.Combine(output, name);
    if (!File.Exists(path) || File.ReadAllText(path) != text)
    {
        File.WriteAllText(path, text);
        Console.WriteLine($"wrote {path}");
    }
}

return 0;

static string FindRepository()
{
    for (DirectoryInfo? directory = new(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
    {
        if (File.Exists(Path.Combine(directory.FullName, "axoneme.slnx")))
            return directory.FullName;
    }

    throw new DirectoryNotFoundException(
        "the repository (axoneme.slnx) is not above the tool; give the output directory");
}
