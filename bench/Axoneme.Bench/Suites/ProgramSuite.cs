// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Datapath.Tests;

namespace Axoneme.Bench.Suites;

/// <summary>
/// Cost of the shipped pod program for one packet between two pods of a node, by BPF_PROG_TEST_RUN: conntrack, policy, ipcache and
/// rewriting, without the network stack around it.
/// </summary>
internal static class ProgramSuite
{
    // A repetition gets the packet that the one before left, with a hop less: stay below 255.
    private const int Repetitions = 250;
    private const int Samples = 400;
    private const int Loads = 20;

    // Before the node's event rings, 64 KiB a processor, are full: into a full ring an event is cheaper.
    private const int RunsPerDrain = 100;

    public static IEnumerable<Row> Run(BenchOptions options)
    {
        foreach (bool isV6 in new[] { false, true })
        {
            using var node = new Node(connections: 65536);
            Pod client = node.AddPod(5, 20001, "10.244.0.5", "fd00:244::5");
            node.AddPod(6, 20002, "10.244.0.6", "fd00:244::6");
            string version = isV6 ? "IPv6" : "IPv4";
            Packet data = PacketOf(isV6, fromPort: 40000, toPort: 80) with { Flags = Tcp.Ack, HopLimit = 255 };
            node.Send(client, data);
            BpfProgram program = client.Programs.Program(EndpointObject.EndpointEgress);
            yield return Row.FromSamples(
                $"pod program, established, {version}", "ns", Established(node, client, program, data), 0.5, aim: 150);
            yield return Row.FromSamples(
                $"pod program, established, run singly, {version}", "ns", Single(node, client, data, i => data), 0.5, aim: 0);
            yield return Row.FromSamples($"pod program, new flow, {version}", "ns",
                Single(node, client, data, i => PacketOf(isV6, fromPort: (ushort)(i + 1), toPort: 81)), 0.5, aim: 500);
        }

        foreach (Row row in FrameProgram.Run())
            yield return row;
        yield return Row.FromSamples("endpoint programs, load", "ms", LoadTimes(), 0.5, aim: 10);
    }

    private static Packet PacketOf(bool isV6, ushort fromPort, ushort toPort) => isV6
        ? Packet.TcpFrom($"[fd00:244::5]:{fromPort}", $"[fd00:244::6]:{toPort}")
        : Packet.TcpFrom($"10.244.0.5:{fromPort}", $"10.244.0.6:{toPort}");

    private static double[] Established(Node node, Pod client, BpfProgram program, Packet data)
    {
        byte[] frame = data.ToBytes();
        return [.. Enumerable.Range(0, Samples).Select(i =>
        {
            if (i % RunsPerDrain == 0)
                node.Send(client, data);
            return (double)program.TestRun(frame, repeat: Repetitions).Nanoseconds;
        })];
    }

    /// <summary>One run a system call. Branch predictors and caches have seen the call and us in between, and the kernel's two readings of
    /// the clock are in the figure.</summary>
    private static double[] Single(Node node, Pod client, Packet established, Func<int, Packet> packet)
    {
        const int Count = Samples * 10;
        BpfProgram program = client.Programs.Program(EndpointObject.EndpointEgress);
        byte[][] frames = [.. Enumerable.Range(0, Count).Select(i => packet(i).ToBytes())];
        var samples = new double[Count];
        for (int i = 0; i < Count; i++)
        {
            if (i % RunsPerDrain == 0)
                node.Send(client, established);
            samples[i] = program.TestRun(frames[i]).Nanoseconds;
        }

        return samples;
    }

    /// <summary>What an endpoint adds to the programs that all share, up to where it can be attached.</summary>
    private static double[] LoadTimes()
    {
        using var node = new Node();
        node.LoadEndpointPrograms(1);
        return [.. Enumerable.Range(2, Loads).Select(id =>
        {
            long start = Stopwatch.GetTimestamp();
            node.LoadEndpointPrograms((ushort)id);
            return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        })];
    }
}
