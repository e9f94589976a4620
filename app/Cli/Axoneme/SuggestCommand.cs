// SPDX-License-Identifier: Apache-2.0
using Axoneme.Policy.Explain;

namespace Axoneme.Cli.Explanations;

/// <summary><c>axoneme policy suggest</c>: policies that allow what was recorded and nothing else, checked against the record.</summary>
internal sealed class SuggestCommand(TextWriter output, TextWriter errors, TimeProvider time)
{
    private readonly ClusterSource _source = new();
    private readonly FlowRecords _records = new(time);
    private string _namespace = "";
    private string _workload = "";
    private string _kind = "cnp";
    private bool _includeDenied;

    public async Task<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        var flags = new FlagSet("axoneme policy suggest --namespace NS [flags]");
        _source.AddTo(flags);
        _records.AddTo(flags);
        flags.Value("namespace", v => _namespace = v, "NS", "whose pods to make policies for", 'n')
            .Value("workload", v => _workload = v, "NAME", "only for this workload or application")
            .Value("kind", v => _kind = v, "KIND", "cnp (CiliumNetworkPolicy) or netpol (NetworkPolicy)")
            .Switch("include-denied", v => _includeDenied = v, "allow what was denied when it was recorded, too");
        List<string> rest = flags.Parse(arguments);
        if (flags.IsHelpWanted)
        {
            flags.WriteHelp(output);
            return 0;
        }

        if (rest.Count > 0)
            throw new UserErrorException($"unexpected argument \"{rest[0]}\"");
        if (_namespace.Length == 0)
            throw new UserErrorException("--namespace is missing");
        if (_kind is not ("cnp" or "netpol"))
            throw new UserErrorException($"--kind: \"{_kind}\" is not one of cnp, netpol");
        _source.Kubeconfig = _records.Kubeconfig;
        FlowHistory history = await _records.ReadAsync(cancellation).ConfigureAwait(false);
        ClusterObjects objects = await _source.ReadAsync(history.ClusterName, [], cancellation).ConfigureAwait(false);
        var options = new SuggestionOptions { Namespace = _namespace, Workload = _workload, Kubernetes = _kind == "netpol", IncludeDenied = _includeDenied };
        return Write(new PolicySuggester(objects, options).Suggest(history), history);
    }

    private int Write(Suggestion suggestion, FlowHistory history)
    {
        if (suggestion.Policies.IsEmpty)
            throw new UserErrorException($"nothing was recorded that pods of {_namespace}{(_workload.Length > 0 ? $"/{_workload}" : "")} need a rule for");
        if (!suggestion.Refused.IsEmpty)
            throw new UserErrorException($"the policies would refuse what was recorded, so they are not printed: {string.Join("; ", suggestion.Refused.Take(5))}");
        output.WriteLine($"# Checked: the {suggestion.Used} recorded connections that these policies are about stay allowed.");
        output.Write(YamlWriter.Write(suggestion.Policies));
        foreach (string left in suggestion.LeftOut)
            errors.WriteLine($"not covered: {left}");
        if (history.Lost > 0)
            errors.WriteLine($"not covered: {history.Lost} events were lost while it was recorded");
        return 0;
    }
}
