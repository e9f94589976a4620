// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using Axoneme.Linux;

namespace Axoneme.Datapath;

/// <summary>
/// net.ipv4.ip_local_reserved_ports: what the kernel gives to no client by itself. A client that got a node port would take that port from the
/// service, as far as connections to this node go.
/// </summary>
internal static class ReservedPorts
{
    private const string Reserved = "net/ipv4/ip_local_reserved_ports";
    private const string Ephemeral = "net/ipv4/ip_local_port_range";

    /// <summary>
    /// Reserves the ports of the range that the kernel gives to clients, besides what others reserved; returns whether it had to. To be called in
    /// the namespace of the node.
    /// </summary>
    public static bool Ensure(ushort first, ushort last)
    {
        if (Sysctl.Read(Reserved) is not { } present || Sysctl.Read(Ephemeral) is not { } ephemeral)
            return false;
        return Merge(present, ephemeral, first, last) is { } merged && Sysctl.Write(Reserved, merged);
    }

    /// <summary>The new setting, or null when nothing is to be done.</summary>
    internal static string? Merge(string present, string ephemeral, ushort first, ushort last)
    {
        string[] ends = ephemeral.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        int low = Math.Max(first, int.Parse(ends[0], CultureInfo.InvariantCulture));
        int high = Math.Min(last, int.Parse(ends[1], CultureInfo.InvariantCulture));
        List<(int First, int Last)> ranges = [.. present.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(Parse)];
        if (low > high || ranges.Any(r => r.First <= low && r.Last >= high))
            return null;
        ranges.Add((low, high));
        return string.Join(',', ranges.Select(r => r.First == r.Last ? $"{r.First}" : $"{r.First}-{r.Last}"));
    }

    private static (int First, int Last) Parse(string range)
    {
        string[] ends = range.Split('-');
        return (int.Parse(ends[0], CultureInfo.InvariantCulture), int.Parse(ends[^1], CultureInfo.InvariantCulture));
    }
}
