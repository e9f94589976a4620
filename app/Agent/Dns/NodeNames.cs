// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Endpoints;
using Axoneme.Datapath;
using Axoneme.DnsProxy;
using Axoneme.Hosting;
using Axoneme.Network;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Dns;

/// <summary>The parts of the agent that deal with names.</summary>
internal sealed class NodeNames : IDisposable
{
    private static readonly TimeSpan ProxyPatience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan AbandonedAfter = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan AbandonedCheck = TimeSpan.FromSeconds(5);

    private readonly AgentOptions _options;
    private readonly ControlPlane _control;
    private readonly NamesFile _file;
    private readonly NameUpkeep _upkeep;
    private ListenerKeeper? _keeper;

    public NodeNames(
        AgentOptions options, ControlPlane control, Table<ushort, Endpoint> endpoints, NodeDatapath datapath, ILoggerFactory loggers)
    {
        _options = options;
        _control = control;
        _file = new NamesFile(options.StateDirectory, loggers.CreateLogger<NamesFile>());
        Link = new DnsProxyLink(options, control.Policies, endpoints, loggers.CreateLogger<DnsProxyLink>());
        _upkeep = new NameUpkeep(
            control.Policies, Link, _file, due => Connected(datapath, due), TimeProvider.System, loggers.CreateLogger<NameUpkeep>());
    }

    public DnsProxyLink Link { get; }

    /// <summary>Before the addresses of the ipcache are taken over: their numbers mean what an earlier run said.</summary>
    public void Restore()
    {
        // Where the proxy was a moment ago it is most likely still: until it says otherwise, packets are sent there.
        Link.Port = _control.Policies.Read(_file.Restore);
        _control.Policies.HasProxy = _options.Dns.EnableProxy;
        if (_options.Dns.EnableProxy)
            _ = _control.Policies.SetProxyPortAsync(Link.Port);
    }

    public void Start(Modules modules, CancellationToken cancellation)
    {
        if (!_options.Dns.EnableProxy)
            return;
        // Before the link: the proxy hands its sockets over when it hears of us.
        Directory.CreateDirectory(_options.StateDirectory);
        var keeper = new ListenerKeeper(Path.Combine(_options.StateDirectory, ListenerKeeper.SocketName));
        _keeper = keeper;
        modules.Start("dns-listeners", c => DropAbandonedAsync(keeper, c), cancellation);
        modules.Start("dns-proxy", Link.RunAsync, cancellation);
        modules.Start("names", _upkeep.RunAsync, cancellation);
    }

    /// <summary>Completes when nothing that is known about names is missing.</summary>
    public Task WhenCompleteAsync(CancellationToken cancellation)
        => _options.Dns.EnableProxy ? Link.WhenCachedAsync(ProxyPatience, cancellation) : Task.CompletedTask;

    public void Dispose()
    {
        _keeper?.Dispose();
        Link.Dispose();
    }

    // Nobody waits that long for an answer: without copies, what is asked is dropped at once, and the flow says why.
    private async Task DropAbandonedAsync(ListenerKeeper keeper, CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(AbandonedCheck);
        while (await timer.WaitForNextTickAsync(cancellation))
        {
            if (!Link.IsConnected && Stopwatch.GetElapsedTime(Math.Max(Link.LastConnected, keeper.LastUsed)) > AbandonedAfter)
                keeper.Drop();
        }
    }

    private static HashSet<IpAddress> Connected(NodeDatapath datapath, IReadOnlySet<IpAddress> due)
        => [.. ConntrackEntry.ReadAll(datapath.Maps).Where(c => c.Remaining > TimeSpan.Zero && due.Contains(c.Destination.Address)).Select(c => c.Destination.Address)];
}
