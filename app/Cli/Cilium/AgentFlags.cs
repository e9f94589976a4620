// SPDX-License-Identifier: Apache-2.0
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using Axoneme.AgentApi;

namespace Axoneme.Cli.Cilium;

/// <summary>Flags of every command that asks the agent, and the output formats besides text.</summary>
internal sealed class AgentFlags
{
    // People and scripts read this, not browsers: nothing but what JSON demands is escaped.
    private static readonly JsonSerializerOptions Indented = new()
    {
        WriteIndented = true,
        TypeInfoResolver = AgentJson.Default,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private static readonly JsonSerializerOptions Compact = new(Indented) { WriteIndented = false };

    private string? _host;
    private string _format = "";

    public AgentFlags(string usage)
        => Set = new FlagSet(usage)
            .Value("host", v => _host = v, "ADDRESS", "agent's API: unix:///path or tcp://host:port", 'H')
            .Value("output", v => _format = v, "FORMAT", "json, or jsonpath='{.a.b}'", 'o')
            .Switch("debug", _ => { }, "kept for scripts", 'D')
            .Value("config", _ => { }, "FILE", "kept for scripts");

    public FlagSet Set { get; }

    /// <summary>True when the output is for programs.</summary>
    public bool IsStructured => _format.Length > 0;

    /// <summary>The positional arguments; null when help was asked for and printed.</summary>
    public List<string>? Parse(IReadOnlyList<string> arguments, TextWriter output)
    {
        List<string> rest = Set.Parse(arguments);
        if (Set.IsHelpWanted)
        {
            Set.WriteHelp(output);
            return null;
        }

        if (_format is not ("" or "json") && !_format.StartsWith("jsonpath=", StringComparison.Ordinal))
            throw new UserErrorException($"unknown output format \"{_format}\": json or jsonpath='{{.a.b}}'");
        return rest;
    }

    public AgentClient Connect() => new(_host);

    /// <summary>Writes the value as JSON, or the part of it that a path names.</summary>
    public void WriteStructured<T>(TextWriter output, T value, JsonTypeInfo<T> type)
    {
        JsonNode? node = JsonSerializer.SerializeToNode(value, type);
        if (_format is "" or "json")
        {
            output.WriteLine(node?.ToJsonString(Indented) ?? "null");
            return;
        }

        JsonNode? found = Find(node, _format["jsonpath=".Length..]);
        output.WriteLine(found is JsonValue text && text.TryGetValue(out string? plain) ? plain : found?.ToJsonString(Compact) ?? "");
    }

    // Names and indexes, which is what scripts use: {.revision}, {$.Daemon.Version}, {[0].id}.
    private static JsonNode? Find(JsonNode? node, string path)
    {
        string[] steps = path.Trim('\'', '"').Trim('{', '}').TrimStart('$').Replace("[", ".[", StringComparison.Ordinal)
            .Split('.', StringSplitOptions.RemoveEmptyEntries);
        foreach (string step in steps)
        {
            if (step.StartsWith('['))
            {
                if (node is not JsonArray array || !int.TryParse(step.Trim('[', ']'), out int index) || index < 0 || index >= array.Count)
                    throw new UserErrorException($"{path}: there is no {step}");
                node = array[index];
            }
            else
            {
                node = node is JsonObject parent && parent.TryGetPropertyValue(step, out JsonNode? child)
                    ? child : throw new UserErrorException($"{path}: {step} is not found");
            }
        }

        return node;
    }
}
