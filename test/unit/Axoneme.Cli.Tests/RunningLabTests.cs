// SPDX-License-Identifier: Apache-2.0
using Axoneme.Cli.Explanations;

namespace Axoneme.Cli.Tests;

public sealed class RunningLabTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("axoneme-lab-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void A_lab_is_known_by_the_processes_that_hold_its_nodes()
    {
        Assert.Null(RunningLab.Read(_root));
        Node("node2", Environment.ProcessId.ToString());
        Node("node1", Environment.ProcessId.ToString());
        // What a crash leaves behind: nobody has such a number.
        Node("node3", "99999999");
        Directory.CreateDirectory(Path.Combine(_root, "nodes", "node4"));
        RunningLab lab = RunningLab.Read(_root)!;
        Assert.Equal(["node1", "node2"], lab.Nodes.Select(n => n.Name));
        Assert.Equal($"unix:///proc/{Environment.ProcessId}/root/run/cilium/cilium.sock", lab.Require("node2").AgentAddress);
        UserErrorException error = Assert.Throws<UserErrorException>(() => lab.Require("node3"));
        Assert.Equal("--node: the lab has no node 'node3': it has node1, node2", error.Message);
    }

    private void Node(string name, string holder)
    {
        string folder = Path.Combine(_root, "nodes", name);
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "holder.pid"), holder);
    }
}
