// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;

namespace Axoneme.Datapath.Tests;

/// <summary>Figures, not judgements: run with <c>-explicit only</c>; they are printed, never asserted.</summary>
public sealed class CostTests(ITestOutputHelper output)
{
    [Theory(Explicit = true), MemberData(nameof(Family.Both), MemberType = typeof(Family))]
    public void Cost_of_established_and_new(Family f)
    {
        using var c = new Cluster(f, connections: 65536);
        Packet data = Packet.TcpFrom(f.At(f.Client, 40000), f.At(f.Server, 80), Tcp.Ack) with { HopLimit = 255 };
        c.Node.Send(c.Client, data);
        // A test run hands the changed packet on to the next repetition, so hops run out: measure in rounds below that.
        BpfProgram program = c.Client.Programs.Program(EndpointObject.EndpointEgress);
        double established = Enumerable.Range(0, 3000).Average(_ => program.TestRun(data.ToBytes(), repeat: 250).Duration.TotalNanoseconds);
        double fresh = Enumerable.Range(0, 3000).Average(i =>
            program.TestRun((data with { FromPort = (ushort)(i + 1), ToPort = 81 }).ToBytes()).Duration.TotalNanoseconds);
        output.WriteLine($"{f}: established {established:F0} ns, new {fresh:F0} ns (single cold runs, with events), verifier {c.Node.Shared.Program(PodObject.FromPod).GetInfo()}");
    }

    [Fact(Explicit = true)]
    public void Cost_of_loading_the_programs_of_an_endpoint()
    {
        using var node = new Node();
        TimeSpan[] times = [.. Enumerable.Range(1, 51).Select(i =>
        {
            long start = Stopwatch.GetTimestamp();
            node.LoadEndpointPrograms((ushort)i);
            return Stopwatch.GetElapsedTime(start);
        }).Skip(1).Order()];
        output.WriteLine($"median {times[25].TotalMilliseconds:F2} ms, {times[0].TotalMilliseconds:F2} to {times[^1].TotalMilliseconds:F2}");
    }
}
