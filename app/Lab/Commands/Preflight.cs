// SPDX-License-Identifier: Apache-2.0
using Axoneme.Linux;

namespace Axoneme.Lab.Commands;

/// <summary>Says what this machine lacks, and what to do about it, before anything is created.</summary>
internal static class Preflight
{
    // Programs are attached by tcx, which came with it.
    private static readonly Version OldestKernel = new(6, 6);

    public static void RequireRoot(string command)
    {
        if (Libc.GetEffectiveUserId() != 0)
            throw new UserErrorException($"\"{command}\" creates network namespaces and loads kernel programs, which needs root: sudo ./axoneme {command}");
    }

    public static void RequireMachine(LabPaths paths)
    {
        var problems = new List<string>();
        string release = File.ReadAllText("/proc/sys/kernel/osrelease").Trim();
        if (Version.TryParse(string.Join('.', release.Split('.', '-').Take(2)), out Version? kernel) && kernel < OldestKernel)
            problems.Add($"the kernel is {release}, older than {OldestKernel}: install a newer one and restart");
        string[] fileSystems = [.. File.ReadLines("/proc/filesystems").Select(l => l.Split('\t')[^1])];
        if (!fileSystems.Contains("bpf"))
            problems.Add("the kernel has no bpf file system (CONFIG_BPF_SYSCALL): use a distribution's kernel");
        if (!File.Exists("/sys/kernel/btf/vmlinux"))
            problems.Add("the kernel carries no type information (CONFIG_DEBUG_INFO_BTF): use a distribution's kernel");
        if (!File.Exists("/proc/self/ns/net") || !File.Exists("/proc/self/ns/mnt"))
            problems.Add("the kernel has no network or mount namespaces (CONFIG_NET_NS): use a distribution's kernel");
        if (!Directory.Exists("/proc/sys/net/ipv6"))
            problems.Add("IPv6 is off: start the machine without ipv6.disable=1");
        foreach (string program in (string[])["nsenter", "unshare", "mount", "hostname"])
            if (!(Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(f => File.Exists(Path.Combine(f, program))))
                problems.Add($"the command {program} is missing: apt-get install util-linux mount hostname");
        foreach (string file in Artifacts.Missing())
            problems.Add($"{file} is not built: start the lab through ./axoneme, which builds it");
        if (!Directory.Exists(paths.CgroupMount))
            problems.Add($"{paths.CgroupMount} cannot be used");
        if (problems.Count > 0)
            throw new UserErrorException("this machine lacks something:\n" + string.Join('\n', problems.Select(p => $"  - {p}")));
    }
}
