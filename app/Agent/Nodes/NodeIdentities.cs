// SPDX-License-Identifier: Apache-2.0
using System.Text;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Policies;
using Axoneme.Network;
using Axoneme.Policy;

namespace Axoneme.Agent.Nodes;

/// <summary>
/// Which identity another node has. All are "remote-node", or "kube-apiserver" where the API is served, unless rules may tell them apart by
/// labels or addresses: then each set of labels has a number of this node's own. For one caller at a time.
/// </summary>
internal sealed class NodeIdentities(AgentOptions options, PolicyController policies)
{
    private const uint First = SecurityIdentity.RemoteNodeScope + 1;
    private const uint Count = 0x00FF_FFFE;

    private readonly LabelFilter _filter = LabelFilter.ParseWithoutDefaults(string.Join(' ', options.Policies.NodeLabels));
    private readonly Dictionary<LabelSet, (SecurityIdentity Id, int References)> _byLabels = [];
    private readonly HashSet<SecurityIdentity> _used = [];
    private readonly Dictionary<SecurityIdentity, LabelSet> _unannounced = [];

    private bool TellsApart => options.Policies.EnableNodeSelectorLabels || options.Policies.CidrMatchesNodes;

    /// <summary>The node's labels that identities may have.</summary>
    public IEnumerable<KeyValuePair<string, string>> Filter(IReadOnlyDictionary<string, string>? labels)
        => options.Policies.EnableNodeSelectorLabels
            ? (labels ?? new Dictionary<string, string>()).Where(l => _filter.Keeps(new Label(NodeLabels.Source, l.Key, l.Value)))
            : [];

    /// <summary>
    /// The identity for an address of a node, which may have it after <see cref="AnnounceAsync"/>. Each call counts as one use, until
    /// <see cref="ReleaseAsync"/>.
    /// </summary>
    public SecurityIdentity Acquire(IEnumerable<KeyValuePair<string, string>> nodeLabels, IpAddress address, bool isApiServer)
    {
        if (!TellsApart)
            return isApiServer ? SecurityIdentity.KubeApiServer : SecurityIdentity.RemoteNode;
        LabelSet labels = NodeLabels.ForRemoteNode(
            options.ClusterName, nodeLabels, options.Policies.CidrMatchesNodes ? address : null, isApiServer);
        if (_byLabels.TryGetValue(labels, out (SecurityIdentity Id, int References) held))
        {
            _byLabels[labels] = (held.Id, held.References + 1);
            return held.Id;
        }

        SecurityIdentity id = Allocate(labels);
        _byLabels[labels] = (id, 1);
        _unannounced[id] = labels;
        return id;
    }

    /// <summary>Completes when the kernel's policies know the identities that are new. Where there are such, that is never before policies are released.</summary>
    public async Task AnnounceAsync(CancellationToken cancellation)
    {
        if (_unannounced.Count == 0)
            return;
        KeyValuePair<SecurityIdentity, LabelSet>[] fresh = [.. _unannounced];
        _unannounced.Clear();
        Task decided = policies.ChangeAsync(engine =>
        {
            foreach ((SecurityIdentity id, LabelSet labels) in fresh)
                engine.UpsertIdentity(id, labels);
        });
        await decided.WaitAsync(cancellation);
        await policies.WhenDecisionsInKernelAsync(cancellation);
    }

    /// <summary>Ends one use of each. The kernel's ipcache has none of those any more that nobody uses.</summary>
    public async Task ReleaseAsync(IEnumerable<SecurityIdentity> uses, CancellationToken cancellation)
    {
        SecurityIdentity[] unused = [.. uses.Where(Release)];
        if (unused.Length == 0)
            return;
        Task decided = policies.ChangeAsync(engine =>
        {
            foreach (SecurityIdentity id in unused)
                engine.DeleteIdentity(id);
        });
        await decided.WaitAsync(cancellation);
    }

    // True: that was the last use.
    private bool Release(SecurityIdentity id)
    {
        if (!_used.Contains(id))
            return false;
        LabelSet labels = _byLabels.First(pair => pair.Value.Id == id).Key;
        int references = _byLabels[labels].References - 1;
        if (references > 0)
        {
            _byLabels[labels] = (id, references);
            return false;
        }

        _byLabels.Remove(labels);
        _unannounced.Remove(id);
        return _used.Remove(id);
    }

    /// <remarks>From a hash of the labels, so that a restart finds the numbers that connections and maps have.</remarks>
    private SecurityIdentity Allocate(LabelSet labels)
    {
        uint hash = 2166136261;
        foreach (byte b in Encoding.UTF8.GetBytes(labels.ToString()))
            hash = unchecked((hash ^ b) * 16777619);
        for (uint offset = 0; ; offset++)
        {
            var id = new SecurityIdentity(First + ((hash + offset) % Count));
            if (_used.Add(id))
                return id;
        }
    }
}
