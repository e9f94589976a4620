// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Cluster;
using Axoneme.Agent.Endpoints;
using Axoneme.Kubernetes.Resources;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Services;

/// <summary>Tells which network namespace each pod of this node has, for those that redirect policies leave alone.</summary>
internal sealed class ExemptPods(Table<ushort, Endpoint> endpoints, RedirectExemptions exemptions, ILogger<ExemptPods> log)
{
    private readonly Dictionary<ushort, (ResourceName Pod, ulong Cookie)> _known = [];

    public Task RunAsync(CancellationToken cancellation) => endpoints.FollowAsync(Take, log, cancellation);

    private void Take(Change<ushort, Endpoint> change)
    {
        (ResourceName Pod, ulong Cookie) next = change.Value is { NetworkNamespaceCookie: not 0 } endpoint
            ? (endpoint.Pod, endpoint.NetworkNamespaceCookie) : default;
        if (_known.Remove(change.Key, out (ResourceName Pod, ulong Cookie) before) && before != next)
            exemptions.RemoveNamespace(before.Pod, before.Cookie);
        if (next.Cookie == 0)
            return;
        _known[change.Key] = next;
        if (before != next)
            exemptions.SetNamespace(next.Pod, next.Cookie);
    }
}
