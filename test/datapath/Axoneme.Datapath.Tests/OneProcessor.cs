// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Linux;

namespace Axoneme.Datapath.Tests;

/// <summary>What programs remember for each processor shows only to those who stay on one.</summary>
internal static partial class OneProcessor
{
    /// <summary>For the calling thread, not for those that it starts.</summary>
    public static void Stay()
    {
        Span<ulong> mask = stackalloc ulong[16];
        int processor = Thread.GetCurrentProcessorId();
        mask[processor / 64] = 1ul << (processor % 64);
        if (SetAffinity(0, (nuint)mask.Length * sizeof(ulong), in mask[0]) < 0)
            throw SystemCallException.FromLastError("keep this thread on one processor");
    }

    [LibraryImport("libc", EntryPoint = "sched_setaffinity", SetLastError = true)]
    private static partial int SetAffinity(int thread, nuint length, in ulong mask);
}
