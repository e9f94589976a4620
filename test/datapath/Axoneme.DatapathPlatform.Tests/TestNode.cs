// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Datapath;
using Axoneme.Linux;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.DatapathPlatform.Tests;

/// <summary>A node of its own: namespace, bpffs and cgroup. Disposing removes all of it, also after a failed test.</summary>
internal sealed class TestNode : IDisposable
{
    public static readonly IpAddress Router4 = IpAddress.Parse("10.55.0.1");
    public static readonly IpAddress Router6 = IpAddress.Parse("fd00:55::1");
    private const string Folder = "/run/netns";
    private static int s_count;

    private readonly List<(string Name, NetworkNamespace Namespace)> _namespaces = [];
    private readonly string _name = $"dp-{Environment.ProcessId}-{Interlocked.Increment(ref s_count)}";

    public TestNode(RoutingMode mode = RoutingMode.Native)
    {
        string root = Path.Combine(Path.GetTempPath(), _name);
        Options = new DatapathOptions
        {
            BpfRoot = Path.Combine(root, "bpf"),
            CgroupRoot = CreateCgroup(),
            RoutingMode = mode,
            EnableIPv6 = true,
            RouterIPv4 = Router4,
            RouterIPv6 = Router6,
            HostNamespace = AddNamespace("node"),
            // Small maps: a test creates them many times over.
            MapSizes = ImmutableDictionary<string, uint>.Empty
                .Add("cilium_ct4_global", 4096)
                .Add("cilium_ct6_global", 4096)
                .Add("cilium_lb4_reverse_sk", 1024)
                .Add("cilium_lb6_reverse_sk", 1024),
        };
    }

    public DatapathOptions Options { get; set; }

    public NetworkNamespace Host => Options.HostNamespace!;

    public DatapathPaths Paths => new(Options.BpfRoot);

    public NodeDatapath Start() => NodeDatapath.Start(Options);

    /// <summary>For tests of maps alone, which start no node.</summary>
    public void MountBpf() => Assert.True(BpfFileSystem.Ensure(Options.BpfRoot));

    /// <summary>A pod with an endpoint that may talk to everybody.</summary>
    public async Task<NetworkNamespace> AddPodAsync(NodeDatapath node, ushort id, CancellationToken cancellation)
    {
        NetworkNamespace pod = AddNamespace($"pod{id}");
        EndpointInterface created = await node.Endpoints.CreateAsync(Endpoint(id), pod);
        await new PolicyTarget(node.Maps).ApplyAsync([new EndpointPolicy(id, Revision: 1)], new ReconcileFailures<ushort>(), cancellation);
        await new IpcacheTarget(node.Maps).ApplyAsync(
            [.. created.Spec.Addresses.Select(a => new IpcacheEntry(IpPrefix.Single(a), created.Spec.Identity))],
            new ReconcileFailures<IpPrefix>(), cancellation);
        await new EndpointMapTarget(node.Maps).ApplyAsync([.. created.MapEntries()], new ReconcileFailures<IpAddress>(), cancellation);
        return pod;
    }

    public NetworkNamespace AddNamespace(string suffix)
    {
        string name = $"{_name}-{suffix}";
        NetworkNamespace created = NetworkNamespace.Create(Folder, name);
        _namespaces.Add((name, created));
        return created;
    }

    public static EndpointInterfaceSpec Endpoint(ushort id) => new(id)
    {
        HostDevice = $"lxc{id}",
        Identity = new SecurityIdentity(1000u + id),
        IPv4 = Router4.Add(id),
        IPv6 = Router6.Add(id),
    };

    public void Dispose()
    {
        foreach ((string name, NetworkNamespace opened) in _namespaces)
        {
            opened.Dispose();
            NetworkNamespace.Delete(Folder, name);
        }

        // The links die with the bpffs, and with them what is attached to the cgroup.
        if (Libc.Unmount(Options.BpfRoot, Libc.MNT_DETACH) == 0)
            Directory.Delete(Options.BpfRoot);
        string root = Path.GetDirectoryName(Options.BpfRoot)!;
        if (Directory.Exists(root))
            Directory.Delete(root, recursive: true);
        Directory.Delete(Options.CgroupRoot);
    }

    private string CreateCgroup()
    {
        string mount = File.ReadLines("/proc/self/mountinfo").Select(l => l.Split(' '))
            .First(f => f[Array.IndexOf(f, "-") + 1] == "cgroup2")[4];
        string path = Path.Combine(mount, _name);
        Directory.CreateDirectory(path);
        return path;
    }
}
