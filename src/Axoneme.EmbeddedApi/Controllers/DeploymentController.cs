// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;

namespace Axoneme.EmbeddedApi.Controllers;

/// <summary>Moves a deployment's pods from one replica set to the next, within maxSurge and maxUnavailable.</summary>
internal sealed class DeploymentController(ApiMachinery machinery, Action<string>? log) : Controller(machinery, log)
{
    private const string Resource = "deployments.apps";
    private const string Sets = "replicasets.apps";
    private const string HashLabel = "pod-template-hash";
    private const string Revision = "deployment.kubernetes.io/revision";

    protected override IEnumerable<(string, Func<StoredObject, IEnumerable<string>>)> Sources =>
        [(Resource, o => [KeyOf(o)]), (Sets, o => PodSets.OwnerKeys(o, "Deployment"))];

    protected override void Reconcile(string key)
    {
        (string ns, string name) = Split(key);
        if (Store.Get(Type(Resource), ns, name) is not { } deployment)
            return;
        if (deployment.IsDeleting)
            return;
        JsonObject template = deployment.Value.Map("spec", "template")!;
        string hash = PodSets.HashOf(template);
        StoredObject[] sets = SetsOf(deployment);
        StoredObject? current = sets.FirstOrDefault(s => s.Labels.GetValueOrDefault(HashLabel) == hash);
        bool paused = deployment.Value.Flag("spec", "paused");
        if (current is null && !paused)
        {
            current = CreateSet(deployment, template, hash, sets);
            sets = SetsOf(deployment);
        }
        StoredObject[] old = [.. sets.Where(s => s.Uid != current?.Uid)];
        int replicas = Wanted(deployment);
        if (current is not null && Revive(deployment, current, old) is { } revived)
            current = revived;
        if (paused || current is null)
        {
            // Scaling goes on while a rollout is paused.
            if (sets.Where(s => Wanted(s) > 0).ToArray() is [var single])
                Scale(single, replicas);
        }
        else if (deployment.Value.Text("spec", "strategy", "type") == "Recreate")
            Recreate(deployment, current, old, replicas);
        else
            Roll(deployment, current, old, replicas);
        Prune(deployment, current);
        WriteStatus(deployment, current);
    }

    private static int Wanted(StoredObject stored) => (int)(stored.Value.Whole("spec", "replicas") ?? 1);

    private static int Available(StoredObject set) => (int)(set.Value.Whole("status", "availableReplicas") ?? 0);

    private static long RevisionOf(StoredObject set)
        => long.TryParse(set.Value.Text("metadata", "annotations", Revision), out long revision) ? revision : 0;

    private StoredObject[] SetsOf(StoredObject deployment)
        => [.. Store.Snapshot(Type(Sets)).InNamespace(deployment.Namespace).Where(s => PodSets.OwnerUid(s) == deployment.Uid && !s.IsDeleting)
            .OrderBy(s => s.Value.Text("metadata", "creationTimestamp"), StringComparer.Ordinal)];

    private StoredObject CreateSet(StoredObject deployment, JsonObject template, string hash, StoredObject[] existing)
    {
        JsonObject set = ControllerHost.Object("apps/v1", "ReplicaSet", deployment.Namespace, $"{deployment.Name}-{hash}");
        JsonObject labelled = template.Copy();
        labelled.Ensure("metadata", "labels")[HashLabel] = hash;
        JsonObject selector = deployment.Value.Map("spec", "selector")!.Copy();
        selector.Ensure("matchLabels")[HashLabel] = hash;
        JsonObject metadata = set.Ensure("metadata");
        metadata["labels"] = labelled.Map("metadata", "labels")!.Copy();
        foreach ((string annotation, string value) in deployment.Value.TextMap("metadata", "annotations"))
            if (annotation is not (Revision or "kubectl.kubernetes.io/last-applied-configuration"))
                metadata.Ensure("annotations")[annotation] = value;
        string revision = (existing.Select(RevisionOf).DefaultIfEmpty(0).Max() + 1).ToString();
        metadata.Ensure("annotations")[Revision] = revision;
        metadata["ownerReferences"] = new JsonArray(PodSets.ControllerReference(deployment, "apps/v1", "Deployment"));
        set["spec"] = new JsonObject
        {
            ["replicas"] = 0,
            ["minReadySeconds"] = deployment.Value.Whole("spec", "minReadySeconds") ?? 0,
            ["selector"] = selector,
            ["template"] = labelled,
        };
        StoredObject created = Machinery.Create(Type(Sets), set, WriteContext.Internal);
        SetRevision(deployment, revision);
        return created;
    }

