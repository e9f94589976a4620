// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;

namespace Axoneme.Linux;

/// <summary>A system call failed: what was tried on which object, and the kernel's error number as data.</summary>
public class SystemCallException : IOException
{
    public SystemCallException(string operation, int errno)
        : base($"{operation}: {Describe(errno)}") => Errno = errno;

    public SystemCallException(string operation, int errno, string detail)
        : base($"{operation}: {Describe(errno)}: {detail}") => Errno = errno;

    /// <summary>The positive error number (errno(3)).</summary>
    public int Errno { get; }

    /// <summary>Builds the exception from the errno that the last <c>SetLastError</c> call left on this thread.</summary>
    public static SystemCallException FromLastError(string operation)
        => new(operation, Marshal.GetLastPInvokeError());

    private static string Describe(int errno) => $"{Marshal.GetPInvokeErrorMessage(errno)} (errno {errno})";
}
