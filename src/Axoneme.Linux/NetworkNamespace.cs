// SPDX-License-Identifier: Apache-2.0
using Microsoft.Win32.SafeHandles;

namespace Axoneme.Linux;

/// <summary>
/// A network namespace held by an open file. Work in it runs on a thread of its own, because <c>setns(2)</c> changes the
/// calling thread only and a pool thread must never be handed back in a foreign namespace.
/// </summary>
public sealed class NetworkNamespace : IDisposable
{
    private readonly SafeFileHandle _handle;

    private NetworkNamespace(SafeFileHandle handle, string path)
    {
        _handle = handle;
        Path = path;
    }

    /// <summary>Where the namespace was opened from; for messages only.</summary>
    public string Path { get; }

    /// <summary>The open descriptor, valid while this object is not disposed.</summary>
    public int Descriptor => (int)_handle.DangerousGetHandle();

    /// <summary>Opens a namespace by file, such as <c>/run/netns/x</c> or <c>/proc/1/ns/net</c>.</summary>
    /// <exception cref="SystemCallException">The file does not exist or may not be opened.</exception>
    public static NetworkNamespace Open(string path)
    {
        int fd = Libc.Open(path, Libc.O_RDONLY | Libc.O_CLOEXEC);
        if (fd < 0)
            throw SystemCallException.FromLastError($"open network namespace {path}");
        return new NetworkNamespace(new SafeFileHandle(fd, ownsHandle: true), path);
    }

    /// <summary>The namespace that this process's main thread lives in.</summary>
    public static NetworkNamespace OpenCurrent() => Open("/proc/self/ns/net");

    /// <summary>Takes over a descriptor that was received from elsewhere.</summary>
    public static NetworkNamespace Adopt(int descriptor, string path)
        => new(new SafeFileHandle(descriptor, ownsHandle: true), path);

    /// <summary>
    /// Runs <paramref name="work"/> inside the namespace and waits for it; sockets opened there stay there. The work must not
    /// start threads or queue to the thread pool: a thread is born in the namespace of the one that starts it.
    /// </summary>
    public T Run<T>(Func<T> work)
    {
        ArgumentNullException.ThrowIfNull(work);
        return OnOwnThread(() =>
        {
            if (Libc.SetNs(Descriptor, Libc.CLONE_NEWNET) != 0)
                throw SystemCallException.FromLastError($"enter network namespace {Path}");
            return work();
        });
    }

    /// <inheritdoc cref="Run{T}"/>
    public void Run(Action work) => Run(() =>
    {
        work();
        return 0;
    });

    /// <summary>
    /// The number that BPF programs know the namespace by (bpf_get_netns_cookie): unique until the machine is started again, never 0.
    /// </summary>
    /// <exception cref="SystemCallException">The namespace cannot be entered, or the kernel is older than 5.14.</exception>
    public ulong ReadCookie() => Run(ReadCookieHere);

    /// <summary>
    /// Creates a namespace and keeps it alive by a mount on <c>directory/name</c>, as <c>ip netns add</c> does in /run/netns, so
    /// that other tools find it there. The loopback device is down.
    /// </summary>
    /// <exception cref="SystemCallException">No permission, or the mount was refused.</exception>
    /// <exception cref="IOException">The name is taken.</exception>
    public static NetworkNamespace Create(string directory, string name)
    {
        Directory.CreateDirectory(directory);
        MakeShared(directory);
        string path = System.IO.Path.Combine(directory, name);
        new FileStream(path, FileMode.CreateNew).Dispose();
        try
        {
            OnOwnThread(() =>
            {
                if (Libc.Unshare(Libc.CLONE_NEWNET) != 0)
                    throw SystemCallException.FromLastError($"create network namespace {path}");
                if (Libc.Mount("/proc/thread-self/ns/net", path, "none", Libc.MS_BIND, null) != 0)
                    throw SystemCallException.FromLastError($"mount network namespace on {path}");
                return 0;
            });
            return Open(path);
        }
        catch
        {
            File.Delete(path);
            throw;
        }
    }

    /// <summary>Removes the mount and its file; the namespace ends with its last process. Returns whether it was there.</summary>
    public static bool Delete(string directory, string name)
    {
        string path = System.IO.Path.Combine(directory, name);
        if (!File.Exists(path))
            return false;
        // EINVAL: the file is no mount point, which an interrupted creation leaves behind.
        if (Libc.Unmount(path, Libc.MNT_DETACH) != 0
            && System.Runtime.InteropServices.Marshal.GetLastPInvokeError() != Errno.EINVAL)
            throw SystemCallException.FromLastError($"unmount network namespace {path}");
        File.Delete(path);
        return true;
    }

    // Every socket knows its namespace's number; this is the only way to ask for it.
    private static unsafe ulong ReadCookieHere()
    {
        int fd = Libc.Socket(Libc.AF_INET, Libc.SOCK_DGRAM | Libc.SOCK_CLOEXEC, 0);
        if (fd < 0)
            throw SystemCallException.FromLastError("open a socket to read the cookie of its network namespace");
        using var handle = new SafeFileHandle(fd, ownsHandle: true);
        ulong cookie;
        uint length = sizeof(ulong);
        return Libc.GetSocketOption(fd, Libc.SOL_SOCKET, Libc.SO_NETNS_COOKIE, &cookie, &length) == 0
            ? cookie
            : throw SystemCallException.FromLastError("read the cookie of a network namespace");
    }

    private static T OnOwnThread<T>(Func<T> work)
    {
        T result = default!;
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                result = work();
            }
            catch (Exception e)
            {
                failure = e;
            }
        })
        {
            IsBackground = true,
            Name = "netns",
        };
        thread.Start();
        thread.Join();
        if (failure is not null)
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
        return result;
    }

    // Without this a mount namespace that was copied earlier would keep the namespace busy after its deletion.
    private static void MakeShared(string directory)
    {
        if (Libc.Mount("", directory, "none", Libc.MS_SHARED | Libc.MS_REC, null) == 0)
            return;
        if (Libc.Mount(directory, directory, "none", Libc.MS_BIND | Libc.MS_REC, null) != 0
            || Libc.Mount("", directory, "none", Libc.MS_SHARED | Libc.MS_REC, null) != 0)
            throw SystemCallException.FromLastError($"make {directory} a shared mount");
    }

    public void Dispose() => _handle.Dispose();
}
