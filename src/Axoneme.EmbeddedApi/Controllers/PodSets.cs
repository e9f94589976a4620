// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;

namespace Axoneme.EmbeddedApi.Controllers;

/// <summary>What controllers of pods share: templates, ownership and readiness.</summary>
internal static class PodSets
{
    private const string HashAlphabet = "bcdfghjklmnpqrstvwxz2456789";

    public static JsonObject NewPod(StoredObject owner, string kind, JsonObject template, IEnumerable<KeyValuePair<string, string>> labels)
    {
        var metadata = new JsonObject { ["generateName"] = owner.Name + "-", ["namespace"] = owner.Namespace };
        foreach (string part in (string[])["labels", "annotations", "finalizers"])
            if (template.At("metadata", part) is { } value)
                metadata[part] = JsonAccess.CopyNode(value);
        foreach ((string key, string value) in labels)
            metadata.Ensure("labels")[key] = value;
        metadata["ownerReferences"] = new JsonArray(ControllerReference(owner, "apps/v1", kind));
        return new JsonObject { ["apiVersion"] = "v1", ["kind"] = "Pod", ["metadata"] = metadata, ["spec"] = template.Map("spec")!.Copy() };
    }

    public static JsonObject ControllerReference(StoredObject owner, string apiVersion, string kind) => new()
    {
        ["apiVersion"] = apiVersion,
        ["kind"] = kind,
        ["name"] = owner.Name,
        ["uid"] = owner.Uid,
        ["controller"] = true,
        ["blockOwnerDeletion"] = true,
    };

    public static string? OwnerUid(StoredObject stored)
        => stored.Value.Objects("metadata", "ownerReferences").FirstOrDefault(o => o.Flag("controller")).Text("uid");

    public static IEnumerable<string> OwnerKeys(StoredObject stored, string kind)
        => stored.Value.Objects("metadata", "ownerReferences").Where(o => o.Flag("controller") && o.Text("kind") == kind)
            .Select(o => $"{stored.Namespace}/{o.Text("name")}");

    public static bool IsActive(StoredObject pod) => !pod.IsDeleting && pod.Value.Text("status", "phase") is not ("Succeeded" or "Failed");

    public static bool IsReady(StoredObject pod) => Conditions.IsTrue(pod.Value, "Ready");

    /// <summary>Ready for long enough; otherwise <paramref name="wait"/> says how long is missing, if the pod is ready at all.</summary>
    public static bool IsAvailable(StoredObject pod, long minReadySeconds, DateTimeOffset now, ref TimeSpan? wait)
    {
        if (!IsReady(pod))
            return false;
        if (minReadySeconds == 0)
            return true;
        string? since = pod.Value.Objects("status", "conditions").First(c => c.Text("type") == "Ready").Text("lastTransitionTime");
        if (!DateTimeOffset.TryParse(since, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset ready))
            return true;
        TimeSpan left = ready.AddSeconds(minReadySeconds) - now;
        if (left <= TimeSpan.Zero)
            return true;
        wait = wait is { } before && before < left ? before : left;
        return false;
    }

    /// <summary>A short name of a template's content; equal templates have equal names.</summary>
    public static string HashOf(JsonNode template)
    {
        byte[] hash = SHA256.HashData(JsonText.Write(Sorted(template)));
        return string.Concat(hash.Take(10).Select(b => HashAlphabet[b % HashAlphabet.Length]));
    }

    // The order of members depends on how the object was written and means nothing.
    private static JsonNode? Sorted(JsonNode? node) => node switch
    {
        JsonObject map => new JsonObject(map.OrderBy(p => p.Key, StringComparer.Ordinal).Select(p => KeyValuePair.Create(p.Key, Sorted(p.Value)))),
        JsonArray list => new JsonArray([.. list.Select(Sorted)]),
        _ => node?.DeepClone(),
    };

    /// <summary>The number that a count or percentage means.</summary>
    public static int Count(JsonNode? value, int total, bool roundUp)
    {
        if (value.Text() is not { } text || !int.TryParse(text.TrimEnd('%'), out int percent))
            return (int)(value.Whole() ?? 0);
        return roundUp ? (total * percent + 99) / 100 : total * percent / 100;
    }
}

/// <summary>Keeps as many pods as a replica set asks for.</summary>
internal sealed class ReplicaSetController(ApiMachinery machinery, Action<string>? log) : Controller(machinery, log)
{
    /// <summary>More are created in the next round, so that one large set does not keep the others waiting.</summary>
    private const int MaxBurst = 100;

