// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using System.Text;
using System.Text.Json;
using Axoneme.AgentApi;
using Axoneme.Network;
using Axoneme.Policy;

namespace Axoneme.Agent.Api;

/// <summary>The rules in force and what they select.</summary>
internal sealed class PolicyViews(ApiSources sources)
{
    private static readonly JsonWriterOptions Indented = new() { Indented = true };

    /// <summary>
    /// From the engine, because the objects in the API may be newer and invalid. The text is an array of objects, each with its rules.
    /// </summary>
    public PolicyModel InForce()
    {
        (PolicyDocument[] documents, ulong revision) = sources.Control.Policies.Read(
            engine => (engine.Policies.Order().Select(key => engine.FindPolicy(key)!).ToArray(), engine.Revision));
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, Indented))
        {
            json.WriteStartArray();
            foreach (PolicyDocument document in documents)
                Write(json, document);
            json.WriteEndArray();
        }

        return new PolicyModel(Encoding.UTF8.GetString(buffer.WrittenSpan), (long)revision);
    }

    public IReadOnlyList<SelectorModel> PeerSelectors() => Selectors(use => use.PeerOf);

    public IReadOnlyList<SelectorModel> SubjectSelectors() => Selectors(use => use.SubjectOf);

    private IReadOnlyList<SelectorModel> Selectors(Func<SelectorUse, IReadOnlyList<RuleOrigin>> usersOf)
    {
        IReadOnlyList<SelectorUse> uses = sources.Control.Policies.Read(engine => engine.DescribeSelectors());
        return
        [
            .. uses.Where(use => usersOf(use).Count > 0).OrderBy(use => use.Selector.Text, StringComparer.Ordinal)
                .Select(use => new SelectorModel(
                    use.Selector.Text,
                    [.. usersOf(use).SelectMany(origin => origin.Labels).Select(label => label.ToString()).Distinct().Order(StringComparer.Ordinal)],
                    usersOf(use).Count,
                    [.. use.Identities.Select(id => (long)id.Value).Order()])),
        ];
    }

    private static void Write(Utf8JsonWriter json, PolicyDocument document)
    {
        json.WriteStartObject();
        json.WriteString("kind", document.Key.Kind.ToString());
        if (document.Key.Namespace.Length > 0)
            json.WriteString("namespace", document.Key.Namespace);
        json.WriteString("name", document.Key.Name);
        json.WriteStartArray("rules");
        foreach (NetworkRule rule in document.Rules)
            Write(json, rule);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, NetworkRule rule)
    {
        json.WriteStartObject();
        json.WriteString("path", rule.Origin.Path);
        WriteTexts(json, "labels", rule.Origin.Labels.Select(label => label.ToString()));
        json.WriteString("endpointSelector", rule.Subject.Text);
        json.WriteString("direction", rule.Direction.ToString().ToLowerInvariant());
        json.WriteString("action", rule.Action.ToString().ToLowerInvariant());
        if (rule.Tier != PolicyTier.Normal)
        {
            json.WriteString("tier", rule.Tier.ToString());
            json.WriteNumber("order", rule.Order);
        }

        if (rule.Shadow)
            json.WriteBoolean("shadow", true);
        json.WriteBoolean("enableDefaultDeny", rule.DefaultDeny);
        // Without peers a rule is about everybody, with none of them about nobody.
        if (rule.Peers is { } peers)
            WriteTexts(json, "peers", peers.Select(peer => peer.Text));
        WriteTexts(json, "toPorts", rule.Ports.Select(PortText));
        json.WriteEndObject();
    }

    private static string PortText(L4Match match)
    {
        string protocol = match.Protocol.ToString().ToUpperInvariant();
        if (match.Name is { } name)
            return $"{name}/{protocol}";
        if (match == L4Match.AllPorts(match.Protocol))
            return $"any/{protocol}";
        return match.First == match.Last ? $"{match.First}/{protocol}" : $"{match.First}-{match.Last}/{protocol}";
    }

    private static void WriteTexts(Utf8JsonWriter json, string name, IEnumerable<string> texts)
    {
        json.WriteStartArray(name);
        foreach (string text in texts)
            json.WriteStringValue(text);
        json.WriteEndArray();
    }
}
