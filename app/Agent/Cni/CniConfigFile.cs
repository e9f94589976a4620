// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;

namespace Axoneme.Agent.Cni;

/// <summary>The file that makes the container runtime call our plugin; written last, when calls can be served.</summary>
internal static class CniConfigFile
{
    public static void Write(string path, bool debug)
    {
        var plugin = new JsonObject { ["type"] = "cilium-cni", ["enable-debug"] = debug };
        var content = new JsonObject
        {
            ["cniVersion"] = "1.0.0",
            ["name"] = "cilium",
            ["plugins"] = new JsonArray(plugin),
        };
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        // Runtimes watch the folder and would read half a file; they ignore this ending.
        string temporary = path + ".new";
        File.WriteAllText(temporary, content.ToJsonString());
        File.Move(temporary, path, overwrite: true);
    }
}
