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

    /// <summary>Runs <paramref name="work"/> inside the namespace and waits for it; sockets opened there stay there.</summary>
    public T Run<T>(Func<T> work)
    {
        ArgumentNullException.ThrowIfNull(work);
        T result = default!;
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                if (Libc.SetNs(Descriptor, Libc.CLONE_NEWNET) != 0)
                    throw SystemCallException.FromLastError($"enter network namespace {Path}");
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

    /// <inheritdoc cref="Run{T}"/>
    public void Run(Action work) => Run(() =>
    {
        work();
        return 0;
    });

    public void Dispose() => _handle.Dispose();
}
