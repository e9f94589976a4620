// SPDX-License-Identifier: Apache-2.0
using System.Text.RegularExpressions;
using Axoneme.Bpf.Btf;

namespace Axoneme.Bpf.KernelTests;

public sealed partial class FeatureTests
{
    public static TheoryData<string> Names => [.. BpfFeatures.All.Select(feature => feature.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Probe_agrees_with_the_kernel_version(string name)
    {
        BpfFeature feature = BpfFeatures.All.Single(candidate => candidate.Name == name);
        Version running = Version.Parse(VersionPrefix().Match(File.ReadAllText("/proc/sys/kernel/osrelease")).Value);
        bool supported = feature.IsSupported;
        // An option may be left out of the kernel; without one, a new enough kernel has the feature.
        if (feature.Configuration is null)
            Assert.Equal(running >= feature.MinimumKernel, supported);
        else if (supported)
            Assert.True(running >= feature.MinimumKernel);
    }

    [Fact]
    public void Netkit_probe_agrees_with_the_kernel_symbols()
    {
        // An independent witness: the kernel that has the driver exports its attach function.
        bool present = File.ReadLines("/proc/kallsyms")
            .Any(line => line.Contains(" netkit_link_attach", StringComparison.Ordinal));
        Assert.Equal(present, BpfFeatures.Netkit.IsSupported);
    }

    [Fact]
    public void Kernel_types_can_be_read()
    {
        BtfTypes types = BtfTypes.ReadKernel();
        BtfType buffer = types.Find(BtfKind.Struct, "sk_buff")!;
        Assert.Contains(buffer.Members, member => member.Name == "sk");
        Assert.Equal(16u, types.SizeOf(types.Find(BtfKind.Struct, "in6_addr")!.Id));
    }

    [GeneratedRegex(@"^\d+\.\d+")]
    private static partial Regex VersionPrefix();
}
