// SPDX-License-Identifier: Apache-2.0
using System.Globalization;

namespace Axoneme.Bpf;

/// <summary>The processors that the kernel sizes per-CPU values for.</summary>
public static class ProcessorSet
{
    /// <summary>
    /// Possible processors, also those not (yet) online: the number of values in an entry of a per-CPU map.
    /// <see cref="Environment.ProcessorCount"/> is what this process may use and is often less.
    /// </summary>
    public static int PossibleCount { get; } = Count(File.ReadAllText("/sys/devices/system/cpu/possible"));

    /// <summary>Counts a list such as <c>0-3,8</c>; the kernel's arrays run up to the highest number.</summary>
    internal static int Count(ReadOnlySpan<char> list)
    {
        list = list.Trim();
        int last = list.LastIndexOfAny(',', '-');
        return int.Parse(list[(last + 1)..], CultureInfo.InvariantCulture) + 1;
    }
}
