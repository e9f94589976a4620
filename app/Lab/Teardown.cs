// SPDX-License-Identifier: Apache-2.0
using Axoneme.Linux;

namespace Axoneme.Lab;

/// <summary>
/// Removes a lab from what the kernel and the folder show, not from what a supervisor remembers, so that a crash changes nothing:
/// the processes of the cgroup go, and with them mount namespaces, bpffs, pins and links; then the named namespaces and their devices.
/// </summary>
internal static class Teardown
{
    // Ending processes takes milliseconds; something stuck in the kernel should be reported, not waited for.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    /// <summary>Returns whether there was anything.</summary>
    public static async Task<bool> RunAsync(LabPaths paths)
    {
        bool found = Directory.Exists(paths.Root) || Directory.Exists(paths.Cgroup);
        using var limit = new CancellationTokenSource(Patience);
        try
        {
            await Lab.Cgroup.KillAsync(paths.Cgroup, limit.Token);
            RemoveNamespaces(paths);
            await Lab.Cgroup.RemoveAsync(paths.Cgroup, limit.Token);
        }
        catch (OperationCanceledException)
        {
            throw new UserErrorException($"processes or mounts of the lab do not end; see {paths.Cgroup}/**/cgroup.procs");
        }

        if (Directory.Exists(paths.Root))
            Directory.Delete(paths.Root, recursive: true);
        return found;
    }

    private static void RemoveNamespaces(LabPaths paths)
    {
        if (!Directory.Exists(paths.Namespaces))
            return;
        foreach (string file in Directory.EnumerateFiles(paths.Namespaces))
            NetworkNamespace.Delete(paths.Namespaces, Path.GetFileName(file));
        // The folder is a mount of itself, once for each time that something made it one.
        while (Libc.Unmount(paths.Namespaces, Libc.MNT_DETACH) == 0)
        {
        }
    }
}
