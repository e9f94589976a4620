// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Linux;

/// <summary>
/// Kernel settings below /proc/sys. Those below <c>net/</c> belong to the network namespace of the thread that opens the file, so
/// calls for another namespace go through <see cref="NetworkNamespace.Run(Action)"/>.
/// </summary>
public static class Sysctl
{
    private const string Root = "/proc/sys/";

    /// <summary>The setting's text without the final newline, or null when this kernel or namespace has no such setting.</summary>
    public static string? Read(string path)
    {
        try
        {
            return File.ReadAllText(Root + path).TrimEnd('\n');
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    /// <summary>Writes the setting unless it has the value already; returns whether it had to.</summary>
    /// <param name="path">Slash-separated, such as <c>net/ipv4/conf/eth0.1/rp_filter</c> (dots occur in device names).</param>
    /// <exception cref="IOException">There is no such setting, or the kernel refuses the value.</exception>
    public static bool Write(string path, string value)
    {
        if (Read(path) == value)
            return false;
        try
        {
            // Not File.WriteAllText: it truncates and may seek, which settings do not support.
            using var file = new FileStream(Root + path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
            file.Write(System.Text.Encoding.ASCII.GetBytes(value));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"set sysctl {path} to '{value}': {e.Message}", e);
        }

        return true;
    }

    /// <summary>Writes several settings in the namespace (null: the calling thread's); returns the paths that had to change.</summary>
    public static IReadOnlyList<string> WriteAll(NetworkNamespace? target, IEnumerable<(string Path, string Value)> settings)
    {
        return target is null ? Apply() : target.Run(Apply);

        List<string> Apply() => [.. settings.Where(s => Write(s.Path, s.Value)).Select(s => s.Path)];
    }
}
