// SPDX-License-Identifier: Apache-2.0
using System.Security.Cryptography;
using System.Text.Json;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Tables;

namespace Axoneme.Agent.Cluster;

/// <summary>
/// CiliumEndpoints as the slices of the operator give them. An endpoint that moves between slices may be in both for a moment, or in none: the
/// first is settled here, and the second does not happen, as the operator does not move any. Called by one reflector.
/// </summary>
internal sealed class EndpointsOfSlices : IReflectorSink<CiliumEndpointSlice>
{
    private const string Initializer = "kubernetes/ciliumendpointslices";

    private readonly Table<ResourceName, CiliumEndpoint> _table;
    private readonly Dictionary<ResourceName, Dictionary<ResourceName, CiliumEndpoint>> _slices = [];

    public EndpointsOfSlices(Table<ResourceName, CiliumEndpoint> table)
    {
        _table = table;
        table.RegisterInitializer(Initializer);
    }

    public void Replace(IReadOnlyList<CiliumEndpointSlice> items, IReadOnlySet<ResourceName> keep) => _table.Write(writer =>
    {
        var present = items.Select(s => s.ResourceName).ToHashSet();
        foreach (ResourceName gone in _slices.Keys.Where(name => !present.Contains(name) && !keep.Contains(name)).ToArray())
            Apply(writer, gone, null);
        foreach (CiliumEndpointSlice slice in items)
            Apply(writer, slice.ResourceName, slice);
    });

    public void Change(IReadOnlyList<WatchEvent<CiliumEndpointSlice>> events) => _table.Write(writer =>
    {
        foreach (WatchEvent<CiliumEndpointSlice> watched in events)
            Apply(writer, watched.Name, watched.Type == WatchEventType.Deleted ? null : watched.Object);
    });

    public void Initialized() => _table.MarkInitialized(Initializer);

    private void Apply(TableWriter<ResourceName, CiliumEndpoint> writer, ResourceName name, CiliumEndpointSlice? slice)
    {
        _slices.Remove(name, out Dictionary<ResourceName, CiliumEndpoint>? before);
        Dictionary<ResourceName, CiliumEndpoint> next = [];
        foreach (CoreCiliumEndpoint core in slice?.Endpoints ?? [])
        {
            CiliumEndpoint endpoint = Read(slice!.Namespace ?? "", core);
            next[endpoint.ResourceName] = endpoint;
            writer.Upsert(endpoint);
        }

        if (next.Count > 0)
            _slices[name] = next;
        foreach (ResourceName gone in (before?.Keys ?? Enumerable.Empty<ResourceName>()).Where(e => !next.ContainsKey(e)))
        {
            if (_slices.Values.FirstOrDefault(s => s.ContainsKey(gone)) is { } other)
                writer.Upsert(other[gone]);
            else
                writer.Remove(gone);
        }
    }

    // Its content stands for its version, so that a change of a slice is a change of those of its endpoints that changed.
    private static CiliumEndpoint Read(string space, CoreCiliumEndpoint core) => new()
    {
        Metadata = new ObjectMeta
        {
            Namespace = space,
            Name = core.Name ?? "",
            Uid = core.PodUid,
            ResourceVersion = Convert.ToHexStringLower(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(core, KubernetesJson.Lean.CoreCiliumEndpoint)).AsSpan(0, 8)),
        },
        Status = new EndpointStatus
        {
            Identity = new EndpointIdentity { Id = core.Id },
            Networking = core.Networking,
            Encryption = core.Encryption,
            NamedPorts = core.NamedPorts,
            ServiceAccount = core.ServiceAccount,
        },
    };
}
