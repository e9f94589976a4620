// SPDX-License-Identifier: Apache-2.0
using System.Collections.Frozen;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.LoadBalancing;

/// <summary>What a service's annotations ask for. A value that is not understood is reported and counts as absent.</summary>
internal sealed record ServiceAnnotations
{
    private const string Prefix = "service.cilium.io/";
    private const string NodeLabel = Prefix + "node";

    private static readonly ServiceAnnotations None = new();

    /// <summary>The only type of frontends that is wanted; null: all.</summary>
    public FrontendType? OnlyType { get; private init; }

    /// <summary>Whether this node serves the service; depends on the node's labels.</summary>
    public bool IsForThisNode { get; private init; } = true;

    /// <summary>The answer may change with the labels of the node.</summary>
    public bool SelectsNodes { get; private init; }

    public BackendSelection? Selection { get; private init; }

    public ForwardingMode? Forwarding { get; private init; }

    public bool DenySourceRanges { get; private init; }

    /// <summary>proxy-delegation: delegate-if-local.</summary>
    public bool DelegatesToNode { get; private init; }

    public static ServiceAnnotations From(Service service, CatalogOptions options, NodeFacts node, List<string> problems)
    {
        if (service.Metadata.Annotations is null or { Count: 0 })
            return None;
        var reader = new Reader(service.Metadata, problems);
        (bool selects, bool isForThisNode) = reader.Node(node.Labels);
        reader.CheckClusterMesh();
        return new ServiceAnnotations
        {
            OnlyType = reader.Type(),
            SelectsNodes = selects,
            IsForThisNode = isForThisNode,
            Selection = reader.Selection(options),
            Forwarding = reader.Forwarding(options),
            DenySourceRanges = reader.Choice("src-ranges-policy", null, "allow", "deny") == "deny",
            DelegatesToNode = reader.Choice("proxy-delegation", null, "none", "delegate-if-local") == "delegate-if-local",
        };
    }

    private sealed class Reader(ObjectMeta metadata, List<string> problems)
    {
        /// <summary>One of the values in lower case, or null.</summary>
        public string? Choice(string key, string? alias, params ReadOnlySpan<string> allowed)
        {
            (string name, string? written) = Find(key, alias);
            if (written is null)
                return null;
            string value = written.ToLowerInvariant();
            if (allowed.Contains(value))
                return value;
            Report(name, $"'{written}' is not one of {string.Join(", ", allowed.ToArray())}");
            return null;
        }

        public FrontendType? Type()
        {
            (string name, string? written) = Find("type", null);
            switch (written)
            {
                case null:
                    return null;
                case "ClusterIP":
                    return FrontendType.ClusterIP;
                case "NodePort":
                    return FrontendType.NodePort;
                case "LoadBalancer":
                    return FrontendType.LoadBalancer;
                default:
                    Report(name, $"'{written}' is not one of ClusterIP, NodePort, LoadBalancer");
                    return null;
            }
        }

        public (bool Selects, bool IsForThisNode) Node(FrozenDictionary<string, string> labels)
        {
            (string name, string? text) = Find("node-selector", null);
            if (text is not null)
            {
                if (LabelSelectorText.TryParse(text, out LabelSelector? selector))
                    return (true, selector.Matches(labels));
                // Serving everywhere what was meant for some nodes harms less than serving it nowhere.
                Report(name, $"'{text}' is not a label selector");
                return (false, true);
            }

            return Find("node", null).Value is { } value ? (true, labels.GetValueOrDefault(NodeLabel) == value) : (false, true);
        }

        public BackendSelection? Selection(CatalogOptions options)
        {
            string? value = Choice("lb-algorithm", null, "random", "maglev");
            if (value is null)
                return null;
            if (options.SelectionByAnnotation)
                return value == "maglev" ? BackendSelection.Maglev : BackendSelection.Random;
            Report(Prefix + "lb-algorithm", "has no effect without the setting bpf-lb-algorithm-annotation");
            return null;
        }

        public ForwardingMode? Forwarding(CatalogOptions options)
        {
            string? value = Choice("forwarding-mode", null, "dsr", "snat");
            if (value is null)
                return null;
            if (!options.ForwardingByAnnotation)
                Report(Prefix + "forwarding-mode", "has no effect without the setting bpf-lb-mode-annotation");
            else if (options.DefaultForwarding == DefaultForwarding.Hybrid)
                Report(Prefix + "forwarding-mode", "cannot be chosen where bpf-lb-mode is hybrid");
            else
                return value == "dsr" ? ForwardingMode.Dsr : ForwardingMode.Snat;
            return null;
        }

        // They say how clusters share a service; with one cluster there is nothing to share.
        public void CheckClusterMesh()
        {
            Choice("global", "io.cilium/global-service", "true", "false");
            Choice("shared", "io.cilium/shared-service", "true", "false");
            Choice("affinity", "io.cilium/service-affinity", "none", "local", "remote");
            Choice("global-sync-endpoint-slices", null, "true", "false");
        }

        private (string Name, string? Value) Find(string key, string? alias)
        {
            string name = Prefix + key;
            if (metadata.Annotation(name) is { } value)
                return (name, value);
            return alias is not null && metadata.Annotation(alias) is { } old ? (alias, old) : (name, null);
        }

        private void Report(string name, string problem) => problems.Add($"metadata.annotations[{name}]: {problem}");
    }
}
