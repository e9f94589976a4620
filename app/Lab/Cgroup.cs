// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Lab;

/// <summary>Control groups hold a lab's processes together, so that all of them can be found and ended without keeping lists.</summary>
internal static class Cgroup
{
    public static string Create(string path)
    {
        Directory.CreateDirectory(path);
        return path;
    }

    public static bool IsPopulated(string path)
    {
        try
        {
            return File.ReadLines(Path.Combine(path, "cgroup.events")).Contains("populated 1");
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return false;
        }
    }

    /// <summary>Ends every process below the group at once, also those that are being forked.</summary>
    public static async Task KillAsync(string path, CancellationToken cancellation)
    {
        while (IsPopulated(path))
        {
            await File.WriteAllTextAsync(Path.Combine(path, "cgroup.kill"), "1", cancellation);
            await Task.Delay(5, cancellation);
        }
    }

    /// <summary>Removes an empty group and those below it. The kernel frees a group a moment after its last process.</summary>
    public static async Task RemoveAsync(string path, CancellationToken cancellation)
    {
        if (!Directory.Exists(path))
            return;
        foreach (string child in Directory.EnumerateDirectories(path))
            await RemoveAsync(child, cancellation);
        while (true)
        {
            try
            {
                Directory.Delete(path);
                return;
            }
            catch (DirectoryNotFoundException)
            {
                return;
            }
            catch (IOException)
            {
                await Task.Delay(5, cancellation);
            }
        }
    }
}