    /// <summary>Going back to an earlier template makes its set the newest revision again.</summary>
    private StoredObject? Revive(StoredObject deployment, StoredObject current, StoredObject[] old)
    {
        long newest = old.Select(RevisionOf).DefaultIfEmpty(0).Max();
        if (RevisionOf(current) > newest)
        {
            if (deployment.Value.Text("metadata", "annotations", Revision) != RevisionOf(current).ToString())
                SetRevision(deployment, RevisionOf(current).ToString());
            return null;
        }
        string revision = (newest + 1).ToString();
        StoredObject revived = Machinery.Modify(Type(Sets), current.Namespace, current.Name, WriteContext.Internal, live =>
        {
            live.Ensure("metadata", "annotations")[Revision] = revision;
            return live;
        });
        SetRevision(deployment, revision);
        return revived;
    }

    private void SetRevision(StoredObject deployment, string revision)
        => Machinery.Modify(Type(Resource), deployment.Namespace, deployment.Name, WriteContext.Internal, live =>
        {
            live.Ensure("metadata", "annotations")[Revision] = revision;
            return live;
        });

    private void Scale(StoredObject set, int replicas)
    {
        if (Wanted(set) != replicas)
            Machinery.Modify(Type(Sets), set.Namespace, set.Name, WriteContext.Internal, live =>
            {
                live.Ensure("spec")["replicas"] = replicas;
                return live;
            });
    }

    private void Recreate(StoredObject deployment, StoredObject current, StoredObject[] old, int replicas)
    {
        foreach (StoredObject set in old)
            Scale(set, 0);
        var owners = old.Select(o => o.Uid).ToHashSet(StringComparer.Ordinal);
        // Pods that are still stopping count: the point of this strategy is that two versions never run together.
        bool running = Store.Snapshot(Type("pods")).InNamespace(deployment.Namespace).Any(p => owners.Contains(PodSets.OwnerUid(p) ?? ""));
        if (running)
            EnqueueAfter(KeyOf(deployment), TimeSpan.FromMilliseconds(100));
        else
            Scale(current, replicas);
    }

    private void Roll(StoredObject deployment, StoredObject current, StoredObject[] old, int replicas)
    {
        JsonNode? rolling = deployment.Value.At("spec", "strategy", "rollingUpdate");
        int surge = PodSets.Count(rolling.At("maxSurge"), replicas, roundUp: true);
        int unavailable = PodSets.Count(rolling.At("maxUnavailable"), replicas, roundUp: false);
        if (surge == 0 && unavailable == 0)
            unavailable = 1;
        int total = Wanted(current) + old.Sum(Wanted);
        if (Wanted(current) > replicas || old.All(o => Wanted(o) == 0))
        {
            Scale(current, replicas);
            return;
        }
        int room = replicas + surge - total;
        if (room > 0 && Wanted(current) < replicas)
        {
            Scale(current, Math.Min(replicas, Wanted(current) + room));
            return;
        }
        // What the current set still lacks must be made up for by the old ones.
        int missing = Wanted(current) - Available(current);
        int removable = total - (replicas - unavailable) - missing;
        foreach (StoredObject set in old.Where(o => Wanted(o) > 0))
        {
            int unhealthy = Math.Max(0, Wanted(set) - Available(set));
            int fewer = Math.Min(Math.Max(removable, 0), unhealthy);
            removable -= fewer;
            int healthy = Math.Min(Math.Max(Math.Min(removable, Available(current) + old.Sum(Available) - (replicas - unavailable)), 0), Wanted(set) - fewer);
            removable -= healthy;
            Scale(set, Wanted(set) - fewer - healthy);
            if (removable <= 0)
                return;
        }
    }