    private const string Resource = "replicasets.apps";

    protected override IEnumerable<(string, Func<StoredObject, IEnumerable<string>>)> Sources =>
        [(Resource, o => [KeyOf(o)]), ("pods", o => PodSets.OwnerKeys(o, "ReplicaSet"))];

    protected override void Reconcile(string key)
    {
        (string ns, string name) = Split(key);
        if (Store.Get(Type(Resource), ns, name) is not { } set)
            return;
        StoredObject[] pods = Pods(set);
        if (!set.IsDeleting)
        {
            int wanted = (int)(set.Value.Whole("spec", "replicas") ?? 1);
            for (int i = pods.Length; i < Math.Min(wanted, pods.Length + MaxBurst); i++)
                Machinery.Create(Type("pods"), PodSets.NewPod(set, "ReplicaSet", set.Value.Map("spec", "template")!, []), WriteContext.Internal);
            foreach (StoredObject each in pods.OrderBy(Worth).ThenByDescending(p => p.Value.Text("metadata", "creationTimestamp"), StringComparer.Ordinal)
                .ThenByDescending(p => p.Version).Take(Math.Max(0, pods.Length - wanted)))
                Machinery.Delete(Type("pods"), ns, each.Name, new DeleteRequest());
            if (wanted > pods.Length + MaxBurst)
                Enqueue(key);
        }
        WriteStatus(set);
    }

    private StoredObject[] Pods(StoredObject set)
        => [.. Store.Snapshot(Type("pods")).InNamespace(set.Namespace).Where(p => PodSets.OwnerUid(p) == set.Uid && PodSets.IsActive(p))];

    // The least useful go first: without a node, not running, not ready.
    private static int Worth(StoredObject pod)
        => pod.Value.Text("spec", "nodeName") is null or "" ? 0 : pod.Value.Text("status", "phase") != "Running" ? 1 : PodSets.IsReady(pod) ? 3 : 2;

    private void WriteStatus(StoredObject set)
    {
        TimeSpan? wait = null;
        DateTimeOffset now = Machinery.Clock.GetUtcNow();
        StoredObject[] pods = Pods(set);
        long minReady = set.Value.Whole("spec", "minReadySeconds") ?? 0;
        int available = pods.Count(p => PodSets.IsAvailable(p, minReady, now, ref wait));
        Machinery.Modify(Type(Resource), set.Namespace, set.Name, WriteContext.Internal with { Subresource = "status" }, live =>
        {
            var status = new JsonObject
            {
                ["replicas"] = pods.Length,
                ["fullyLabeledReplicas"] = pods.Length,
                ["readyReplicas"] = pods.Count(PodSets.IsReady),
                ["availableReplicas"] = available,
                ["observedGeneration"] = set.Value.Whole("metadata", "generation"),
            };
            live["status"] = status;
            return live;
        });
        if (wait is { } left)
            EnqueueAfter(KeyOf(set), left + TimeSpan.FromMilliseconds(20));
    }
}

/// <summary>One pod of a daemon set on every node that fits.</summary>
internal sealed class DaemonSetController(ApiMachinery machinery, Action<string>? log) : Controller(machinery, log)
{
    private const string Resource = "daemonsets.apps";
    private const string HashLabel = "controller-revision-hash";

    // A daemon belongs on nodes in trouble too.
    private static readonly string[] AlwaysTolerated =
    [
        "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable", "node.kubernetes.io/disk-pressure",
        "node.kubernetes.io/memory-pressure", "node.kubernetes.io/pid-pressure", "node.kubernetes.io/unschedulable",
    ];

    protected override IEnumerable<(string, Func<StoredObject, IEnumerable<string>>)> Sources =>
    [
        (Resource, o => [KeyOf(o)]),
        ("pods", o => PodSets.OwnerKeys(o, "DaemonSet")),
        ("nodes", _ => Store.Snapshot(Type(Resource)).All.Select(KeyOf)),
    ];

    protected override void Reconcile(string key)
    {
        (string ns, string name) = Split(key);
        if (Store.Get(Type(Resource), ns, name) is not { } set)
            return;
        JsonObject template = set.Value.Map("spec", "template")!;
        string hash = PodSets.HashOf(template);
        StoredObject[] nodes = [.. Store.Snapshot(Type("nodes")).All.Where(n => Fits(template, n))];
        if (!set.IsDeleting)
        {
            Place(set, template, hash, nodes);
            Roll(set, hash, nodes);
        }
        WriteStatus(set, hash, nodes);
    }

