// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Datapath.Abi;

namespace Axoneme.Hubble.Tests;

public sealed class KernelEventTests
{
    [Fact]
    public void Event_of_the_kernel_is_read_member_by_member()
    {
        byte[] packet = Packets.Frame("10.244.0.5", "10.244.0.6", 6, Packets.Tcp(1, 2, 2));
        Event raw = new()
        {
            Type = (byte)EventType.PolicyVerdict,
            Flags = (byte)(EventFlags.HasOriginal | EventFlags.ReplyKnown | EventFlags.Reply),
            EndpointId = 7,
            OriginalPort = 80,
            PolicyDirection = 1,
            PolicyAction = (byte)VerdictAction.Denied,
            CapturedLen = (ushort)packet.Length,
        };
        ((ReadOnlySpan<byte>)[10, 96, 0, 10]).CopyTo(raw.OriginalAddr.Bytes);
        packet.CopyTo(raw.Packet);
        byte[] sample = MemoryMarshal.AsBytes(new ReadOnlySpan<Event>(in raw)).ToArray();

        Assert.True(KernelEvent.TryRead(sample, out KernelEvent kernel));
        Assert.Equal(MonitorEvent.PolicyVerdict, kernel.Type);
        Assert.Equal((true, true, PolicyAction.Denied), (kernel.IsReply, kernel.IsEgressPolicy, kernel.PolicyAction));
        Assert.Equal(("10.96.0.10", (ushort)80), (kernel.Frontend!.Value.Address.ToString(), kernel.Frontend.Value.Port));
        Assert.Equal(packet, kernel.Packet.ToArray());
    }

    [Fact]
    public void Numbers_of_the_kernel_are_those_of_the_flow_api()
    {
        Assert.Equal((int)Api.TraceObservationPoint.ToEndpoint, (int)TracePoint.ToEndpoint);
        Assert.Equal((int)Api.TraceObservationPoint.FromNetwork, (int)TracePoint.FromNetwork);
        Assert.Equal((int)Api.TraceReason.Established, (int)CtState.Established);
        Assert.Equal((int)MonitorEvent.PolicyVerdict, (int)EventType.PolicyVerdict);
        Assert.All(Enum.GetValues<PolicyAction>(), action => Assert.Equal(action.ToString(), ((VerdictAction)action).ToString()));
    }

    [Fact]
    public void Every_source_of_the_programs_has_a_name()
        => Assert.All(Enum.GetValues<SourceFile>().Where(f => f != SourceFile.Unknown), f => Assert.EndsWith(
            f is SourceFile.Pod or SourceFile.Host or SourceFile.Overlay or SourceFile.Endpoint or SourceFile.Xdp ? ".c" : ".h", SourceFiles.NameOf((byte)f)));

    [Fact]
    public void Samples_of_any_length_and_content_never_fail()
    {
        var random = new Random(3);
        var observer = new HubbleObserver(new HubbleOptions { NodeName = "n", Version = "1.0.0" }, new KnownCluster(), TimeProvider.System);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] sample = new byte[random.Next(260)];
            random.NextBytes(sample);
            observer.Ingest(sample);
        }

        Assert.Equal(20_000, observer.Counters.SeenFlows + observer.LostEvents);
    }
}
