// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Policies;
using Axoneme.Network;
using Axoneme.Policy;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Dns;

/// <summary>
/// What has to be done for names from time to time: addresses end that have no connections any more, identities go that no address has, and the
/// state is saved.
/// </summary>
/// <param name="policies">Holds the names.</param>
/// <param name="link">To the proxy.</param>
/// <param name="file">Of the state.</param>
/// <param name="connected">Those of the addresses to which conntrack has connections.</param>
/// <param name="time">Of the day, which is how answers are dated.</param>
/// <param name="log">For a state that cannot be saved.</param>
internal sealed class NameUpkeep(
    PolicyController policies,
    DnsProxyLink link,
    NamesFile file,
    Func<IReadOnlySet<IpAddress>, IReadOnlySet<IpAddress>> connected,
    TimeProvider time,
    ILogger<NameUpkeep> log)
{
    // What a killed agent may not know of what it had learned; the proxy does.
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);

    // Many programs use an address a little longer than they should.
    private static readonly TimeSpan ExpiryInterval = TimeSpan.FromSeconds(30);

    private (long, (long, long, long), ushort) _saved;

    public async Task RunAsync(CancellationToken cancellation)
    {
        await policies.WhenReleased.WaitAsync(cancellation);
        using var timer = new PeriodicTimer(Interval, time);
        long expired = time.GetTimestamp();
        do
        {
            if (time.GetElapsedTime(expired) >= ExpiryInterval)
            {
                await ExpireAsync(cancellation);
                expired = time.GetTimestamp();
            }

            await link.PruneAsync(cancellation);
            Save();
        }
        while (await timer.WaitForNextTickAsync(cancellation));
    }

    /// <summary>Everything is written in order: an identity leaves the policies after the ipcache has forgotten it.</summary>
    private async Task ExpireAsync(CancellationToken cancellation)
    {
        DateTimeOffset now = time.GetUtcNow();
        if (policies.Read(engine => engine.HasRetiredIdentities))
            await policies.ChangeAsync(engine => engine.DropRetiredIdentities()).WaitAsync(cancellation);
        (IReadOnlySet<IpAddress> due, bool any) = policies.Read(engine => (engine.Names.Due(now), engine.Names.ZombieCount > 0));
        if (!any)
            return;
        IReadOnlySet<IpAddress> alive = due.Count > 0 ? connected(due) : due;
        await policies.ChangeAsync(engine => engine.Names.Expire(now, alive)).WaitAsync(cancellation);
    }

    private void Save()
    {
        try
        {
            policies.Read(engine =>
            {
                (long, (long, long, long), ushort) version = (engine.Names.Version, engine.NamesVersion, link.Port);
                if (version != _saved)
                {
                    file.Save(link.Port, engine);
                    link.Names.Refresh(engine.Names.Entries);
                }

                _saved = version;
                return true;
            });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            log.LogWarning("Names cannot be saved: {Reason}", e.Message);
        }
    }
}
