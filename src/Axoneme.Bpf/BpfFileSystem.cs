// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Linux;

namespace Axoneme.Bpf;

/// <summary>The file system in which pins live.</summary>
public static unsafe partial class BpfFileSystem
{
    private const long Magic = 0xcafe4a11;

    /// <summary>Whether a path is on a bpffs.</summary>
    /// <exception cref="SystemCallException">The path does not exist.</exception>
    public static bool Contains(string path)
    {
        // struct statfs starts with the type, a long, and has 120 bytes.
        long* result = stackalloc long[16];
        if (StatFs(path, result) != 0)
            throw SystemCallException.FromLastError($"look at the file system of {path}");
        return result[0] == Magic;
    }

    /// <summary>
    /// Mounts a bpffs on a directory, which is created, unless one is there; true when it was mounted now.
    /// </summary>
    public static bool Mount(string directory)
    {
        Directory.CreateDirectory(directory);
        if (Contains(directory))
            return false;
        if (Libc.Mount("bpf", directory, "bpf", 0, "mode=0700") != 0)
            throw SystemCallException.FromLastError($"mount bpffs on {directory}");
        return true;
    }

    /// <summary>
    /// Removes a pin; false when there was none. What nobody else holds is gone then: a link detaches.
    /// </summary>
    public static bool Unpin(string path)
    {
        if (!File.Exists(path))
            return false;
        File.Delete(path);
        return true;
    }

    [LibraryImport("libc", EntryPoint = "statfs", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int StatFs(string path, long* result);
}