    private void Prune(StoredObject deployment, StoredObject? current)
    {
        int keep = (int)(deployment.Value.Whole("spec", "revisionHistoryLimit") ?? 10);
        StoredObject[] idle = [.. SetsOf(deployment).Where(s => s.Uid != current?.Uid && Wanted(s) == 0 && s.Value.Whole("status", "replicas") is 0).OrderBy(RevisionOf)];
        foreach (StoredObject set in idle.Take(Math.Max(0, idle.Length - keep)))
            Machinery.Delete(Type(Sets), set.Namespace, set.Name, new DeleteRequest());
    }

    private void WriteStatus(StoredObject deployment, StoredObject? current)
    {
        StoredObject[] sets = SetsOf(deployment);
        current = sets.FirstOrDefault(s => s.Uid == current?.Uid);
        long Sum(string field) => sets.Sum(s => s.Value.Whole("status", field) ?? 0);
        long replicas = Sum("replicas"), ready = Sum("readyReplicas"), available = Sum("availableReplicas");
        long updated = current?.Value.Whole("status", "replicas") ?? 0;
        int wanted = Wanted(deployment);
        int minimum = wanted - PodSets.Count(deployment.Value.At("spec", "strategy", "rollingUpdate", "maxUnavailable"), wanted, roundUp: false);
        bool complete = updated == wanted && replicas == wanted && available == wanted;
        Machinery.Modify(Type(Resource), deployment.Namespace, deployment.Name, WriteContext.Internal with { Subresource = "status" }, live =>
        {
            JsonObject status = live.Ensure("status");
            status["observedGeneration"] = deployment.Value.Whole("metadata", "generation");
            foreach ((string field, long value) in ((string, long)[])
                [("replicas", replicas), ("updatedReplicas", updated), ("readyReplicas", ready), ("availableReplicas", available), ("unavailableReplicas", Math.Max(0, Math.Max(wanted, replicas) - available))])
                if (value > 0)
                    status[field] = value;
                else
                    status.Remove(field);
            string now = Machinery.Now;
            if (available >= minimum)
                SetCondition(live, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now);
            else
                SetCondition(live, "Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.", now);
            WriteProgress(live, deployment, current, complete, updated, now);
            return live;
        });
    }

    private void WriteProgress(JsonObject live, StoredObject deployment, StoredObject? current, bool complete, long updated, string now)
    {
        string name = current?.Name ?? deployment.Name;
        JsonObject? before = live.Objects("status", "conditions").FirstOrDefault(c => c.Text("type") == "Progressing");
        if (complete)
        {
            SetCondition(live, "Progressing", "True", "NewReplicaSetAvailable", $"ReplicaSet \"{name}\" has successfully progressed.", now);
            return;
        }
        long deadline = deployment.Value.Whole("spec", "progressDeadlineSeconds") ?? 600;
        // Progress is a change of what counts: then the clock starts again.
        string message = $"ReplicaSet \"{name}\" is progressing.";
        bool moved = before.Text("reason") is not ("ReplicaSetUpdated" or "ProgressDeadlineExceeded") || deployment.Value.Whole("status", "updatedReplicas") is var u && (u ?? 0) != updated
            || (deployment.Value.Whole("status", "availableReplicas") ?? 0) < (live.Whole("status", "availableReplicas") ?? 0)
            || deployment.Value.Whole("status", "observedGeneration") != deployment.Value.Whole("metadata", "generation");
        if (moved)
        {
            SetCondition(live, "Progressing", "True", "ReplicaSetUpdated", message, now);
            live.Objects("status", "conditions").First(c => c.Text("type") == "Progressing")["lastUpdateTime"] = now;
            EnqueueAfter(KeyOf(deployment), TimeSpan.FromSeconds(deadline + 1));
            return;
        }
        if (DateTimeOffset.TryParse(before.Text("lastUpdateTime"), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset last)
            && Machinery.Clock.GetUtcNow() > last.AddSeconds(deadline))
            SetCondition(live, "Progressing", "False", "ProgressDeadlineExceeded", $"ReplicaSet \"{name}\" has timed out progressing.", now);
    }

    private static void SetCondition(JsonObject live, string type, string status, string reason, string message, string now)
    {
        Conditions.Set(live, type, status, reason, message, now);
        live.Objects("status", "conditions").First(c => c.Text("type") == type)["lastUpdateTime"] ??= now;
    }
}
