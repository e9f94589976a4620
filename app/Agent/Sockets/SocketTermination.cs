// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Endpoints;
using Axoneme.Datapath;
using Axoneme.Hosting;
using Axoneme.Linux;
using Axoneme.Netlink;
using Axoneme.Network;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Sockets;

/// <summary>
/// Ends sockets whose backend has left their service. A connected UDP socket never learns that nobody answers any more; its owner gets an
/// error at once instead and connects again, to a backend that is there. TCP drains unless configured otherwise.
/// </summary>
internal sealed class SocketTermination(
    RemovedBackends removed,
    TranslatedSockets translated,
    EndpointTables endpoints,
    EndpointNamespaces namespaces,
    ServiceOptions options,
    Modules modules,
    ILogger<SocketTermination> log)
{
    public const string ModuleName = "socket-termination";

    private const SocketStates TcpStates = SocketStates.Established | SocketStates.SynSent | SocketStates.CloseWait;

    // A socket that chose its backend just before the maps changed may have connected just after they were looked through.
    private static readonly TimeSpan SecondLookDelay = TimeSpan.FromSeconds(1);

    // In how many namespaces sockets could not be ended is told with the first few of them.
    private const int ShownProblems = 3;

    private long _endedUdp;
    private long _endedTcp;

    public long Ended(L4Protocol protocol) => Interlocked.Read(ref protocol == L4Protocol.Udp ? ref _endedUdp : ref _endedTcp);

    public async Task RunAsync(CancellationToken cancellation)
    {
        using (SocketDiag host = SocketDiag.Open())
        {
            if (!host.CanDestroy())
            {
                modules.Report(
                    ModuleName, healthy: false, "the kernel was built without CONFIG_INET_DIAG_DESTROY: clients of removed backends wait until they give up");
                return;
            }
        }

        HashSet<L4Address> again = [];
        while (true)
        {
            Task<IReadOnlySet<L4Address>> next = removed.TakeAsync(cancellation);
            if (again.Count > 0 && await Task.WhenAny(next, Task.Delay(SecondLookDelay, cancellation)) != next)
            {
                await EndAsync(again, cancellation);
                again = [];
            }

            again.UnionWith(await next);
            await EndAsync(again, cancellation);
        }
    }

    /// <summary>Ends the sockets that came to one of the backends through a frontend that has it no more. Returns how many.</summary>
    public async Task<int> EndAsync(IReadOnlySet<L4Address> backends, CancellationToken cancellation)
    {
        Dictionary<ulong, TranslatedSocket> stale = Stale(backends);
        if (stale.Count == 0)
            return 0;
        var problems = new List<string>();
        int ended = EndIn("the host", () => SocketDiag.Open(), stale, problems);
        if (options is { TerminatePodConnections: true, SocketTranslationOfHostOnly: false })
        {
            foreach (Endpoint endpoint in endpoints.Endpoints.Snapshot().Values)
            {
                // Entries outlive their sockets, so there is no telling when the last one was found.
                if (stale.Count == 0)
                    break;
                cancellation.ThrowIfCancellationRequested();
                ended += EndIn(endpoint.Pod.ToString(), () => OpenIn(endpoint), stale, problems);
                await Task.Yield();
            }
        }

        Report(problems);
        if (ended > 0)
            log.LogInformation("Ended {Count} sockets of backends that are gone: {Backends}", ended, string.Join(' ', backends.Take(ShownProblems)));
        return ended;
    }

    private Dictionary<ulong, TranslatedSocket> Stale(IReadOnlySet<L4Address> backends)
    {
        L4Protocol[] protocols = options.TerminateAllProtocols ? [L4Protocol.Udp, L4Protocol.Tcp] : [L4Protocol.Udp];
        var stale = new Dictionary<ulong, TranslatedSocket>();
        foreach (TranslatedSocket socket in translated.Read())
        {
            foreach (L4Protocol protocol in protocols)
            {
                L4Address backend = socket.Backend with { Protocol = protocol };
                if (backends.Contains(backend) && !removed.Serves(socket.Frontend with { Protocol = protocol }, backend))
                    stale[socket.Cookie] = socket with { Backend = backend };
            }
        }

        return stale;
    }

    private int EndIn(string where, Func<SocketDiag> open, Dictionary<ulong, TranslatedSocket> stale, List<string> problems)
    {
        try
        {
            using SocketDiag sockets = open();
            int ended = End(sockets, L4Protocol.Udp, SocketStates.Established, stale, ref _endedUdp);
            return options.TerminateAllProtocols ? ended + End(sockets, L4Protocol.Tcp, TcpStates, stale, ref _endedTcp) : ended;
        }
        catch (Exception e) when (e is SystemCallException or AggregateException)
        {
            problems.Add($"{where}: {e.Message}");
            return 0;
        }
    }

    private int End(SocketDiag sockets, L4Protocol protocol, SocketStates states, Dictionary<ulong, TranslatedSocket> stale, ref long counter)
    {
        IReadOnlyList<DiagnosedSocket> found = sockets.List(
            protocol, states, s => stale.TryGetValue(s.Cookie, out TranslatedSocket entry) && entry.Backend == s.Remote);
        if (found.Count == 0)
            return 0;
        int ended = sockets.Destroy(found);
        Interlocked.Add(ref counter, ended);
        foreach (DiagnosedSocket socket in found)
        {
            stale.Remove(socket.Cookie, out TranslatedSocket entry);
            translated.Forget(entry);
        }

        return ended;
    }

    private SocketDiag OpenIn(Endpoint endpoint)
    {
        using NetworkNamespace pod = namespaces.Open(endpoint);
        return SocketDiag.Open(pod);
    }

    private void Report(List<string> problems)
    {
        if (problems.Count == 0)
        {
            modules.Report(ModuleName, healthy: true, "running");
            return;
        }

        string more = problems.Count > ShownProblems ? $"; and {problems.Count - ShownProblems} more" : "";
        modules.Report(
            ModuleName, healthy: false, $"sockets of removed backends could not be looked for in {string.Join("; ", problems.Take(ShownProblems))}{more}");
    }
}
