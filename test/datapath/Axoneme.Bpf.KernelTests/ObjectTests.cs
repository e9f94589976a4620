// SPDX-License-Identifier: Apache-2.0
using System.Reflection;
using System.Text;

namespace Axoneme.Bpf.KernelTests;

public sealed class ObjectTests : IDisposable
{
    private static readonly BpfObjectImage Sample =
        BpfObjectImage.FromResource(Assembly.GetExecutingAssembly(), "sample");
    private static readonly byte[] Packet = [.. new byte[12], 0x08, 0x00, .. new byte[50]];
    private readonly Sandbox _sandbox = new();

    public void Dispose() => _sandbox.Dispose();

    [Fact]
    public void Constants_set_before_the_load_decide_what_the_program_does()
    {
        Assert.Equal(0, Run(verdict: 0));
        Assert.Equal(2, Run(verdict: 2));

        static int Run(uint verdict)
        {
            using BpfObject loaded = Sample.Open();
            loaded.SetConstant("verdict", verdict);
            loaded.Load();
            return loaded.Program("decide").TestRun(Packet).ReturnValue;
        }
    }

    [Fact]
    public void Test_run_returns_context_and_counts_on_the_processor_it_ran_on()
    {
        using BpfObject loaded = Sample.Open();
        loaded.Load();
        SkBuffContext context = default;
        byte[] output = new byte[256];
        BpfTestRunResult result = loaded.Program("decide").TestRun(Packet, output, ref context, repeat: 5);
        Assert.Equal(7u, context.Mark);
        Assert.Equal(Packet.Length, result.OutputLength);
        Assert.Equal(Packet, output[..Packet.Length]);
        using var perCpu = loaded.Map("sample_percpu").AsPerCpu<uint, uint>();
        uint[] counts = new uint[ProcessorSet.PossibleCount];
        Assert.True(perCpu.TryLookup(0, counts));
        Assert.Equal(5u, counts.Aggregate((a, b) => a + b));
    }

    [Fact]
    public void Objects_that_pin_by_name_share_the_map()
    {
        using BpfObject first = Sample.Open();
        using BpfObject second = Sample.Open();
        foreach (BpfObject loaded in (BpfObject[])[first, second])
        {
            loaded.ReusePinned(_sandbox.PinDirectory);
            loaded.Load();
            loaded.Program("decide").TestRun(Packet);
        }

        using var counters = BpfMap.OpenPinned(_sandbox.Pin("sample_counters")).As<uint, ulong>();
        Assert.True(counters.TryLookup(0, out ulong count));
        Assert.Equal(2ul, count);
        Assert.Equal(counters.Map.Id, second.Map("sample_counters").Id);
    }

    [Fact]
    public void Object_refuses_a_pinned_map_of_another_shape()
    {
        using (BpfMap garbage = BpfMap.Create(new BpfMapSpec("sample_counters", BpfMapType.Hash, 8, 16, 4)))
            garbage.Pin(_sandbox.Pin("sample_counters"));
        using BpfObject loaded = Sample.Open();
        var failure = Assert.Throws<BpfMapMismatchException>(() => loaded.ReusePinned(_sandbox.PinDirectory));
        Assert.Equal(3, failure.Differences.Count);
    }

    [Fact]
    public void Program_sees_the_map_inside_a_map()
    {
        using BpfObject loaded = Sample.Open();
        loaded.Load();
        SkBuffContext context = new() { Mark = 9 };
        BpfProgram program = loaded.Program("look_inside");
        Assert.Equal(-1, program.TestRun(Packet, default, ref context).ReturnValue);
        using var inner = BpfMap.Create(Sample.Maps["sample_outer"].Inner!).As<uint, ulong>();
        inner.Update(9, 1234);
        loaded.Map("sample_outer").SetInner(BitConverter.GetBytes(3), inner.Map);
        Assert.Equal(1234, program.TestRun(Packet, default, ref context).ReturnValue);
    }

    [Fact]
    public void Size_of_a_map_can_be_set_before_the_load()
    {
        using BpfObject loaded = Sample.Open();
        loaded.SetMaxEntries("sample_counters", 100);
        loaded.Load();
        Assert.Equal(100u, loaded.Map("sample_counters").Spec.MaxEntries);
    }

    [Fact]
    public void Only_selected_programs_are_loaded()
    {
        using BpfObject loaded = Sample.Open();
        loaded.SelectPrograms("decide");
        loaded.Load();
        Assert.Equal("decide", loaded.Program("decide").GetInfo().Name);
        Assert.ThrowsAny<Exception>(() => loaded.Program("emit"));
        Assert.Throws<ArgumentException>(() => Sample.Open().SelectPrograms("no_such_program"));
    }

    [Fact]
    public void Verifier_says_why_in_the_exception()
    {
        using BpfObject loaded = BpfObjectImage.FromResource(Assembly.GetExecutingAssembly(), "broken").Open();
        var failure = Assert.Throws<BpfLoadException>(loaded.Load);
        Assert.Equal(Linux.Errno.EACCES, failure.Errno);
        Assert.Contains("invalid access to packet", failure.Message, StringComparison.Ordinal);
        Assert.Contains("read_blindly", failure.Log, StringComparison.Ordinal);
    }

    [Fact]
    public void Failed_and_successful_loads_leave_no_descriptor_behind()
    {
        BpfObjectImage broken = BpfObjectImage.FromResource(Assembly.GetExecutingAssembly(), "broken");
        void Both()
        {
            using (BpfObject failing = broken.Open())
                Assert.Throws<BpfLoadException>(failing.Load);
            using BpfObject loaded = Sample.Open();
            loaded.ReusePinned(_sandbox.PinDirectory);
            loaded.Load();
            loaded.Program("decide");
            loaded.Map("sample_counters");
        }

        Both();
        int before = BpfDescriptors();
        for (int i = 0; i < 5; i++)
            Both();
        Assert.Equal(before, BpfDescriptors());

        static int BpfDescriptors() => Directory.GetFileSystemEntries("/proc/self/fd")
            .Where(File.Exists)
            .Select(path => File.ResolveLinkTarget(path, false)?.ToString() ?? "")
            .Count(target => target.Contains("bpf-", StringComparison.Ordinal)
                || target.Contains("btf", StringComparison.Ordinal));
    }

    [Fact]
    public void One_image_loads_in_parallel()
    {
        uint[] results = new uint[24];
        Parallel.For(0, results.Length, i =>
        {
            using BpfObject loaded = Sample.Open();
            loaded.SetConstant("verdict", (uint)i);
            loaded.Load();
            results[i] = (uint)loaded.Program("decide").TestRun(Packet).ReturnValue;
        });
        Assert.Equal(Enumerable.Range(0, results.Length).Select(i => (uint)i), results);
    }

    [Fact]
    public void Garbage_is_not_an_object()
    {
        Assert.Throws<InvalidDataException>(
            () => BpfObjectImage.Parse("garbage", Encoding.ASCII.GetBytes("not an object file")));
        Assert.Throws<InvalidDataException>(() => BpfObjectImage.Parse("cut", Sample.Bytes[..200]));
    }
}
