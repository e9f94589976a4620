// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using Axoneme.Dns;
using Axoneme.DnsProxy;
using Axoneme.Network;

namespace Axoneme.Proxy.KernelTests;

/// <summary>The agent's side: tells the rules, acknowledges what was learned unless told not to, and keeps what it heard.</summary>
internal sealed class TestAgent : IDisposable
{
    private readonly DnsProxyConnection _connection;
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentQueue<ProxyMessage> _heard = new();

    private TestAgent(DnsProxyConnection connection, ProxyHello hello)
    {
        _connection = connection;
        Hello = hello;
        _ = ListenAsync();
    }

    public ProxyHello Hello { get; }

    public volatile bool Acknowledges = true;

    public IEnumerable<ProxyMessage> Heard => _heard;

    public static async Task<TestAgent> ConnectAsync(ProxyNode node, CancellationToken cancellation)
    {
        (DnsProxyConnection connection, ProxyHello hello) = await node.ConnectAsync(cancellation);
        return new TestAgent(connection, hello);
    }

    /// <summary>One endpoint may ask for <paramref name="names"/>; <paramref name="selectors"/> are wanted.</summary>
    public async Task DescribeAsync(string[] names, string[] selectors, ProxyOptions? options, CancellationToken cancellation)
    {
        var rule = new DnsRule(new SecurityIdentity(0), L4Protocol.Any, 53, 16, [.. names.Select(Pattern)]);
        await SendAsync(new SnapshotBegin(), cancellation);
        await SendAsync(new SetOptions(options ?? new ProxyOptions { MaximalDelayMilliseconds = 5000 }), cancellation);
        await SendAsync(new UpdateEndpoints(
            [new ProxiedEndpoint(7, new SecurityIdentity(4711), [IpAddress.Parse(ProxyNode.PodAddress), IpAddress.Parse(ProxyNode.PodAddress6)], [rule])], []), cancellation);
        await SendAsync(new UpdateSets([.. selectors.Select((s, i) => new SelectorSet(new SecurityIdentity(0x0100_0001 + (uint)i), [Pattern(s)]))], []), cancellation);
        await SendAsync(new SnapshotEnd(), cancellation);
        await SendAsync(new SyncRequest(1), cancellation);
        await WaitForAsync<SyncReply>(_ => true, cancellation);
    }

    public Task SendAsync(ProxyMessage message, CancellationToken cancellation = default) => _connection.SendAsync(message, cancellation);

    public async Task<T> WaitForAsync<T>(Func<T, bool> condition, CancellationToken cancellation)
        where T : ProxyMessage
    {
        while (true)
        {
            if (_heard.OfType<T>().FirstOrDefault(condition) is { } message)
                return message;
            await Task.Delay(10, cancellation);
        }
    }

    public async Task<QueryRecord> WaitForRecordAsync(Func<QueryRecord, bool> condition, CancellationToken cancellation)
        => (await WaitForAsync<Queries>(q => q.Records.Any(condition), cancellation)).Records.First(condition);

    /// <summary>The connection ends as that of a killed process does.</summary>
    public void Dispose()
    {
        _stop.Cancel();
        _connection.Dispose();
        _stop.Dispose();
    }

    public static DnsPattern Pattern(string text)
        => DnsPattern.TryParsePattern(text, out DnsPattern pattern, out string problem) ? pattern : throw new FormatException(problem);

    private async Task ListenAsync()
    {
        try
        {
            while (await _connection.ReceiveAsync(_stop.Token) is { } message)
            {
                _heard.Enqueue(message);
                if (message is Learned { Id: not 0 } learned && Acknowledges)
                    await SendAsync(new LearnedAcknowledgement([learned.Id]), _stop.Token);
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
        {
            // The proxy or the test is gone.
        }
    }
}
