// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Grpc;
using Axoneme.Hubble.Api.Peers;

namespace Axoneme.Hubble;

/// <summary>Serves <c>peer.Peer</c>: the Hubble servers of the cluster, to whoever gathers flows from all of them.</summary>
public sealed class PeerDirectory
{
    public static readonly GrpcMethod<NotifyRequest, ChangeNotification> NotifyMethod
        = GrpcMethod.Of<NotifyRequest, ChangeNotification>(PeerReflection.Descriptor.Services[0], "Notify");

    private readonly Lock _lock = new();
    private ImmutableSortedDictionary<string, HubblePeer> _peers = ImmutableSortedDictionary.Create<string, HubblePeer>(StringComparer.Ordinal);
    private TaskCompletionSource _changed = NewSignal();

    /// <summary>Replaces the whole set, this node included.</summary>
    public void Set(IEnumerable<HubblePeer> peers)
    {
        TaskCompletionSource previous;
        lock (_lock)
        {
            _peers = peers.ToImmutableSortedDictionary(p => p.Name, p => p, StringComparer.Ordinal);
            previous = _changed;
            _changed = NewSignal();
        }

        previous.SetResult();
    }

    public void AddTo(GrpcServerBuilder server)
        => server.Announce(PeerReflection.Descriptor.Services[0]).ServerStream(NotifyMethod, NotifyAsync);

    // A slow subscriber skips intermediate states: it is told the difference between what it knows and what is.
    private async Task NotifyAsync(NotifyRequest request, GrpcStreamWriter<ChangeNotification> responses, GrpcServerCall call)
    {
        await call.StartAsync().ConfigureAwait(false);
        var known = ImmutableSortedDictionary<string, HubblePeer>.Empty;
        while (true)
        {
            Task changed;
            ImmutableSortedDictionary<string, HubblePeer> now;
            lock (_lock)
            {
                changed = _changed.Task;
                now = _peers;
            }

            foreach (HubblePeer gone in known.Values.Where(p => !now.ContainsKey(p.Name)))
                await responses.WriteAsync(Notification(gone, ChangeNotificationType.PeerDeleted), flush: false).ConfigureAwait(false);
            foreach (HubblePeer peer in now.Values)
            {
                bool isKnown = known.TryGetValue(peer.Name, out HubblePeer? before);
                if (peer != before)
                {
                    await responses.WriteAsync(
                        Notification(peer, isKnown ? ChangeNotificationType.PeerUpdated : ChangeNotificationType.PeerAdded), flush: false).ConfigureAwait(false);
                }
            }

            await responses.FlushAsync().ConfigureAwait(false);
            known = now;
            await changed.WaitAsync(call.Cancellation).ConfigureAwait(false);
        }
    }

    private static ChangeNotification Notification(HubblePeer peer, ChangeNotificationType type) => new()
    {
        Name = peer.Name,
        Address = new System.Net.IPEndPoint(peer.Address, peer.Port).ToString(),
        Type = type,
        Tls = peer.TlsServerName is null ? null : new TLS { ServerName = peer.TlsServerName },
    };

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
