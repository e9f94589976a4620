// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;

namespace Axoneme.EmbeddedApi.Objects;

/// <summary>The objects of a stopped API, one JSON document a line; the first line is the version.</summary>
internal static class ObjectFile
{
    private const string FileName = "objects.ndjson";

    public static void Save(string? folder, ApiMachinery machinery)
    {
        if (folder is null)
            return;
        Directory.CreateDirectory(folder);
        string temporary = Path.Combine(folder, FileName + ".new");
        using (FileStream stream = new(temporary, new FileStreamOptions
        {
            Mode = FileMode.Create,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        }))
        {
            stream.Write(JsonText.Write(new JsonObject { ["version"] = machinery.Store.Version }));
            // Definitions first: the kinds of the other lines must be known when they are read.
            foreach (ResourceType type in machinery.Catalog.All.Where(t => t.Storage is null).OrderBy(t => t.Kind != "CustomResourceDefinition"))
                foreach (StoredObject each in machinery.Store.Snapshot(type).All)
                {
                    stream.WriteByte((byte)'\n');
                    stream.Write(each.Json);
                }
        }
        File.Move(temporary, Path.Combine(folder, FileName), overwrite: true);
    }

    public static void Load(string? folder, ApiMachinery machinery)
    {
        string file = Path.Combine(folder ?? "", FileName);
        if (folder is null || !File.Exists(file) || machinery.Store.Version > 1)
            return;
        long version = 1;
        var objects = new List<(ResourceType, JsonObject)>();
        foreach (string line in File.ReadLines(file))
        {
            var value = (JsonObject)JsonText.Parse(line)!;
            if (value.Whole("version") is { } saved)
            {
                version = saved;
                continue;
            }
            if (value.Text("kind") == "CustomResourceDefinition")
                machinery.Catalog.SetCustom(value);
            if (machinery.Catalog.FindKind(value.Text("apiVersion")!, value.Text("kind")!) is { } type)
                objects.Add((type, value));
        }
        machinery.Store.Restore(objects, version);
        machinery.AdoptServices();
    }
}
