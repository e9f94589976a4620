// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.CniPlugin;

/// <summary>
/// Deletions that came while the agent was down, one file each, named by container. The agent works through them when it
/// starts and before it restores endpoints.
/// </summary>
internal static class DeleteQueue
{
    // Bounds the disk use of a runtime that keeps deleting on a node without an agent; the agent also finds endpoints whose
    // pod is gone without the queue.
    private const int MaximalEntries = 256;

    public static void Add(string stateDirectory, string containerId, byte[] message)
    {
        string directory = Path.Combine(stateDirectory, "deleteQueue");
        Directory.CreateDirectory(directory);
        if (Directory.GetFiles(directory).Length >= MaximalEntries)
            return;
        string name = string.Concat(containerId.Where(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_'));
        string temporary = Path.Combine(directory, $".{name}.{Environment.ProcessId}");
        File.WriteAllBytes(temporary, message);
        File.Move(temporary, Path.Combine(directory, $"{name}.delete"), overwrite: true);
    }
}
