// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Net.Sockets;
using Axoneme.Kubernetes.Resources;
using Axoneme.Lab.Nodes;
using Axoneme.Linux;

namespace Axoneme.Lab.Pods;

/// <summary>A pod's namespaces, cgroup and files on its node. Containers of a pod share the network and the host name.</summary>
internal sealed class PodSandbox
{
    // $1 host name or empty, $2 the pod's folder. Names of the machine must not leak into the pod, so the files are mounted over.
    private const string Enter = """
        if [ -n "$1" ]; then hostname "$1"; fi
        for f in hosts resolv.conf; do
          t=$(readlink -m "/etc/$f"); [ -e "$t" ] || { mkdir -p "${t%/*}"; : >"$t"; }
          mount -n --bind "$2/$f" "$t"
        done
        shift 2
        exec "$@"
        """;

    private readonly NodeSandbox _node;
    private readonly Pod _pod;
    private readonly string _folderName;

    public PodSandbox(NodeSandbox node, Pod pod)
    {
        _node = node;
        _pod = pod;
        string uid = pod.Metadata.Uid ?? "";
        _folderName = $"{pod.Metadata.Namespace}_{pod.Metadata.Name}_{uid}";
        Folder = Path.Combine(node.Folder, "pods", _folderName);
        Cgroup = Path.Combine(node.Cgroup, $"pod{uid}");
        Attachment = new CniAttachment(Guid.NewGuid().ToString("N"), $"cni-{Guid.NewGuid()}", pod.Metadata.Namespace, pod.Metadata.Name, uid);
        IsHostNetwork = pod.Spec.HostNetwork == true;
    }

    public bool IsHostNetwork { get; }

    public string Folder { get; }

    public string Cgroup { get; }

    public CniAttachment Attachment { get; }

    public string LogFile(string container) => Path.Combine(Folder, $"{container}.log");

    private string NetworkNamespaceFile
        => IsHostNetwork ? _node.NetworkNamespaceFile : $"{_node.RootDirectory}/run/netns/{Attachment.NetworkNamespace}";

    public void Create()
    {
        Directory.CreateDirectory(Folder);
        Lab.Cgroup.Create(Cgroup);
        if (!IsHostNetwork)
            _node.CreatePodNamespace(Attachment.NetworkNamespace);
    }

    public void WriteNameFiles(IReadOnlyList<string> addresses)
    {
        string host = _pod.Spec.Hostname ?? _pod.Metadata.Name;
        File.WriteAllText(Path.Combine(Folder, "hosts"),
            "127.0.0.1 localhost\n::1 localhost ip6-localhost\n" + string.Concat(addresses.Select(a => $"{a} {host}\n")));
        string domain = "cluster.local";
        File.WriteAllText(Path.Combine(Folder, "resolv.conf"),
            $"nameserver {ClusterDns.ServiceAddress}\nsearch {_pod.Metadata.Namespace}.svc.{domain} svc.{domain} {domain}\noptions ndots:5\n");
    }

    public Process Start(string container, IReadOnlyDictionary<string, string> environment, IReadOnlyList<string> command, string? workingFolder)
    {
        string[] moved = workingFolder is null ? [.. command] : ["sh", "-c", "cd \"$0\" && exec \"$@\"", workingFolder, .. command];
        return Launch.Start(Place(container) with { Environment = environment, LogFile = LogFile(container) },
        [
            "unshare", "--mount", "--propagation", "slave", .. IsHostNetwork ? Array.Empty<string>() : ["--uts"], "--",
            "sh", "-ec", Enter, "sh", IsHostNetwork ? "" : _pod.Spec.Hostname ?? _pod.Metadata.Name,
            $"{NodeSandbox.FolderInside}/pods/{_folderName}", .. moved,
        ]);
    }

    private ProcessPlace Place(string container) => NodeSandbox.PlaceFor(_node.HolderId, NetworkNamespaceFile) with
    {
        Cgroup = Lab.Cgroup.Create(Path.Combine(Cgroup, container)),
    };

    /// <summary>Ends what still runs and removes everything but the folder with the logs, which goes last.</summary>
    public async Task RemoveAsync(CniRuntime runtime, CancellationToken cancellation)
    {
        await Lab.Cgroup.KillAsync(Cgroup, cancellation);
        if (!IsHostNetwork)
        {
            await runtime.DeleteAsync(Attachment, cancellation);
            _node.DeletePodNamespace(Attachment.NetworkNamespace);
        }

        await Lab.Cgroup.RemoveAsync(Cgroup, cancellation);
        Directory.Delete(Folder, recursive: true);
    }

    /// <summary>A TCP socket that is opened where the kubelet is: in the node.</summary>
    public Socket OpenNodeSocket(AddressFamily family)
    {
        using NetworkNamespace node = NetworkNamespace.Open(_node.NetworkNamespaceFile);
        return node.Run(() => new Socket(family, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true });
    }

    /// <summary>Where a further process of a running container belongs.</summary>
    public ProcessPlace PlaceOf(string container, int process) => new()
    {
        Cgroup = Path.Combine(Cgroup, container),
        MountNamespace = $"/proc/{process}/ns/mnt",
        NetworkNamespace = $"/proc/{process}/ns/net",
        HostNameNamespace = $"/proc/{process}/ns/uts",
    };
}
