// SPDX-License-Identifier: Apache-2.0
using System.Globalization;

namespace Axoneme.Cli.Explanations;

/// <summary>A node of a lab on this machine, by the process that holds its namespaces.</summary>
internal sealed record LabNode(string Name, int Holder)
{
    // Not /var/run, which may be a link that would lead out of the node's root again.
    public string AgentAddress => $"unix:///proc/{Holder}/root/run/cilium/cilium.sock";

    public string HubbleAddress => $"unix:///proc/{Holder}/root/run/cilium/hubble.sock";
}

/// <summary>
/// A lab as its folder shows it, for commands outside of its nodes. The folder is the lab's own: one for each node, with the process
/// that holds the namespaces in <c>holder.pid</c>.
/// </summary>
internal sealed record RunningLab(string Root, IReadOnlyList<LabNode> Nodes)
{
    private const string DefaultRoot = "/run/axoneme-lab";

    /// <summary>The lab that is meant when nothing is said: the one of the environment, the one without a name, or the only one. Null: none runs.</summary>
    /// <exception cref="UserErrorException">Several run, and all of them have names.</exception>
    public static RunningLab? Find()
    {
        if (Environment.GetEnvironmentVariable("AXONEME_LAB_ROOT") is { Length: > 0 } given)
            return Read(given);
        if (Read(DefaultRoot) is { } unnamed)
            return unnamed;
        RunningLab[] named = [.. Directory.EnumerateDirectories("/run", "axoneme-lab-*").Select(Read).OfType<RunningLab>()];
        return named.Length < 2 ? named.FirstOrDefault()
            : throw new UserErrorException($"several labs are running: set AXONEME_LAB_ROOT to one of {string.Join(", ", named.Select(l => l.Root).Order(StringComparer.Ordinal))}");
    }

    public static RunningLab? Read(string root)
    {
        string nodes = Path.Combine(root, "nodes");
        if (!Directory.Exists(nodes))
            return null;
        LabNode[] found = [.. Directory.EnumerateDirectories(nodes).Order(StringComparer.Ordinal).Select(ReadNode).OfType<LabNode>()];
        return found.Length == 0 ? null : new RunningLab(root, found);
    }

    /// <exception cref="UserErrorException">There is no such node.</exception>
    public LabNode Require(string name)
        => Nodes.FirstOrDefault(n => n.Name == name)
            ?? throw new UserErrorException($"--node: the lab has no node '{name}': it has {string.Join(", ", Nodes.Select(n => n.Name))}");

    // A lab that crashed leaves the file behind.
    private static LabNode? ReadNode(string folder)
    {
        string file = Path.Combine(folder, "holder.pid");
        return File.Exists(file) && int.TryParse(File.ReadAllText(file), NumberStyles.None, CultureInfo.InvariantCulture, out int holder)
            && Directory.Exists($"/proc/{holder}") ? new LabNode(Path.GetFileName(folder), holder) : null;
    }
}
