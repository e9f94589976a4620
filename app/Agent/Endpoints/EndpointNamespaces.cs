// SPDX-License-Identifier: Apache-2.0
using Axoneme.Linux;
using Axoneme.Netlink;

namespace Axoneme.Agent.Endpoints;

/// <summary>
/// Opens network namespaces of endpoints when something has to be done inside. None is kept open: an open namespace outlives its pod.
/// </summary>
/// <param name="host">The node's own namespace.</param>
/// <param name="stateDirectory">Its folder <c>netns</c> is where the chart mounts the runtime's folder of namespaces.</param>
/// <param name="procDirectory">The machine's procfs, the last place to look.</param>
internal sealed class EndpointNamespaces(RouteNetlink host, string stateDirectory, string procDirectory)
{
    /// <summary>The caller disposes of it.</summary>
    /// <exception cref="SystemCallException">ENODEV: the endpoint has no device; ENOENT: its namespace is nowhere to be found.</exception>
    public NetworkNamespace Open(Endpoint endpoint)
    {
        // The kernel numbers a namespace when it tells of a device whose other end is in there.
        if (host.FindLink(endpoint.HostInterface)?.PeerNamespaceId is not { } expected)
            throw new SystemCallException($"find device {endpoint.HostInterface}", Errno.ENODEV);
        return Candidates(endpoint).Select(path => TryOpen(path, expected)).FirstOrDefault(found => found is not null)
            ?? throw new SystemCallException(
                $"find the network namespace of {endpoint.Pod} as {endpoint.NetworkNamespace}, in {RuntimeFolder} or below {procDirectory}", Errno.ENOENT);
    }

    private string RuntimeFolder => Path.Combine(stateDirectory, "netns");

    private IEnumerable<string> Candidates(Endpoint endpoint)
    {
        yield return endpoint.NetworkNamespace;
        yield return Path.Combine(RuntimeFolder, Path.GetFileName(endpoint.NetworkNamespace));
        var seen = new HashSet<string>();
        foreach (string process in Directory.EnumerateDirectories(procDirectory))
        {
            string file = Path.Combine(process, "ns", "net");
            // The target names the namespace, net:[inode]: each is opened once, however many processes it has.
            if (char.IsAsciiDigit(Path.GetFileName(process)[0]) && TryReadLink(file) is { } target && seen.Add(target))
                yield return file;
        }
    }

    // What lies under a name may be another namespace by now, or none.
    private NetworkNamespace? TryOpen(string path, int expected)
    {
        NetworkNamespace? candidate = null;
        try
        {
            candidate = NetworkNamespace.Open(path);
            if (host.FindNamespaceId(candidate) == expected)
                return candidate;
        }
        catch (SystemCallException)
        {
            // Not there, or no namespace: the next candidate.
        }

        candidate?.Dispose();
        return null;
    }

    // Processes end while we look at them.
    private static string? TryReadLink(string path)
    {
        try
        {
            return new FileInfo(path).LinkTarget;
        }
        catch (IOException)
        {
            return null;
        }
    }
}
