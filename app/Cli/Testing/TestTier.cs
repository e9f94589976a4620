// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Cli.Testing;

/// <summary>A folder below test/: its programs run one after the other, for the kernel state they share is one.</summary>
/// <param name="Needs">Commands that its tests use, each with the Debian package that brings it.</param>
internal sealed record TestTier(string Name, TimeSpan Limit, params IReadOnlyList<(string Command, string Package)> Needs)
{
    /// <summary>In the order in which they run: what is quick and breaks most comes first.</summary>
    public static readonly IReadOnlyList<TestTier> All =
    [
        new("unit", TimeSpan.FromMinutes(5)),
        new("scenarios", TimeSpan.FromMinutes(5)),
        new("datapath", TimeSpan.FromMinutes(5)),
        new("lab", TimeSpan.FromMinutes(17), ("kubectl", "kubernetes-client"), ("bpftool", "bpftool"), ("nft", "nftables"), ("tcpdump", "tcpdump")),
        new("peers", TimeSpan.FromMinutes(5), ("kubectl", "kubernetes-client"), ("promtool", "prometheus")),
        new("vm", TimeSpan.FromMinutes(10), ("qemu-system-x86_64", "qemu-system-x86")),
        new("ui", TimeSpan.FromMinutes(5), ("chromium", "chromium")),
    ];

    public IEnumerable<string> Projects(string repository)
    {
        string folder = Path.Combine(repository, "test", Name);
        return Directory.Exists(folder)
            ? Directory.EnumerateFiles(folder, "*.csproj", SearchOption.AllDirectories).Order(StringComparer.Ordinal) : [];
    }
}
