// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Threading.Channels;
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Endpoints;
using Axoneme.Agent.Policies;
using Axoneme.DnsProxy;
using Axoneme.Policy;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Dns;

/// <summary>
/// The agent's side of the connection to the DNS proxy: rules and identities there, learned names and questions back. The proxy goes on by
/// itself while there is no connection; whoever starts anew connects again, and everything is said again.
/// </summary>
internal sealed class DnsProxyLink : IDisposable
{
    private static readonly TimeSpan RetryDelay = TimeSpan.FromMilliseconds(200);

    // A proxy that does not read is as good as none, and must not hold up policies.
    private static readonly TimeSpan SendPatience = TimeSpan.FromSeconds(1);

    private readonly PolicyController _policies;
    private readonly Table<ushort, Endpoint> _endpoints;
    private readonly ProxyState _state;
    private readonly string _socketPath;
    private readonly ILogger<DnsProxyLink> _log;
    private readonly SemaphoreSlim _gate = new(1, 1);
    private readonly TaskCompletionSource _contact = new(TaskCreationOptions.RunContinuationsAsynchronously);

    // The proxy waits for acknowledgements, so this never holds more than its questions under way.
    private readonly Channel<(DnsProxyConnection From, Learned Names)> _learned =
        Channel.CreateUnbounded<(DnsProxyConnection, Learned)>(new UnboundedChannelOptions { SingleReader = true });

    private DnsProxyConnection? _connection;
    private bool _isDescribed;
    private bool _hasPolicies;

    public DnsProxyLink(AgentOptions options, PolicyController policies, Table<ushort, Endpoint> endpoints, ILogger<DnsProxyLink> log)
    {
        _policies = policies;
        _endpoints = endpoints;
        _log = log;
        _socketPath = Path.Combine(options.StateDirectory, ProxyMessage.SocketName);
        _state = new ProxyState(endpoints, options.Dns.ForProxy(options.EnableHubble, options.Numbering), options.Numbering);
        policies.BeforeKernelAsync = ToldOfAsync;
    }

    /// <summary>Where the proxy listens, as of the last connection; 0: never connected.</summary>
    public ushort Port { get; set; }

    public bool IsConnected => _connection is not null;

    /// <summary>Timestamp (<see cref="Stopwatch"/>) of the end of the last connection.</summary>
    public long LastConnected { get; private set; } = Stopwatch.GetTimestamp();

    /// <summary>Endpoints whose DNS goes through the proxy.</summary>
    public int EndpointCount => _state.EndpointCount;

    /// <summary>The proxy's totals; null before it sent any.</summary>
    public Counters? Counters { get; private set; }

    /// <summary>Questions that the proxy could not report, since the agent's start.</summary>
    public long LostQueries { get; private set; }

    /// <summary>Of addresses, for flows.</summary>
    public AddressNames Names { get; } = new();

    /// <summary>Called with each question that the proxy reports.</summary>
    public Action<QueryRecord> OnQuery { get; set; } = static _ => { };

    /// <summary>
    /// Completes when the proxy's cache has been taken over: before, the addresses that it learned by itself must not be forgotten. Does not
    /// wait where no proxy is.
    /// </summary>
    public async Task WhenCachedAsync(TimeSpan patience, CancellationToken cancellation)
    {
        if (File.Exists(_socketPath))
            await _contact.Task.WaitAsync(patience, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>Works until cancelled; when a part fails, all end.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task[] parts =
        [
            StayConnectedAsync(ending.Token),
            AcknowledgeAsync(ending.Token),
            _endpoints.FollowAsync(change => EndpointChangedAsync(change, ending.Token), _log, ending.Token),
        ];
        Task first = await Task.WhenAny(parts);
        await ending.CancelAsync();
        await Task.WhenAll(parts).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await first;
    }

    /// <summary>Takes the rules of endpoints away that need none any more. To be called from time to time.</summary>
    public async Task PruneAsync(CancellationToken cancellation)
    {
        await _gate.WaitAsync(cancellation);
        try
        {
            _state.Prune();
        }
        finally
        {
            _gate.Release();
        }

        await PushAsync(null, cancellation);
    }

    /// <summary>Lets the proxy forget names as well.</summary>
    public async Task ForgetAsync(Forget forget, CancellationToken cancellation)
    {
        if (_connection is { } connection)
            await SendAsync(connection, [forget], cancellation);
    }

    public void Dispose() => _gate.Dispose();

    private Task EndpointChangedAsync(Change<ushort, Endpoint> change, CancellationToken cancellation)
    {
        // The number will be another pod's.
        if (change.IsDelete)
            _ = _policies.ChangeAsync(engine => engine.Names.ForgetEndpoint(change.Key));
        return PushAsync(null, cancellation);
    }

    private Task ToldOfAsync(PolicyUpdate update, CancellationToken cancellation) => PushAsync(update, cancellation);

    private async Task PushAsync(PolicyUpdate? update, CancellationToken cancellation)
    {
        await _gate.WaitAsync(cancellation);
        try
        {
            if (update is not null)
            {
                _state.Note(update);
                _hasPolicies = true;
            }

            if (_connection is { } connection && _hasPolicies)
                await DescribeAsync(connection, cancellation);
        }
        finally
        {
            _gate.Release();
        }
    }

    // Before the first policies are complete the proxy knows more than we do.
    private async Task DescribeAsync(DnsProxyConnection connection, CancellationToken cancellation)
    {
        List<ProxyMessage> messages = _policies.Read(engine => _isDescribed ? _state.Changes(engine) : _state.Everything(engine));
        _isDescribed = true;
        if (!await SendAsync(connection, messages, cancellation))
            _isDescribed = false;
    }

    private static async Task<bool> SendAsync(DnsProxyConnection connection, IReadOnlyList<ProxyMessage> messages, CancellationToken cancellation)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(SendPatience);
        try
        {
            foreach (ProxyMessage message in messages)
                await connection.SendAsync(message, patience.Token);
            return true;
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or OperationCanceledException && !cancellation.IsCancellationRequested)
        {
            // The receiver notices, and connects again.
            connection.Dispose();
            return false;
        }
    }

