// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;
using Axoneme.Network;

namespace Axoneme.EmbeddedApi.Controllers;

/// <summary>Gives nodes their pod prefixes, and calls a node NotReady whose lease has not been renewed.</summary>
internal sealed class NodeController(ApiMachinery machinery, EmbeddedApiOptions options) : Controller(machinery, options.Log)
{
    private const string NotReadyTaint = "node.kubernetes.io/unreachable";

    protected override IEnumerable<(string, Func<StoredObject, IEnumerable<string>>)> Sources =>
    [
        ("nodes", o => [o.Name]),
        ("leases.coordination.k8s.io", o => o.Namespace == "kube-node-lease" ? [o.Name] : []),
    ];

    protected override void Reconcile(string key)
    {
        if (Store.Get(Type("nodes"), null, key) is not { } node)
            return;
        if (!node.Value.Texts("spec", "podCIDRs").Any() && node.Value.Text("spec", "podCIDR") is null or "")
            Machinery.Modify(Type("nodes"), null, key, WriteContext.Internal, live =>
            {
                string[] prefixes = [.. options.PodCidrs.Select(FreePrefix)];
                live.Ensure("spec")["podCIDR"] = prefixes[0];
                live.Ensure("spec")["podCIDRs"] = JsonAccess.ToArray(prefixes);
                return live;
            });
        CheckLease(node);
    }

    private string FreePrefix(PodCidrRange range)
    {
        var taken = Store.Snapshot(Type("nodes")).All.SelectMany(n => n.Value.Texts("spec", "podCIDRs")).ToHashSet(StringComparer.Ordinal);
        int bits = range.NodeMaskLength - range.Prefix.Length;
        UInt128 step = UInt128.One << (range.Prefix.Address.BitCount - range.NodeMaskLength);
        for (UInt128 i = 0; i < UInt128.One << bits; i++)
        {
            string prefix = new IpPrefix(range.Prefix.Address.Add(i * step), range.NodeMaskLength).ToString();
            if (!taken.Contains(prefix))
                return prefix;
        }
        throw new InvalidOperationException($"The pod prefix {range.Prefix} has no /{range.NodeMaskLength} left.");
    }

    private void CheckLease(StoredObject node)
    {
        if (Store.Get(Type("leases.coordination.k8s.io"), "kube-node-lease", node.Name) is not { } lease
            || !DateTimeOffset.TryParse(lease.Value.Text("spec", "renewTime"), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset renewed))
            return;
        TimeSpan left = renewed + options.NodeMonitorGracePeriod - Machinery.Clock.GetUtcNow();
        bool expired = left <= TimeSpan.Zero;
        bool marked = node.Value.Objects("status", "conditions").Any(c => c.Text("type") == "Ready" && c.Text("status") == "Unknown");
        if (expired && !marked)
            Machinery.Modify(Type("nodes"), null, node.Name, WriteContext.Internal with { Subresource = "status" }, live =>
            {
                Conditions.Set(live, "Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.", Machinery.Now);
                return live;
            });
        if (expired == node.Value.Objects("spec", "taints").Any(t => t.Text("key") == NotReadyTaint))
        {
            if (!expired)
                EnqueueAfter(node.Name, left + TimeSpan.FromMilliseconds(50));
            return;
        }
        Machinery.Modify(Type("nodes"), null, node.Name, WriteContext.Internal, live =>
        {
            var taints = live.Objects("spec", "taints").Where(t => t.Text("key") != NotReadyTaint).Select(t => t.Copy()).ToList();
            if (expired)
                taints.Add(new JsonObject { ["key"] = NotReadyTaint, ["effect"] = "NoSchedule", ["timeAdded"] = Machinery.Now });
            live.Ensure("spec")["taints"] = JsonAccess.ToArray(taints);
            return live;
        });
    }
}

/// <summary>Conditions of a status.</summary>
internal static class Conditions
{
    /// <summary>Sets a condition; its transition time moves only with its status.</summary>
    public static void Set(JsonObject value, string type, string status, string reason, string message, string now)
    {
        JsonObject owner = value.Ensure("status");
        if (owner["conditions"] is not JsonArray conditions)
            owner["conditions"] = conditions = [];
        JsonObject? condition = conditions.OfType<JsonObject>().FirstOrDefault(c => c.Text("type") == type);
        if (condition is null)
            conditions.Add((JsonNode)(condition = new JsonObject { ["type"] = type }));
        if (condition.Text("status") != status)
        {
            condition["status"] = status;
            condition["lastTransitionTime"] = now;
        }
        if (condition.Text("reason") != reason && condition.ContainsKey("lastUpdateTime"))
            condition["lastUpdateTime"] = now;
        condition["reason"] = reason;
        condition["message"] = message;
    }

    public static bool IsTrue(JsonNode? value, string type)
        => value.Objects("status", "conditions").Any(c => c.Text("type") == type && c.Text("status") == "True");
}

/// <summary>Which nodes a pod may run on.</summary>
internal static class Placement
{
    public static bool IsReady(JsonObject node) => Conditions.IsTrue(node, "Ready");

    public static bool SelectorMatches(JsonNode? podSpec, StoredObject node)
    {
        if (!LabelSelector.FromMap(podSpec.At("nodeSelector")).Matches(node.Labels))
            return false;
        JsonNode? required = podSpec.At("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms");
        return required is not JsonArray terms || terms.Any(t => TermMatches(t, node));
    }

