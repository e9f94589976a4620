// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Axoneme.DnsProxy;

namespace Axoneme.Proxy.Control;

/// <summary>
/// Keeps what a restart must not lose in two files: rules and port in one, the names in another, which changes all the time. A large cache is written less
/// often, so that writing takes at most some per cent of a processor.
/// </summary>
internal sealed class StateSaver(string directory, ProxyShared shared, RuleState rules, ProxyLog log)
{
    private const int WriteShare = 20;
    private static readonly TimeSpan RulesInterval = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan NamesInterval = TimeSpan.FromSeconds(1);

    private readonly StateFile _rules = new(Path.Combine(directory, "dns-proxy-rules.state"));
    private readonly StateFile _names = new(Path.Combine(directory, "dns-proxy-names.state"));
    private readonly Lock _saving = new();
    private long _savedRules = -1;
    private long _savedNames = -1;
    private ProxyHello _identity = new(0, 0);

    /// <summary>Restores both; returns the port of the last time, 0 if unknown.</summary>
    public ushort Restore()
    {
        ushort port = 0;
        if (!_rules.TryLoad(out List<ProxyMessage> stored, out string problem))
            log.Warn(problem);
        foreach (ProxyMessage message in stored)
        {
            if (message is ProxyHello hello)
                port = hello.Port;
            else
                rules.TryApply(message);
        }

        if (!_names.TryLoad(out stored, out problem))
            log.Warn(problem);
        foreach (ProxyMessage message in stored)
        {
            if (message is CacheContents contents)
                shared.Names.Restore(contents);
            else if (message is WrittenAddresses written)
                shared.Names.Restore(written);
        }

        rules.Abort();
        return port;
    }

    /// <summary>Saves at once with what the process is known by from now on.</summary>
    public void Begin(ProxyHello identity)
    {
        _identity = identity;
        Save();
    }

    public async Task RunAsync(CancellationToken cancellation)
    {
        long nextNames = 0;
        using var timer = new PeriodicTimer(RulesInterval, shared.Time);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellation))
            {
                SaveRules();
                if (shared.Time.GetTimestamp() < nextNames)
                    continue;
                TimeSpan took = SaveNames();
                TimeSpan pause = took * WriteShare > NamesInterval ? took * WriteShare : NamesInterval;
                nextNames = shared.Time.GetTimestamp() + (long)(pause.TotalSeconds * shared.Time.TimestampFrequency);
            }
        }
        catch (OperationCanceledException)
        {
            Save();
        }
    }

    private void Save()
    {
        SaveRules();
        SaveNames();
    }

    private void SaveRules()
    {
        long version = rules.Version;
        if (version == _savedRules)
            return;
        if (TrySave(_rules, [_identity, .. rules.Describe()]))
            _savedRules = version;
    }

    private TimeSpan SaveNames()
    {
        long version = shared.Names.Version, start = Stopwatch.GetTimestamp();
        if (version == _savedNames)
            return TimeSpan.Zero;
        if (TrySave(_names, [.. shared.Names.Snapshot(), shared.Names.SnapshotWritten()]))
            _savedNames = version;
        return Stopwatch.GetElapsedTime(start);
    }

    private bool TrySave(StateFile file, IEnumerable<ProxyMessage> messages)
    {
        try
        {
            lock (_saving)
                file.Save(messages);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            log.Warn($"the state is not saved: {e.Message}");
            return false;
        }
    }
}
