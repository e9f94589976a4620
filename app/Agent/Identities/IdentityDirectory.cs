// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Net;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Identities;

/// <summary>A cluster-wide identity as its CiliumIdentity object states it.</summary>
/// <param name="IsMarked">The operator found it unused and deletes it soon, unless somebody takes the mark away.</param>
internal sealed record IdentityRecord(SecurityIdentity Id, LabelSet Labels, bool IsMarked = false);

/// <summary>
/// The cluster's identities, from CiliumIdentity objects, and the allocation of new ones. Two agents may allocate for the same
/// labels at once; both numbers are then valid, and
/// whoever needs one later uses the smaller.
/// </summary>
/// <param name="client">Of the API.</param>
/// <param name="numbering">Numbers of the own cluster.</param>
/// <param name="wellKnown">Identities without objects, whose numbers are fixed.</param>
/// <param name="log">For objects that cannot be read.</param>
internal sealed class IdentityDirectory(
    KubernetesClient client, IdentityNumbering numbering, ImmutableArray<KeyValuePair<SecurityIdentity, LabelSet>> wellKnown, ILogger<IdentityDirectory> log)
    : IDisposable
{
    // As upstream's operator sets it.
    private const string Mark = "io.cilium.heartbeat";

    // Every attempt draws another number; with thousands in use a few draws may collide with other agents.
    private const int Attempts = 16;

    private static readonly TableIndex<SecurityIdentity, IdentityRecord, LabelSet> ByLabels = new("labels", record => record.Labels);

    private readonly SemaphoreSlim _allocating = new(1);

    public Table<SecurityIdentity, IdentityRecord> Table { get; } = new(
        "identities",
        record => record.Id,
        [ByLabels],
        [new("Id", r => r.Id.Value.ToString()), new("Labels", r => r.Labels.ToString())]);

    public void Dispose() => _allocating.Dispose();

    /// <summary>The number in use for the labels, or null.</summary>
    public SecurityIdentity? Find(LabelSet labels)
    {
        SecurityIdentity? smallest = null;
        foreach (IdentityRecord record in Table.Snapshot().Lookup(ByLabels, labels))
        {
            if (smallest is null || record.Id < smallest)
                smallest = record.Id;
        }

        return smallest;
    }

    /// <summary>Finds or creates the identity of the labels.</summary>
    /// <exception cref="KubernetesException">The API refused the object.</exception>
    public async Task<SecurityIdentity> AllocateAsync(LabelSet labels, CancellationToken cancellation)
    {
        foreach ((SecurityIdentity id, LabelSet fixedLabels) in wellKnown)
        {
            if (fixedLabels.Equals(labels))
                return id;
        }

        if (Find(labels) is { } known && !IsMarked(known))
            return known;
        // One at a time: pods of one deployment start together and share their labels.
        await _allocating.WaitAsync(cancellation);
        try
        {
            while (Find(labels) is { } present)
            {
                if (!IsMarked(present) || await TryReviveAsync(present, cancellation))
                    return present;
            }

            return await CreateAsync(labels, cancellation);
        }
        finally
        {
            _allocating.Release();
        }
    }

    private bool IsMarked(SecurityIdentity id) => Table.Snapshot().Find(id) is { IsMarked: true };

    // The change of the object makes the operator's deletion fail. False: the operator was faster.
    private async Task<bool> TryReviveAsync(SecurityIdentity id, CancellationToken cancellation)
    {
        try
        {
            const string patch = $$"""{"metadata":{"annotations":{"{{Mark}}":null} } }""";
            CiliumIdentity revived = await client.Of(Kinds.CiliumIdentities).PatchAsync(
                new ResourceName(id.Value.ToString()), PatchKind.Merge, patch, null, cancellation);
            Upsert(revived);
            return true;
        }
        catch (KubernetesException e) when (e.IsNotFound)
        {
            Table.Remove(id);
            return false;
        }
    }

    public void Upsert(CiliumIdentity resource)
    {
        if (Read(resource) is { } record)
            Table.Upsert(record);
    }

    public void Delete(ResourceName name)
    {
        if (uint.TryParse(name.Name, out uint number))
            Table.Remove(new SecurityIdentity(number));
    }

    private async Task<SecurityIdentity> CreateAsync(LabelSet labels, CancellationToken cancellation)
    {
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            SecurityIdentity id = DrawFreeNumber();
            var resource = new CiliumIdentity
            {
                Metadata = new ObjectMeta { Name = id.Value.ToString(), Labels = ObjectLabels(labels) },
                SecurityLabels = PodLabels.ToSecurityLabels(labels),
            };
            try
            {
                await client.Of(Kinds.CiliumIdentities).CreateAsync(resource, cancellationToken: cancellation);
            }
            catch (KubernetesException e) when (e.Code == HttpStatusCode.Conflict)
            {
                continue;
            }

            Table.Upsert(new IdentityRecord(id, labels));
            return id;
        }

        throw new InvalidOperationException($"no free identity number was found in {Attempts} attempts for {labels}");
    }

    private SecurityIdentity DrawFreeNumber()
    {
        TableSnapshot<SecurityIdentity, IdentityRecord> used = Table.Snapshot();
        int range = (int)(numbering.Last - numbering.First + 1);
        if (used.Count >= range && used.Keys.Count(numbering.Has) >= range)
            throw new InvalidOperationException($"all {range} cluster identities are in use; fewer labels should be relevant for identities (option labels)");
        while (true)
        {
            var id = new SecurityIdentity(numbering.First + (uint)Random.Shared.Next(range));
            if (!used.Contains(id))
                return id;
        }
    }

    // Convenience for people who select identities by namespace; the labels that count are security-labels.
    private static Dictionary<string, string> ObjectLabels(LabelSet labels)
    {
        var metadata = new Dictionary<string, string>();
        foreach (string key in new[] { PodLabels.Namespace, PodLabels.Cluster, PodLabels.ServiceAccount })
        {
            if (labels.Find(Label.Kubernetes, key) is { } value)
                metadata[key] = value;
        }

        return metadata;
    }

    private IdentityRecord? Read(CiliumIdentity resource)
    {
        if (uint.TryParse(resource.Metadata.Name, out uint number) && resource.SecurityLabels is { Count: > 0 } labels)
            return new IdentityRecord(new SecurityIdentity(number), PodLabels.FromSecurityLabels(labels), resource.Metadata.Annotation(Mark) is not null);
        log.LogWarning("CiliumIdentity {Name} is ignored: its name must be a number and security-labels must not be empty", resource.Metadata.Name);
        return null;
    }
}
