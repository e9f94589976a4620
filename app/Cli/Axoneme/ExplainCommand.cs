// SPDX-License-Identifier: Apache-2.0
using System.Text.Encodings.Web;
using System.Text.Json;
using Axoneme.Policy.Explain;

namespace Axoneme.Cli.Explanations;

/// <summary><c>axoneme explain</c>: one connection, all that decides about it, and the smallest change of policy that would turn it round.</summary>
internal sealed class ExplainCommand(TextWriter output)
{
    internal static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly ClusterSource _source = new();
    private string _from = "";
    private string _to = "";
    private string _port = "";
    private string _name = "";
    private string _format = "text";
    private string _expected = "";

    public static Task<int> RunAsync(string[] arguments) => new ExplainCommand(Console.Out).RunAsync(arguments, CancellationToken.None);

    public async Task<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        var flags = new FlagSet("axoneme explain --from END --to END --port PORT/PROTOCOL [flags]");
        _source.AddTo(flags);
        flags.Value("from", v => _from = v, "END", "who opens the connection: NAMESPACE/POD, an address, or an entity such as world")
            .Value("to", v => _to = v, "END", "who gets it: as above, or svc/NAMESPACE/SERVICE, or a DNS name")
            .Value("port", v => _port = v, "PORT", "80/tcp, http/tcp, 53/udp, 8/icmp (the type)", 'p')
            .Value("kubeconfig", v => _source.Kubeconfig = v, "FILE", "take the objects from the Kubernetes API")
            .Value("dns-query", v => _name = v, "NAME", "say whether a question for this DNS name is answered; --to is the server, and the cluster's without it")
            .Value("output", v => _format = v, "FORMAT", "text or json", 'o')
            .Value("expect", v => _expected = v, "VERDICT", "allowed or denied: exit with 1 when it is the other");
        List<string> rest = flags.Parse(arguments);
        if (flags.IsHelpWanted)
        {
            flags.WriteHelp(output);
            return 0;
        }

        Validate(rest);
        ClusterObjects objects = await _source.ReadAsync("", [_from, _to], cancellation).ConfigureAwait(false);
        (Explanation explanation, VerdictChange? change) = Compute(objects);
        if (_source.Asked.Length > 0)
            explanation = explanation with { Notes = [.. explanation.Notes, $"as {_source.Asked} sees it"] };
        if (_format == "json")
            output.WriteLine(ExplanationJson.Of(explanation, change).ToJsonString(Indented));
        else
            new ExplanationText(output).Write(explanation, change);
        return _expected.Length == 0 || (_expected == "allowed" ? explanation.Allowed : explanation.Denied) ? 0 : 1;
    }

    private void Validate(List<string> rest)
    {
        if (rest.Count > 0)
            throw new UserErrorException($"unexpected argument \"{rest[0]}\"");
        foreach ((string name, string value) in new[] { ("from", _from), ("to", _to), ("port", _port) })
        {
            if (value.Length == 0 && (name == "from" || _name.Length == 0))
                throw new UserErrorException($"--{name} is missing");
        }

        if (_format is not ("text" or "json"))
            throw new UserErrorException($"unknown output format \"{_format}\": text or json");
        if (_expected is not ("" or "allowed" or "denied"))
            throw new UserErrorException($"--expect: \"{_expected}\" is not one of allowed, denied");
    }

    private (Explanation Explanation, VerdictChange? Change) Compute(ClusterObjects objects)
    {
        try
        {
            var explainer = new FlowExplainer(new ClusterModel(objects));
            Explanation explanation = _name.Length > 0
                ? explainer.ExplainQuestion(_from, _to, PortText.Parse(_port.Length > 0 ? _port : "53/udp"), _name)
                : explainer.Explain(_from, _to, PortText.Parse(_port));
            return (explanation, explanation.Paths.IsEmpty ? null : new SmallestChange(objects).Find(explanation));
        }
        catch (UnknownEndException e)
        {
            throw new UserErrorException(e.Message);
        }
    }
}
