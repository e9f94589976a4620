// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Linux;

namespace Axoneme.Bench.Workers;

/// <summary>
/// Keeps client and server of a request-and-answer pattern on one processor. Left alone the scheduler puts them on one or on two, which
/// differs by a factor of three and hides the path; on one, the time of a round is the work that it takes. They come before other work there.
/// </summary>
internal static partial class OneProcessor
{
    // As the kernel's own CPU sets: up to 1,024 processors.
    private const int Words = 16;

    /// <summary>For the calling thread.</summary>
    /// <exception cref="SystemCallException">The kernel refused.</exception>
    public static void Stay()
    {
        Span<ulong> allowed = stackalloc ulong[Words];
        if (GetAffinity(0, Words * sizeof(ulong), ref allowed[0]) < 0)
            throw SystemCallException.FromLastError("read the processors of this thread");
        // The highest: low numbers tend to serve interrupts.
        int word = allowed.LastIndexOfAnyExcept(0ul);
        ulong highest = 1ul << (63 - System.Numerics.BitOperations.LeadingZeroCount(allowed[word]));
        allowed.Clear();
        allowed[word] = highest;
        if (SetAffinity(0, Words * sizeof(ulong), in allowed[0]) < 0)
            throw SystemCallException.FromLastError("keep this thread on one processor");
        // Before everything else that runs on this machine, and outside of the groups by session that share out processors: a server
        // in a lab has the lab's agents in its group, and one that was started beside it has not. Where it is not permitted, the
        // figures are as good as the machine is quiet.
        int priority = 1;
        _ = SetScheduler(0, RoundRobin, in priority);
    }

    private const int RoundRobin = 2;

    [LibraryImport("libc", EntryPoint = "sched_getaffinity", SetLastError = true)]
    private static partial int GetAffinity(int thread, nuint length, ref ulong mask);

    [LibraryImport("libc", EntryPoint = "sched_setscheduler", SetLastError = true)]
    private static partial int SetScheduler(int thread, int policy, in int priority);

    [LibraryImport("libc", EntryPoint = "sched_setaffinity", SetLastError = true)]
    private static partial int SetAffinity(int thread, nuint length, in ulong mask);
}