    private static bool Fits(JsonObject template, StoredObject node)
        => Placement.SelectorMatches(template["spec"], node) && Placement.Tolerates(template["spec"], node.Value, AlwaysTolerated);

    private StoredObject[] Pods(StoredObject set)
        => [.. Store.Snapshot(Type("pods")).InNamespace(set.Namespace).Where(p => PodSets.OwnerUid(p) == set.Uid)];

    private void Place(StoredObject set, JsonObject template, string hash, StoredObject[] nodes)
    {
        var names = nodes.Select(n => n.Name).ToHashSet(StringComparer.Ordinal);
        ILookup<string, StoredObject> byNode = Pods(set).ToLookup(p => p.Value.Text("spec", "nodeName") ?? "");
        // A node's next pod waits until the last one has left: ports and paths of the host are there only once.
        foreach (string node in names.Where(n => !byNode[n].Any()))
        {
            JsonObject pod = PodSets.NewPod(set, "DaemonSet", template, [KeyValuePair.Create(HashLabel, hash)]);
            pod["spec"]!["nodeName"] = node;
            Machinery.Create(Type("pods"), pod, WriteContext.Internal);
        }
        foreach (IGrouping<string, StoredObject> group in byNode)
        {
            IEnumerable<StoredObject> active = group.Where(PodSets.IsActive).OrderBy(p => p.Version);
            foreach (StoredObject surplus in names.Contains(group.Key) ? active.Skip(1) : active)
                Machinery.Delete(Type("pods"), set.Namespace, surplus.Name, new DeleteRequest());
            foreach (StoredObject ended in group.Where(p => p.Value.Text("status", "phase") is "Failed" or "Succeeded" && !p.IsDeleting))
                Machinery.Delete(Type("pods"), set.Namespace, ended.Name, new DeleteRequest());
        }
    }

    private void Roll(StoredObject set, string hash, StoredObject[] nodes)
    {
        if (set.Value.Text("spec", "updateStrategy", "type") == "OnDelete")
            return;
        StoredObject[] active = [.. Pods(set).Where(PodSets.IsActive)];
        int unavailable = nodes.Length - active.Count(PodSets.IsReady);
        int allowed = Math.Max(1, PodSets.Count(set.Value.At("spec", "updateStrategy", "rollingUpdate", "maxUnavailable"), nodes.Length, roundUp: true));
        foreach (StoredObject old in active.Where(p => p.Labels.GetValueOrDefault(HashLabel) != hash).OrderBy(PodSets.IsReady))
        {
            if (PodSets.IsReady(old) && unavailable++ >= allowed)
                return;
            Machinery.Delete(Type("pods"), set.Namespace, old.Name, new DeleteRequest());
        }
    }

    private void WriteStatus(StoredObject set, string hash, StoredObject[] nodes)
    {
        TimeSpan? wait = null;
        DateTimeOffset now = Machinery.Clock.GetUtcNow();
        var names = nodes.Select(n => n.Name).ToHashSet(StringComparer.Ordinal);
        StoredObject[] pods = [.. Pods(set).Where(PodSets.IsActive)];
        StoredObject[] placed = [.. pods.Where(p => names.Contains(p.Value.Text("spec", "nodeName") ?? ""))];
        int available = placed.Count(p => PodSets.IsAvailable(p, set.Value.Whole("spec", "minReadySeconds") ?? 0, now, ref wait));
        Machinery.Modify(Type(Resource), set.Namespace, set.Name, WriteContext.Internal with { Subresource = "status" }, live =>
        {
            live["status"] = new JsonObject
            {
                ["currentNumberScheduled"] = placed.Length,
                ["numberMisscheduled"] = pods.Length - placed.Length,
                ["desiredNumberScheduled"] = nodes.Length,
                ["numberReady"] = placed.Count(PodSets.IsReady),
                ["observedGeneration"] = set.Value.Whole("metadata", "generation"),
                ["updatedNumberScheduled"] = placed.Count(p => p.Labels.GetValueOrDefault(HashLabel) == hash),
                ["numberAvailable"] = available,
                ["numberUnavailable"] = nodes.Length - available,
            };
            return live;
        });
        if (wait is { } left)
            EnqueueAfter(KeyOf(set), left + TimeSpan.FromMilliseconds(20));
    }
}