    /// <param name="always">Taints that the pod's kind tolerates anyway.</param>
    public static bool Tolerates(JsonNode? podSpec, JsonObject node, params ReadOnlySpan<string> always)
    {
        JsonObject[] tolerations = [.. podSpec.Objects("tolerations")];
        foreach (JsonObject taint in node.Objects("spec", "taints"))
        {
            if (taint.Text("effect") == "PreferNoSchedule" || always.Contains(taint.Text("key") ?? ""))
                continue;
            if (!tolerations.Any(t => Tolerated(t, taint)))
                return false;
        }
        return true;
    }

    private static bool Tolerated(JsonObject toleration, JsonObject taint)
    {
        if (toleration.Text("effect") is { Length: > 0 } effect && effect != taint.Text("effect"))
            return false;
        bool exists = toleration.Text("operator") == "Exists";
        if (toleration.Text("key") is not { Length: > 0 } key)
            return exists;
        return key == taint.Text("key") && (exists || (toleration.Text("value") ?? "") == (taint.Text("value") ?? ""));
    }

    private static bool TermMatches(JsonNode? term, StoredObject node)
    {
        LabelSelector labels = LabelSelector.FromJson(new JsonObject { ["matchExpressions"] = Renamed(term.At("matchExpressions")) })!;
        LabelSelector fields = LabelSelector.FromJson(new JsonObject { ["matchExpressions"] = Renamed(term.At("matchFields")) })!;
        return labels.Matches(node.Labels) && fields.Matches(new Dictionary<string, string> { ["metadata.name"] = node.Name });
    }

    // Node selectors call the comparisons Gt and Lt.
    private static JsonArray Renamed(JsonNode? expressions)
        => JsonAccess.ToArray(((expressions as JsonArray) ?? []).OfType<JsonObject>().Select(e =>
        {
            JsonObject copy = e.Copy();
            copy["operator"] = e.Text("operator") switch { "Gt" => "Greater", "Lt" => "Less", var other => other };
            return copy;
        }));
}

/// <summary>Picks a node for pods that have none: ready, selected, tolerated, and with the fewest pods of the same owner.</summary>
internal sealed class SchedulerController(ApiMachinery machinery, Action<string>? log) : Controller(machinery, log)
{
    private static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(1);

    protected override IEnumerable<(string, Func<StoredObject, IEnumerable<string>>)> Sources =>
    [
        ("pods", o => Waits(o) ? [KeyOf(o)] : []),
        ("nodes", _ => Store.Snapshot(Type("pods")).All.Where(Waits).Select(KeyOf)),
    ];

    protected override void Reconcile(string key)
    {
        (string ns, string name) = Split(key);
        ObjectSnapshot pods = Store.Snapshot(Type("pods"));
        if (pods.Find(ns, name) is not { } pod || !Waits(pod))
            return;
        JsonObject spec = pod.Value.Map("spec")!;
        StoredObject[] nodes = [.. Store.Snapshot(Type("nodes")).All];
        StoredObject[] fitting =
        [
            .. nodes.Where(n => Placement.IsReady(n.Value) && !n.Value.Flag("spec", "unschedulable")
                && Placement.SelectorMatches(spec, n) && Placement.Tolerates(spec, n.Value)),
        ];
        if (fitting.Length == 0)
        {
            Refuse(pod, nodes.Length);
            return;
        }
        string? owner = pod.Value.Objects("metadata", "ownerReferences").FirstOrDefault(o => o.Flag("controller")).Text("uid");
        var load = fitting.ToDictionary(n => n.Name, _ => (Same: 0, All: 0), StringComparer.Ordinal);
        foreach (StoredObject other in pods.All)
            if (other.Value.Text("spec", "nodeName") is { } at && load.TryGetValue(at, out var count) && !other.IsDeleting)
                load[at] = (count.Same + (owner is not null && OwnerOf(other) == owner ? 1 : 0), count.All + 1);
        string chosen = load.OrderBy(l => l.Value.Same).ThenBy(l => l.Value.All).ThenBy(l => l.Key, StringComparer.Ordinal).First().Key;
        Machinery.Modify(Type("pods"), ns, name, WriteContext.Internal, live =>
        {
            if (live.Text("spec", "nodeName") is null or "")
                live.Ensure("spec")["nodeName"] = chosen;
            return live;
        });
        Machinery.Modify(Type("pods"), ns, name, WriteContext.Internal with { Subresource = "status" }, live =>
        {
            Conditions.Set(live, "PodScheduled", "True", "", "", Machinery.Now);
            return live;
        });
    }

    private static string? OwnerOf(StoredObject pod)
        => pod.Value.Objects("metadata", "ownerReferences").FirstOrDefault(o => o.Flag("controller")).Text("uid");

    private static bool Waits(StoredObject pod)
        => pod.Value.Text("spec", "nodeName") is null or "" && !pod.IsDeleting
            && pod.Value.Text("spec", "schedulerName") is null or "default-scheduler"
            && !pod.Value.Objects("spec", "schedulingGates").Any();

    private void Refuse(StoredObject pod, int nodes)
    {
        Machinery.Modify(Type("pods"), pod.Namespace, pod.Name, WriteContext.Internal with { Subresource = "status" }, live =>
        {
            Conditions.Set(live, "PodScheduled", "False", "Unschedulable",
                $"0/{nodes} nodes are available: none is ready, matches the pod's node selector and has only taints that it tolerates.", Machinery.Now);
            return live;
        });
        EnqueueAfter(KeyOf(pod), RetryDelay);
    }
}
