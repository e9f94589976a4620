// SPDX-License-Identifier: Apache-2.0
using Axoneme.Linux;

namespace Axoneme.Datapath;

/// <summary>The file system that pins live in.</summary>
internal static class BpfFileSystem
{
    /// <summary>Mounts a bpffs on the directory unless it lies in one already; returns whether it had to.</summary>
    public static bool Ensure(string root)
    {
        Directory.CreateDirectory(root);
        if (IsMounted(root))
            return false;
        if (Libc.Mount("bpf", root, "bpf", 0, "mode=0700") != 0)
            throw SystemCallException.FromLastError($"mount a bpffs on {root}");
        return true;
    }

    /// <summary>Deletes a folder of pins with everything in it. Absent is fine.</summary>
    public static void DeleteFolder(string path)
    {
        if (Directory.Exists(path))
            Directory.Delete(path, recursive: true);
    }

    // mountinfo: id, parent, device, root, mount point, options, optional fields, "-", type ... The deepest mount decides.
    private static bool IsMounted(string root)
    {
        string path = Path.GetFullPath(root);
        string? type = null;
        int length = -1;
        foreach (string line in File.ReadLines("/proc/self/mountinfo"))
        {
            string[] fields = line.Split(' ');
            string mountPoint = fields[4];
            bool covers = mountPoint == "/" || path == mountPoint || path.StartsWith(mountPoint + "/", StringComparison.Ordinal);
            if (!covers || mountPoint.Length < length)
                continue;
            length = mountPoint.Length;
            type = fields[Array.IndexOf(fields, "-") + 1];
        }

        return type == "bpf";
    }
}
