// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using System.Text.Json;
using System.Threading.Channels;
using Axoneme.DnsProxy;
using Axoneme.Proxy.Names;
using Axoneme.Proxy.Serving;

namespace Axoneme.Proxy.Control;

/// <summary>The connection with the agent, whichever is there.</summary>
internal sealed class AgentLink(
    ProxyShared shared, RuleState rules, IReadOnlyList<Worker> workers, Action reopenMaps, Action keepListeners, ProxyLog log)
{
    // What an agent that does not read may leave unread. Beyond that the proxy helps itself.
    private const int MaximalQueued = 10_000;
    private static readonly TimeSpan ReportInterval = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan CounterInterval = TimeSpan.FromSeconds(1);

    /// <summary>Serves one agent until it goes, or another comes.</summary>
    public async Task ServeAsync(DnsProxyConnection connection, CancellationToken cancellation)
    {
        log.Info("an agent is connected");
        var queue = Channel.CreateBounded<ProxyMessage>(new BoundedChannelOptions(MaximalQueued) { SingleReader = true });
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        keepListeners();
        reopenMaps();
        shared.Names.Announce = queue.Writer.TryWrite;
        shared.Names.SetPresence(AgentPresence.Starting);
        string reason = "it closed the connection";
        try
        {
            Task[] parts =
            [
                SendAsync(connection, queue.Reader, ending.Token),
                ReportAsync(connection, ending.Token),
                ReceiveAsync(connection, ending.Token),
            ];
            Task first = await Task.WhenAny(parts);
            await ending.CancelAsync();
            await Task.WhenAll(parts).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            reason = first.Exception?.InnerException?.Message ?? (cancellation.IsCancellationRequested ? "another one came, or the proxy ends" : reason);
        }
        finally
        {
            foreach (Worker worker in workers)
                worker.Log.IsOn = false;
            rules.Abort();
            shared.Names.SetPresence(AgentPresence.Absent);
            shared.Names.Announce = null;
            ReleaseAll([]);
            log.Info($"the agent is gone: {reason}");
        }
    }

    private async Task SendAsync(DnsProxyConnection connection, ChannelReader<ProxyMessage> queue, CancellationToken cancellation)
    {
        foreach (CacheContents contents in shared.Names.Snapshot())
            await connection.SendAsync(contents, cancellation);
        await connection.SendAsync(new CacheEnd(), cancellation);
        await foreach (ProxyMessage message in queue.ReadAllAsync(cancellation))
            await connection.SendAsync(message, cancellation);
    }

    private async Task ReceiveAsync(DnsProxyConnection connection, CancellationToken cancellation)
    {
        while (await connection.ReceiveAsync(cancellation) is { } message)
        {
            switch (message)
            {
                case LearnedAcknowledgement learned:
                    shared.Names.Acknowledge(learned.Ids);
                    if (learned.Ids.Count > 0)
                        ReleaseAll(learned.Ids);
                    break;
                case Forget forget:
                    shared.Names.Forget(forget.Names, forget.Endpoint);
                    break;
                case SyncRequest sync:
                    await connection.SendAsync(new SyncReply(sync.Id), cancellation);
                    break;
                default:
                    if (!rules.TryApply(message))
                        throw new DnsProxyProtocolException($"{message.GetType().Name} is no message of an agent, or not at this time.");
                    if (message is SnapshotEnd)
                        TakeOver();
                    if (message is SetOptions or SnapshotEnd)
                        SwitchLogs();
                    break;
            }
        }
    }

    // From here on the agent gives addresses their identities.
    private void TakeOver()
    {
        reopenMaps();
        shared.Names.SetPresence(AgentPresence.Present);
        log.Info($"the agent has {shared.Endpoints.All.Count} endpoints");
    }

    private void SwitchLogs()
    {
        foreach (Worker worker in workers)
            worker.Log.IsOn = shared.Options.ReportQueries;
    }

    private void ReleaseAll(IReadOnlyList<long> ids)
    {
        foreach (Worker worker in workers)
            worker.Acknowledge(ids);
    }

    private async Task ReportAsync(DnsProxyConnection connection, CancellationToken cancellation)
    {
        var buffer = new ArrayBufferWriter<byte>();
        string counted = "";
        long nextCount = 0;
        using var timer = new PeriodicTimer(ReportInterval, shared.Time);
        while (await timer.WaitForNextTickAsync(cancellation))
        {
            foreach (Worker worker in workers)
            {
                if (TryTakeQueries(worker.Log, buffer))
                    await connection.SendJsonAsync(buffer.WrittenMemory, cancellation);
            }

            foreach (Learned refreshed in shared.Names.TakeRefreshed())
                await connection.SendAsync(refreshed, cancellation);
            if (shared.Time.GetTimestamp() < nextCount)
                continue;
            nextCount = shared.Time.GetTimestamp() + (long)(CounterInterval.TotalSeconds * shared.Time.TimestampFrequency);
            Counters counters = WorkerCounters.Sum([.. workers.Select(w => w.Counters)], shared.Names);
            string text = JsonSerializer.Serialize(counters, MessageJson.Default.ProxyMessage);
            if (text == counted)
                continue;
            counted = text;
            await connection.SendAsync(counters, cancellation);
        }
    }

    private static bool TryTakeQueries(QueryLog log, ArrayBufferWriter<byte> buffer)
    {
        buffer.ResetWrittenCount();
        buffer.Write("{\"kind\":\"queries\",\"records\":["u8);
        int records = log.Take(buffer, isFirst: true, out long lost);
        buffer.Write("],\"lost\":"u8);
        System.Buffers.Text.Utf8Formatter.TryFormat(lost, buffer.GetSpan(20), out int written);
        buffer.Advance(written);
        buffer.Write("}"u8);
        return records > 0 || lost > 0;
    }
}
