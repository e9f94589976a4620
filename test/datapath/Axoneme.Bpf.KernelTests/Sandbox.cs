// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Axoneme.Linux;

// Tests look at the descriptors of the whole process.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace Axoneme.Bpf.KernelTests;

/// <summary>
/// Places of a test's own: a bpffs, an anonymous network namespace (which has a loopback device) and a cgroup. All are
/// gone after it.
/// </summary>
public sealed class Sandbox : IDisposable
{
    private readonly List<Action> _undo = [];

    public Sandbox()
    {
        PinDirectory = Directory.CreateTempSubdirectory("axbpf-").FullName;
        _undo.Add(() => Directory.Delete(PinDirectory));
        Assert.True(BpfFileSystem.Mount(PinDirectory));
        Assert.False(BpfFileSystem.Mount(PinDirectory));
        // MNT_DETACH: descriptors that a failed test left open must not keep the mount.
        _undo.Add(() => _ = Libc.Unmount(PinDirectory, 2));
    }

    public string PinDirectory { get; }

    public string Pin(string name) => Path.Combine(PinDirectory, name);

    /// <summary>A network namespace without a name, with its loopback device up.</summary>
    public NetworkNamespace CreateNamespace()
    {
        NetworkNamespace? result = null;
        var thread = new Thread(() =>
        {
            if (Libc.Unshare(Libc.CLONE_NEWNET) == 0)
                result = NetworkNamespace.Open("/proc/thread-self/ns/net");
        });
        thread.Start();
        thread.Join();
        Assert.NotNull(result);
        _undo.Add(result.Dispose);
        Run("nsenter", $"--net=/proc/{Environment.ProcessId}/fd/{result.Descriptor}", "ip", "link", "set", "lo", "up");
        return result;
    }

    public string CreateCgroup()
    {
        string mount = File.ReadLines("/proc/self/mounts")
            .Select(line => line.Split(' ')).First(fields => fields[2] == "cgroup2")[1];
        string path = Path.Combine(mount, $"axbpf-{Guid.NewGuid():N}");
        Directory.CreateDirectory(path);
        _undo.Add(() => Directory.Delete(path));
        return path;
    }

    public static (int ExitCode, string Error) Run(string program, params string[] arguments)
    {
        using Process process =
            Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, error);
    }

    public void Dispose()
    {
        _undo.Reverse();
        _undo.ForEach(undo => undo());
    }
}
