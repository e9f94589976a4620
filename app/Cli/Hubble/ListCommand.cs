// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using Axoneme.Grpc;
using Axoneme.Hubble;
using Axoneme.Hubble.Api;
using Google.Protobuf;

namespace Axoneme.Cli.Hubble;

/// <summary><c>hubble list nodes|namespaces</c>.</summary>
internal sealed class ListCommand(TextWriter output)
{
    public async Task<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        var server = new ServerFlags();
        string format = "table";
        var flags = new FlagSet("hubble list nodes|namespaces [flags]");
        server.AddTo(flags);
        flags.Value("output", v => format = v, "FORMAT", "table, wide, json", 'o');
        List<string> rest = flags.Parse(arguments);
        if (flags.IsHelpWanted || rest.Count == 0)
        {
            flags.WriteHelp(output);
            return 0;
        }

        if (format is not ("table" or "tab" or "wide" or "json"))
            throw new UserErrorException($"invalid output format: {format}");
        using GrpcChannel channel = server.Connect();
        switch (rest[0])
        {
            case "nodes" or "node":
                PrintNodes(await channel.UnaryAsync(
                    ObserverMethods.GetNodes, new GetNodesRequest(), server.RequestTimeout, cancellation).ConfigureAwait(false), format);
                return 0;
            case "namespaces":
                PrintNamespaces(await channel.UnaryAsync(
                    ObserverMethods.GetNamespaces, new GetNamespacesRequest(), server.RequestTimeout, cancellation).ConfigureAwait(false), format);
                return 0;
            default:
                throw new UserErrorException($"unknown command \"{rest[0]}\" for \"hubble list\"");
        }
    }

    internal void PrintNodes(GetNodesResponse response, string format)
    {
        Node[] nodes = [.. response.Nodes.OrderBy(n => n.Name, StringComparer.Ordinal)];
        if (format == "json")
        {
            PrintJson(nodes);
            return;
        }

        bool isWide = format == "wide";
        var table = new TabWriter(output, minimalWidth: 2);
        table.Row(["NAME", "STATUS", "AGE", "FLOWS/S", "CURRENT/MAX-FLOWS", .. isWide ? (string[])["VERSION", "ADDRESS", "TLS"] : []]);
        foreach (Node node in nodes)
        {
            string[] wide = isWide ? [OrMissing(node.Version), OrMissing(node.Address), node.Tls is null ? "N/A" : node.Tls.Enabled ? "Enabled" : "Disabled"] : [];
            table.Row([node.Name, State(node.State), Age(node), Rate(node), Ratio(node), .. wide]);
        }

        table.Flush();
    }

    internal void PrintNamespaces(GetNamespacesResponse response, string format)
    {
        if (format == "json")
        {
            PrintJson([.. response.Namespaces]);
            return;
        }

        bool isWide = format == "wide";
        var table = new TabWriter(output, minimalWidth: 2);
        table.Row(isWide ? ["NAMESPACE", "CLUSTER"] : ["NAMESPACE"]);
        foreach (Namespace entry in response.Namespaces)
            table.Row(isWide ? [entry.Namespace_, entry.Cluster] : [entry.Namespace_]);
        table.Flush();
    }

    private void PrintJson(IReadOnlyList<IMessage> messages)
    {
        using var document = JsonDocument.Parse($"[{string.Join(',', messages.Select(JsonObjects.Of))}]");
        var buffer = new System.Buffers.ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
            document.WriteTo(writer);
        output.WriteLine(System.Text.Encoding.UTF8.GetString(buffer.WrittenSpan));
    }

    private static string State(NodeState state) => state switch
    {
        NodeState.NodeConnected => "Connected",
        NodeState.NodeUnavailable => "Unavailable",
        NodeState.NodeGone => "Gone",
        NodeState.NodeError => "Error",
        _ => "Unknown",
    };

    private static string Age(Node node)
        => node.UptimeNs == 0 ? "N/A" : TimeText.Format(TimeSpan.FromSeconds(Math.Round(node.UptimeNs / 1e9)));

    private static string Rate(Node node) => node.UptimeNs == 0 ? "N/A" : $"{node.SeenFlows / (node.UptimeNs / 1e9):0.00}";

    private static string Ratio(Node node)
        => node.MaxFlows == 0 ? "N/A" : $"{node.NumFlows}/{node.MaxFlows} ({100.0 * node.NumFlows / node.MaxFlows,6:0.00}%)";

    private static string OrMissing(string text) => text.Length > 0 ? text : "N/A";
}
