// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Axoneme.Proxy;

/// <summary>
/// Gives up what the proxy does not need (capabilities(7)). A thread can do that for itself only, and a runtime has several: so the bounding set is
/// cut, which counts when a program is started, and the program is started again in its own place.
/// </summary>
internal static unsafe partial class Capabilities
{
    private const int BindService = 10, NetAdmin = 12, NetRaw = 13, Bpf = 39;
    private const int DropFromBoundingSet = 24;

    /// <summary>Does not return if something was given up. Returns why it could not be, or null.</summary>
    /// <param name="port">A port below 1024 needs one more.</param>
    public static string? GiveUpOthers(ushort port)
    {
        ulong needed = 1UL << NetAdmin | 1UL << NetRaw | 1UL << Bpf | (port is > 0 and < 1024 ? 1UL << BindService : 0);
        ulong surplus = ReadBoundingSet() & ~needed;
        if (surplus == 0)
            return null;
        for (int capability = 0; capability < 64; capability++)
        {
            if ((surplus & (1UL << capability)) != 0 && prctl(DropFromBoundingSet, (nuint)capability, 0, 0, 0) != 0)
                return $"capability {capability} cannot be given up: {Marshal.GetLastPInvokeErrorMessage()}";
        }

        StartAgain();
        return $"the program cannot be started again without them: {Marshal.GetLastPInvokeErrorMessage()}";
    }

    private static ulong ReadBoundingSet()
    {
        string? line = File.ReadLines("/proc/self/status").FirstOrDefault(l => l.StartsWith("CapBnd:", StringComparison.Ordinal));
        return line is not null && ulong.TryParse(line.AsSpan(7).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ulong set) ? set : 0;
    }

    private static void StartAgain()
    {
        byte[] words = File.ReadAllBytes("/proc/self/cmdline");
        fixed (byte* text = words)
        {
            var starts = new List<int> { 0 };
            for (int i = 0; i < words.Length - 1; i++)
            {
                if (words[i] == 0)
                    starts.Add(i + 1);
            }

            byte** arguments = stackalloc byte*[starts.Count + 1];
            for (int i = 0; i < starts.Count; i++)
                arguments[i] = text + starts[i];
            arguments[starts.Count] = null;
            fixed (byte* self = Encoding.ASCII.GetBytes("/proc/self/exe\0"))
                _ = execv(self, arguments);
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int prctl(int option, nuint a, nuint b, nuint c, nuint d);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int execv(byte* path, byte** arguments);
}
