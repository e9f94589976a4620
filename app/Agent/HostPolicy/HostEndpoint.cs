// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Globalization;
using Axoneme.Agent.Cni;
using Axoneme.Agent.Endpoints;
using Axoneme.Agent.Policies;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Agent.HostPolicy;

/// <summary>The node itself as an endpoint: identity 1, with the labels of its Node object, and a number that outlives restarts.</summary>
internal sealed class HostEndpoint
{
    private const string FileName = "host_endpoint";

    private volatile LabelSet _labels = LabelSet.Reserved("host");
    private LabelSet _facts = LabelSet.Reserved("host");
    private ImmutableArray<Label> _nodeLabels = [];

    private HostEndpoint(ushort id) => Id = id;

    /// <summary>As those of pods, of which none has the same.</summary>
    public ushort Id { get; }

    public LabelSet Labels => _labels;

    /// <summary>The number that the node has, or the first that no endpoint on disk has.</summary>
    /// <exception cref="IOException">The state directory cannot be written.</exception>
    public static HostEndpoint Load(string stateDirectory)
    {
        string root = Path.Combine(stateDirectory, "state");
        string path = Path.Combine(root, FileName);
        if (File.Exists(path) && ushort.TryParse(File.ReadAllText(path), NumberStyles.None, CultureInfo.InvariantCulture, out ushort saved) && saved > 0)
            return new HostEndpoint(saved);
        ushort id = 1;
        while (Directory.Exists(Path.Combine(root, id.ToString(CultureInfo.InvariantCulture))))
            id++;
        Directory.CreateDirectory(root);
        File.WriteAllText(path + ".new", id.ToString(CultureInfo.InvariantCulture));
        File.Move(path + ".new", path, overwrite: true);
        return new HostEndpoint(id);
    }

    /// <summary>In the form that the views have for endpoints.</summary>
    public Endpoint Describe() => new()
    {
        Id = Id,
        Attachment = new CniAttachmentId("", ""),
        NetworkNamespace = "",
        Pod = new ResourceName("", ""),
        HostInterface = "",
        HostMac = default,
        PodMac = default,
        Labels = Labels,
        Identity = SecurityIdentity.Host,
        State = EndpointState.Ready,
    };

    /// <summary>Labels move the endpoint from policy to policy, and in and out of what rules select as peers.</summary>
    /// <param name="facts">Other than the Node object's; null: as they are.</param>
    /// <param name="node">Its labels are those of Kubernetes; null: as they are.</param>
    /// <param name="policies">Told of the labels.</param>
    /// <param name="relabelled">Called inside the change of the policies.</param>
    public void Relabel(LabelSet? facts, Node? node, PolicyController policies, Action relabelled) => _ = policies.ChangeAsync(engine =>
    {
        _facts = facts ?? _facts;
        if (node is not null)
            _nodeLabels = [.. (node.Metadata.Labels ?? new Dictionary<string, string>()).Select(l => new Label(Label.Kubernetes, l.Key, l.Value))];
        var labels = LabelSet.From(_facts.Concat(_nodeLabels));
        if (labels.Equals(_labels))
            return;
        _labels = labels;
        engine.UpsertIdentity(SecurityIdentity.Host, labels);
        relabelled();
    });
}
