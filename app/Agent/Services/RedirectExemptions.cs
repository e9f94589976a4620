// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath;
using Axoneme.Kubernetes.Resources;
using Axoneme.LoadBalancing;
using Axoneme.Network;
using Axoneme.Tables;

namespace Axoneme.Agent.Services;

/// <summary>
/// Pods that reach a redirected address itself. The catalogue names pods; the kernel knows the cookies of their network namespaces. Safe for
/// several threads.
/// </summary>
internal sealed class RedirectExemptions
{
    private readonly Lock _gate = new();
    private readonly Dictionary<ResourceName, HashSet<L4Address>> _frontends = [];
    private readonly Dictionary<ResourceName, ulong> _cookies = [];

    /// <summary>What the kernel has to know.</summary>
    public Table<SkippedTranslation, SkippedTranslation> Table { get; } = new(
        "lb-skipped",
        skipped => skipped,
        columns: [new("Namespace", s => s.NetworkNamespaceCookie.ToString()), new("Frontend", s => s.Frontend.ToString())]);

    /// <summary>The pod's network namespace is known; a pod of the same name from before is gone.</summary>
    public void SetNamespace(ResourceName pod, ulong cookie)
    {
        lock (_gate)
        {
            ulong? before = _cookies.TryGetValue(pod, out ulong present) ? present : null;
            _cookies[pod] = cookie;
            if (before != cookie && _frontends.TryGetValue(pod, out HashSet<L4Address>? frontends))
                Table.Write(writer => Replace(writer, frontends, before, cookie));
        }
    }

    /// <summary>The namespace is gone. Nothing happens if the pod has another one by now.</summary>
    public void RemoveNamespace(ResourceName pod, ulong cookie)
    {
        lock (_gate)
        {
            if (_cookies.GetValueOrDefault(pod) != cookie || !_cookies.Remove(pod))
                return;
            if (_frontends.TryGetValue(pod, out HashSet<L4Address>? frontends))
                Table.Write(writer => Replace(writer, frontends, cookie, null));
        }
    }

    public void Apply(CatalogChange change)
    {
        if (change.NewExemptions.IsEmpty && change.EndedExemptions.IsEmpty)
            return;
        lock (_gate)
        {
            Table.Write(writer =>
            {
                foreach (RedirectExemption ended in change.EndedExemptions)
                    End(writer, ended);
                foreach (RedirectExemption begun in change.NewExemptions)
                    Begin(writer, begun);
            });
        }
    }

    private void Begin(TableWriter<SkippedTranslation, SkippedTranslation> writer, RedirectExemption exemption)
    {
        if (!_frontends.TryGetValue(exemption.Pod, out HashSet<L4Address>? frontends))
            _frontends[exemption.Pod] = frontends = [];
        frontends.Add(exemption.Frontend);
        if (_cookies.TryGetValue(exemption.Pod, out ulong cookie))
            writer.Upsert(new SkippedTranslation(cookie, exemption.Frontend));
    }

    private void End(TableWriter<SkippedTranslation, SkippedTranslation> writer, RedirectExemption exemption)
    {
        if (_frontends.TryGetValue(exemption.Pod, out HashSet<L4Address>? frontends) && frontends.Remove(exemption.Frontend) && frontends.Count == 0)
            _frontends.Remove(exemption.Pod);
        if (_cookies.TryGetValue(exemption.Pod, out ulong cookie))
            writer.Remove(new SkippedTranslation(cookie, exemption.Frontend));
    }

    private static void Replace(
        TableWriter<SkippedTranslation, SkippedTranslation> writer, HashSet<L4Address> frontends, ulong? before, ulong? after)
    {
        foreach (L4Address frontend in frontends)
        {
            if (before is { } old)
                writer.Remove(new SkippedTranslation(old, frontend));
            if (after is { } cookie)
                writer.Upsert(new SkippedTranslation(cookie, frontend));
        }
    }
}
