// SPDX-License-Identifier: Apache-2.0
using Axoneme.Lab.Control;

namespace Axoneme.Lab.Commands;

/// <summary><c>lab status</c>: tables of what runs.</summary>
internal static class StatusCommand
{
    public static Task<int> RunAsync(LabPaths paths, ArgumentList arguments)
    {
        arguments.RequireEmpty();
        return PrintAsync(paths);
    }

    /// <summary>Returns 0 when all nodes are ready.</summary>
    public static async Task<int> PrintAsync(LabPaths paths)
    {
        LabStatus status = (await ControlClient.AskAsync(paths, new ControlRequest("status"))).Status!;
        Table("NODE STATUS ADDRESSES POD-CIDRS AGENT", status.Nodes.Select(n => new[] { n.Name, n.Status, n.Addresses, n.PodCidrs, n.Agent }));
        Table("NAMESPACE POD READY STATUS RESTARTS ADDRESSES NODE", status.Pods.Select(
            p => new[] { p.Namespace, p.Name, p.Ready, p.Status, $"{p.Restarts}", p.Addresses, p.Node }));
        Table("NAMESPACE SERVICE TYPE ADDRESSES PORTS BACKENDS", status.Services.Select(
            s => new[] { s.Namespace, s.Name, s.Type, s.Addresses, s.Ports, $"{s.Backends}" }));
        Console.WriteLine();
        Console.WriteLine($"API {status.Server}   kubeconfig {status.Kubeconfig}");
        return status.Nodes.All(n => n.Status == "Ready") ? 0 : 1;
    }

    private static void Table(string header, IEnumerable<string[]> rows)
    {
        string[][] lines = [header.Split(' '), .. rows];
        int[] widths = [.. Enumerable.Range(0, lines[0].Length).Select(column => lines.Max(l => l[column].Length))];
        Console.WriteLine();
        foreach (string[] line in lines)
            Console.WriteLine(string.Join("   ", line.Select((cell, column) => cell.PadRight(widths[column]))).TrimEnd());
    }
}
