// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Bpf;

namespace Axoneme.Datapath;

/// <summary>
/// CLOCK_MONOTONIC, which the programs stamp lifetimes and events with; unlike <see cref="System.Diagnostics.Stopwatch"/> by contract.
/// </summary>
public static partial class KernelClock
{
    private const int CLOCK_MONOTONIC = 1;
    private const int CLOCK_MONOTONIC_COARSE = 6;
    private const long NanosecondsPerSecond = 1_000_000_000;

    public static uint NowSeconds() => (uint)(NowNanoseconds() / NanosecondsPerSecond);

    public static unsafe long NowNanoseconds()
    {
        long* time = stackalloc long[2];
        return GetTime(CLOCK_MONOTONIC, time) == 0
            ? (time[0] * NanosecondsPerSecond) + time[1]
            : throw new InvalidOperationException("no monotonic clock");
    }

    /// <summary>Jiffies in a second (CONFIG_HZ): the coarse clock has the tick for its resolution.</summary>
    public static unsafe uint TicksPerSecond()
    {
        long* resolution = stackalloc long[2];
        if (GetResolution(CLOCK_MONOTONIC_COARSE, resolution) != 0 || resolution[1] == 0)
            throw new InvalidOperationException("no coarse monotonic clock");
        return (uint)Math.Round((double)NanosecondsPerSecond / resolution[1]);
    }

    /// <summary>
    /// How programs get seconds of CLOCK_MONOTONIC from jiffies. Both advance together and stand still while the machine sleeps, so an offset
    /// that is taken once holds; and since the unit in maps stays what it is, entries keep their meaning when the source is changed.
    /// </summary>
    /// <exception cref="Linux.SystemCallException">The kernel has no bpf_jiffies64 (before 5.5).</exception>
    internal static JiffiesClock MeasureJiffies()
    {
        uint hertz = TicksPerSecond();
        // Before the jiffies are read: programs may be late by a tick, but are never early.
        long now = NowNanoseconds();
        ulong jiffies = KernelJiffies.Read();
        ulong sinceSecond = (ulong)(now % NanosecondsPerSecond) * hertz / NanosecondsPerSecond;
        return new JiffiesClock(jiffies - sinceSecond, (uint)(now / NanosecondsPerSecond), Reciprocal(hertz));
    }

    /// <summary>2^32 / hertz, rounded up, so that a whole second of jiffies makes a whole second.</summary>
    internal static uint Reciprocal(uint hertz) => (uint)(((1UL << 32) + hertz - 1) / hertz);

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    private static unsafe partial int GetTime(int clock, long* time);

    [LibraryImport("libc", EntryPoint = "clock_getres")]
    private static unsafe partial int GetResolution(int clock, long* time);
}

/// <summary>Constants of <c>bpf/config/clock.h</c>.</summary>
/// <param name="Base">Jiffies at <paramref name="BaseSeconds"/>.</param>
/// <param name="BaseSeconds">A second of CLOCK_MONOTONIC.</param>
/// <param name="Reciprocal">2^32 by the jiffies in a second, rounded up.</param>
internal readonly record struct JiffiesClock(ulong Base, uint BaseSeconds, uint Reciprocal)
{
    /// <summary>What the programs compute.</summary>
    public uint Seconds(ulong jiffies) => BaseSeconds + (uint)(((jiffies - Base) * Reciprocal) >> 32);
}