    private async Task StayConnectedAsync(CancellationToken cancellation)
    {
        string? problem = null;
        while (!cancellation.IsCancellationRequested)
        {
            string? before = problem;
            try
            {
                problem = null;
                if (await DnsProxyConnection.TryConnectAsync(_socketPath, cancellation) is { } connected)
                    await ServeAsync(connected.Connection, connected.Hello, cancellation);
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException or DnsProxyProtocolException or System.Net.Sockets.SocketException)
            {
                problem = e.Message;
            }

            if (problem is not null && problem != before)
                _log.LogWarning("The connection to the DNS proxy is lost: {Reason}", problem);
            await Task.Delay(RetryDelay, cancellation);
        }
    }

    private async Task ServeAsync(DnsProxyConnection connection, ProxyHello hello, CancellationToken cancellation)
    {
        using (connection)
        {
            try
            {
                await TakeCacheAsync(connection, cancellation);
                Port = hello.Port;
                _ = _policies.SetProxyPortAsync(hello.Port);
                _contact.TrySetResult();
                _connection = connection;
                _isDescribed = false;
                await PushAsync(null, cancellation);
                _log.LogInformation("Connected to the DNS proxy on port {Port}", hello.Port);
                while (await connection.ReceiveAsync(cancellation) is { } message)
                    Take(connection, message);
            }
            finally
            {
                _connection = null;
                LastConnected = Stopwatch.GetTimestamp();
            }
        }
    }

    private async Task TakeCacheAsync(DnsProxyConnection connection, CancellationToken cancellation)
    {
        while (await connection.ReceiveAsync(cancellation) is { } message)
        {
            if (message is CacheEnd)
                return;
            if (message is not CacheContents contents)
            {
                Take(connection, message);
                continue;
            }

            _ = _policies.ChangeAsync(engine =>
            {
                foreach (CachedMapping mapping in contents.Mappings)
                {
                    engine.Names.Add(EntryOf(mapping));
                    Names.Add(mapping.Name, [mapping.Address]);
                }
            });
        }

        throw new IOException("the proxy closed it before it had sent its cache");
    }

    private void Take(DnsProxyConnection connection, ProxyMessage message)
    {
        switch (message)
        {
            case Learned learned:
                _learned.Writer.TryWrite((connection, learned));
                break;
            case Queries queries:
                LostQueries += queries.Lost;
                foreach (QueryRecord record in queries.Records)
                    OnQuery(record);
                _ = _policies.ChangeAsync(engine => LearnAsides(engine, queries.Records));
                break;
            case Counters counters:
                Counters = counters;
                break;
        }
    }

    // Answers to all who wait become one change: they are written to the kernel together.
    private async Task AcknowledgeAsync(CancellationToken cancellation)
    {
        var batch = new List<(DnsProxyConnection From, Learned Names)>();
        while (await _learned.Reader.WaitToReadAsync(cancellation))
        {
            batch.Clear();
            while (_learned.Reader.TryRead(out (DnsProxyConnection From, Learned Names) next))
                batch.Add(next);
            await _policies.ChangeAsync(engine =>
            {
                foreach (LearnedName name in batch.SelectMany(b => b.Names.Mappings))
                    Learn(engine, name);
            }).WaitAsync(cancellation);
            foreach (IGrouping<DnsProxyConnection, long> waiting in batch.Where(b => b.Names.Id != 0).GroupBy(b => b.From, b => b.Names.Id))
                await SendAsync(waiting.Key, [new LearnedAcknowledgement([.. waiting])], cancellation);
        }
    }

    private void Learn(PolicyEngine engine, LearnedName name)
    {
        engine.Names.Learn(
            name.Name, name.Addresses, name.Endpoint, DateTimeOffset.FromUnixTimeSeconds(name.LookupTime), TimeSpan.FromSeconds(name.Ttl));
        Names.Add(name.Name, name.Addresses);
    }

    // The proxy learns only what a rule needs now. What else was asked for is good for flows, and for rules to come.
    private void LearnAsides(PolicyEngine engine, IReadOnlyList<QueryRecord> records)
    {
        foreach (QueryRecord record in records.Where(r => r.Outcome == QueryOutcome.Answered && r.Addresses.Count > 0))
        {
            DateTimeOffset at = DateTimeOffset.FromUnixTimeMilliseconds(record.Time / 1000);
            engine.Names.Learn(record.Name, record.Addresses, record.Endpoint, at, TimeSpan.FromSeconds(record.Ttl));
            Names.Add(record.Name, record.Addresses);
        }
    }

    private static NameEntry EntryOf(CachedMapping mapping) => new(
        mapping.Name,
        mapping.Address,
        new NameLease(
            DateTimeOffset.FromUnixTimeSeconds(mapping.LookupTime),
            TimeSpan.FromSeconds(mapping.Ttl),
            DateTimeOffset.FromUnixTimeSeconds(mapping.Expires),
            [mapping.Endpoint]));
}
