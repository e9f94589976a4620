// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Axoneme.Linux;

namespace Axoneme.Lab.Nodes;

/// <summary>
/// A node's view of the machine: network namespace, mount namespace with its own /run and bpffs, host name, and a cgroup. One sleeping
/// process holds the namespaces that have no file; when it dies, mounts and pins go with it.
/// </summary>
internal sealed class NodeSandbox : IDisposable
{
    /// <summary>The node's folder as its own processes see it.</summary>
    public const string FolderInside = "/run/axoneme";

    // The mounts of the machine are followed (slave) so that what others unmount is not kept busy here; ours stay inside.
    private const string Setup = """
        set -e
        hostname "$1"
        mkdir -p "$2/run"
        mount -n -t tmpfs -o mode=755 axoneme-run "$2/run"
        mkdir -p "$2/run/netns" "$2/run/cilium" "$2/run/axoneme" "$2/run/lock"
        mount -n --bind "$2" "$2/run/axoneme"
        mount -n --move "$2/run" /run
        mount -n -t bpf bpf /sys/fs/bpf
        echo ready
        exec sleep infinity >/dev/null
        """;

    private readonly LabPaths _paths;
    private Process? _holder;

    public NodeSandbox(LabPaths paths, string name)
    {
        _paths = paths;
        Name = name;
        Folder = paths.Node(name);
        Cgroup = Path.Combine(paths.Cgroup, name);
    }

    public string Name { get; }

    /// <summary>The node's files as the machine sees them.</summary>
    public string Folder { get; }

    public string Cgroup { get; }

    public int HolderId => _holder?.Id ?? throw new InvalidOperationException($"Node {Name} was not started.");

    /// <summary>The node's root directory as the machine sees it.</summary>
    public string RootDirectory => $"/proc/{HolderId}/root";

    public string NetworkNamespaceFile => _paths.NamespaceOf(Name);

    /// <summary>For processes of the node itself.</summary>
    public ProcessPlace Place(string cgroupChild) => PlaceFor(HolderId, NetworkNamespaceFile) with
    {
        Cgroup = Lab.Cgroup.Create(Path.Combine(Cgroup, cgroupChild)),
    };

    public static ProcessPlace PlaceFor(int holder, string networkNamespace) => new()
    {
        MountNamespace = $"/proc/{holder}/ns/mnt",
        HostNameNamespace = $"/proc/{holder}/ns/uts",
        NetworkNamespace = networkNamespace,
    };

    public async Task StartAsync(CancellationToken cancellation)
    {
        foreach (string folder in (string[])["config", "cni/net.d", "pods"])
            Directory.CreateDirectory(Path.Combine(Folder, folder));
        var place = new ProcessPlace
        {
            Cgroup = Lab.Cgroup.Create(Path.Combine(Cgroup, "holder")),
            NetworkNamespace = NetworkNamespaceFile,
        };
        _holder = Launch.Start(place,
            ["unshare", "--mount", "--uts", "--propagation", "slave", "sh", "-c", Setup, "sh", Name, Folder], pipes: true);
        if (await _holder.StandardOutput.ReadLineAsync(cancellation) != "ready")
            throw new IOException($"node {Name}: set up mounts: {(await _holder.StandardError.ReadToEndAsync(cancellation)).Trim()}");
        await File.WriteAllTextAsync(Path.Combine(Folder, "holder.pid"), $"{HolderId}", cancellation);
    }

    /// <summary>Makes a pod's network namespace in the node's /run/netns, with its loopback up.</summary>
    public void CreatePodNamespace(string name) => RunInMounts(() =>
    {
        using NetworkNamespace pod = NetworkNamespace.Create("/run/netns", name);
        using Netlink.RouteNetlink netlink = Netlink.RouteNetlink.Open(pod);
        int loopback = netlink.FindLink("lo")!.Index;
        netlink.SetLink(loopback, new Netlink.LinkChange { Up = true });
    });

    public void DeletePodNamespace(string name) => RunInMounts(() => NetworkNamespace.Delete("/run/netns", name));

    // A thread may enter a mount namespace only after it stopped sharing its root and working directory with the others.
    private void RunInMounts(Action work)
    {
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                EnterMounts();
                work();
            }
            catch (Exception e)
            {
                failure = e;
            }
        })
        {
            IsBackground = true,
            Name = $"mounts of {Name}",
        };
        thread.Start();
        thread.Join();
        if (failure is not null)
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
    }

    private void EnterMounts()
    {
        const int CLONE_FS = 0x200;
        const int CLONE_NEWNS = 0x20000;
        int fd = Libc.Open($"/proc/{HolderId}/ns/mnt", Libc.O_RDONLY | Libc.O_CLOEXEC);
        if (fd < 0)
            throw SystemCallException.FromLastError($"open mount namespace of node {Name}");
        try
        {
            if (Libc.Unshare(CLONE_FS) != 0 || Libc.SetNs(fd, CLONE_NEWNS) != 0)
                throw SystemCallException.FromLastError($"enter mount namespace of node {Name}");
        }
        finally
        {
            _ = Libc.Close(fd);
        }
    }

    public void Dispose() => _holder?.Dispose();
}
