// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.AgentApi;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy.Explain;

namespace Axoneme.Cli.Explanations;

/// <summary>Where the objects come from: manifests in files, the API, the agent of this node, or those of a lab on this machine.</summary>
internal sealed class ClusterSource
{
    private readonly List<string> _manifests = [];
    private string? _host;
    private string? _node;

    public void AddTo(FlagSet flags) => flags
        .Value("manifests", _manifests.Add, "PATH", "YAML or JSON files with the cluster's objects, or a directory of them; may be repeated", 'm')
        .Value("host", v => _host = v, "ADDRESS", "the agent's API, unix:///path or tcp://host:port; without it the agent of this node", 'H')
        .Value("node", v => _node = v, "NODE", "outside of a node, with a lab running: whose agent to ask; without it the one of the source, or of the destination");

    /// <summary>File with access to the Kubernetes API; null: none.</summary>
    public string? Kubeconfig { get; set; }

    /// <summary>Who was asked, if that was not said by the user; empty otherwise.</summary>
    public string Asked { get; private set; } = "";

    /// <param name="clusterName">For manifests without the agent's configuration; empty: the default.</param>
    /// <param name="ends">What the question is about, to find the node whose agent knows it best.</param>
    /// <param name="cancellation">Ends the request to the agent.</param>
    /// <exception cref="UserErrorException">A file cannot be read, or nobody be reached.</exception>
    public async Task<ClusterObjects> ReadAsync(string clusterName, IReadOnlyList<string> ends, CancellationToken cancellation)
    {
        if (_manifests.Count > 0)
            return Manifests.ToCluster(_manifests.SelectMany(Manifests.Read), clusterName);
        if (Kubeconfig is not null)
            return Manifests.ToCluster(await ApiObjects.ReadAsync(Kubeconfig, cancellation).ConfigureAwait(false), clusterName);
        if (_host is null && (_node is not null || !AgentClient.IsThere) && RunningLab.Find() is { } lab)
            return await ReadLabAsync(lab, ends, cancellation).ConfigureAwait(false);
        if (_node is not null)
            throw new UserErrorException("--node: no lab is running on this machine; \"axoneme lab up\" starts one");
        try
        {
            return await ReadAgentAsync(_host, cancellation).ConfigureAwait(false);
        }
        catch (UserErrorException e)
        {
            throw new UserErrorException(
                $"{e.Message}\nRun this on a node, or give the objects: --manifests PATH for files, --kubeconfig FILE for the API, --host ADDRESS for another agent. "
                + "No lab is running on this machine.");
        }
    }

    private static async Task<ClusterObjects> ReadAgentAsync(string? address, CancellationToken cancellation)
    {
        try
        {
            using var client = new AgentClient(address);
            return FromAgent(await client.GetPolicyInputsAsync(cancellation).ConfigureAwait(false));
        }
        catch (Exception e) when (e is AgentException or FormatException)
        {
            throw new UserErrorException(e.Message);
        }
    }

    // Each node knows its own pods best. What only an agent knows, such as numbers of address blocks, is that of one node.
    private async Task<ClusterObjects> ReadLabAsync(RunningLab lab, IReadOnlyList<string> ends, CancellationToken cancellation)
    {
        LabNode? wanted = _node is null ? null : lab.Require(_node);
        var views = new Dictionary<string, ClusterObjects>();
        string problem = "";
        foreach (LabNode node in lab.Nodes)
        {
            try
            {
                views[node.Name] = await ReadAgentAsync(node.AgentAddress, cancellation).ConfigureAwait(false);
            }
            catch (UserErrorException e) when (node != wanted)
            {
                problem = e.Message;
            }
        }

        if (views.Count == 0)
            throw new UserErrorException($"no agent of the lab in {lab.Root} answers: {problem}; labs are root's, and \"axoneme lab status\" tells how this one is");
        string chosen = wanted?.Name ?? NodeOf(views.Values.First(), ends).FirstOrDefault(views.ContainsKey) ?? views.Keys.First();
        Asked = $"the agent of {chosen} in the lab";
        IEnumerable<Resource> others = views.Where(v => v.Key != chosen).SelectMany(v => v.Value.Items);
        var own = views[chosen].Items.Select(i => (i.GetType(), i.ResourceName)).ToHashSet();
        return views[chosen] with { Items = [.. views[chosen].Items, .. others.DistinctBy(i => (i.GetType(), i.ResourceName)).Where(i => !own.Contains((i.GetType(), i.ResourceName)))] };
    }

    private static IEnumerable<string> NodeOf(ClusterObjects objects, IReadOnlyList<string> ends)
    {
        var resolver = new EndResolver(new ClusterModel(objects));
        foreach (string end in ends.Where(e => e.Length > 0))
        {
            string node = "";
            try
            {
                node = resolver.Resolve(end).Node;
            }
            catch (UnknownEndException)
            {
                // A service, or a mistake, which is answered when the question is.
            }

            if (node.Length > 0)
                yield return node;
        }
    }

    private static ClusterObjects FromAgent(PolicyInputs inputs)
    {
        IEnumerable<Resource> items = inputs.Items.Select(i => Manifests.Decode((JsonObject)JsonNode.Parse(i.GetRawText())!, "the agent")).OfType<Resource>();
        ClusterObjects objects = PolicySettings.Apply(new ClusterObjects { Items = [.. items] }, inputs.Options);
        return objects with
        {
            Addresses =
            [
                .. inputs.Addresses.Select(a => new KnownAddress(IpPrefix.Parse(a.Prefix), new SecurityIdentity(a.Identity), LabelSet.Parse(a.Labels))),
            ],
        };
    }
}
