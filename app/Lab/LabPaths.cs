// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Lab;

/// <summary>
/// Where a lab keeps what is on disk. Everything of a lab hangs on two things: this folder and one cgroup of the same name, so that
/// removing both removes the lab, whoever of its processes is still alive. Labs with different roots do not meet.
/// </summary>
internal sealed record LabPaths(string Root, string CgroupMount)
{
    public const string DefaultRoot = "/run/axoneme-lab";

    /// <summary>Name for messages, and of the cgroup.</summary>
    public string Name => Path.GetFileName(Root);

    public string Cgroup => Path.Combine(CgroupMount, Name);

    public string ControlSocket => Path.Combine(Root, "control.sock");

    public string SupervisorPid => Path.Combine(Root, "supervisor.pid");

    public string SupervisorLog => Path.Combine(Root, "supervisor.log");

    public string Kubeconfig => Path.Combine(Root, "kubeconfig");

    public string Options => Path.Combine(Root, "options.json");

    public string Manifests => Path.Combine(Root, "manifests");

    public string Namespaces => Path.Combine(Root, "netns");

    public string NamespaceOf(string name) => Path.Combine(Namespaces, $"axl-{name}");

    public string Node(string node) => Path.Combine(Root, "nodes", node);

    /// <param name="name">From --name; null is the lab that is meant when nothing is said.</param>
    public static LabPaths Find(string? name)
    {
        string root = Environment.GetEnvironmentVariable("AXONEME_LAB_ROOT") is { Length: > 0 } given ? given : DefaultRoot;
        if (name is not null)
        {
            if (name.Length is 0 or > 24 || !name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-'))
                throw new UserErrorException($"--name: '{name}' is not 1 to 24 of a-z, 0-9 and '-'");
            root += "-" + name;
        }

        return new LabPaths(Path.GetFullPath(root), FindCgroupMount());
    }

    private static string FindCgroupMount()
    {
        foreach (string line in File.ReadLines("/proc/self/mounts"))
            if (line.Split(' ') is [_, var target, "cgroup2", ..])
                return target;
        throw new UserErrorException("no cgroup2 file system is mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified");
    }
}

/// <summary>What the user asked for cannot be done; the message says what to change. No stack trace is printed.</summary>
internal sealed class UserErrorException(string message, int status = 1) : Exception(message)
{
    public int Status { get; } = status;
}
