// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;
using Axoneme.Policy;
using Axoneme.Policy.Explain;

namespace Axoneme.Cli.Explanations;

/// <summary><c>axoneme policy rehearse</c>: replays recorded flows against the present policies, and against those with a change.</summary>
internal sealed class RehearseCommand(TextWriter output, TimeProvider time)
{
    private readonly ClusterSource _source = new();
    private readonly FlowRecords _records = new(time);
    private readonly List<string> _files = [];
    private readonly List<string> _deleted = [];
    private string _format = "text";
    private bool _failOnDrop;

    public async Task<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        var flags = new FlagSet("axoneme policy rehearse -f FILE [flags]");
        _source.AddTo(flags);
        _records.AddTo(flags);
        flags.Value("filename", _files.Add, "FILE", "new or changed policies (or other objects), or a directory of them; may be repeated", 'f')
            .Value("delete", _deleted.Add, "KIND/NS/NAME", "a policy that is to go: cnp/NS/NAME, netpol/NS/NAME, ccnp/NAME; may be repeated")
            .Switch("fail-on-drop", v => _failOnDrop = v, "exit with 1 when a connection that passes now would be dropped")
            .Value("output", v => _format = v, "FORMAT", "text or json", 'o');
        List<string> rest = flags.Parse(arguments);
        if (flags.IsHelpWanted)
        {
            flags.WriteHelp(output);
            return 0;
        }

        if (rest.Count > 0)
            throw new UserErrorException($"unexpected argument \"{rest[0]}\"");
        if (_files.Count == 0 && _deleted.Count == 0)
            throw new UserErrorException("nothing to rehearse: give -f FILE or --delete KIND/NS/NAME");
        if (_format is not ("text" or "json"))
            throw new UserErrorException($"unknown output format \"{_format}\": text or json");
        _source.Kubeconfig = _records.Kubeconfig;
        FlowHistory history = await _records.ReadAsync(cancellation).ConfigureAwait(false);
        ClusterObjects before = await _source.ReadAsync(history.ClusterName, [], cancellation).ConfigureAwait(false);
        ClusterObjects after = Change(before);
        return Report(new Rehearsal(before, after), history);
    }

    private ClusterObjects Change(ClusterObjects before)
    {
        Resource[] added = [.. _files.SelectMany(Manifests.Read)];
        if (_files.Count > 0 && added.Length == 0)
            throw new UserErrorException($"{string.Join(", ", _files)}: there is no policy in it");
        ClusterObjects after = before.With(added);
        foreach (string text in _deleted)
        {
            try
            {
                (string kind, ResourceName name) = PolicyNames.Parse(text);
                after = after.Without(kind, name) ?? throw new UserErrorException($"--delete {text}: there is no {kind} {name}");
            }
            catch (UnknownEndException e)
            {
                throw new UserErrorException($"--delete {e.Message}");
            }
        }

        return after;
    }

    private int Report(Rehearsal rehearsal, FlowHistory history)
    {
        PolicyStatus[] invalid = [.. rehearsal.Findings.Where(f => !f.Valid)];
        if (invalid.Length > 0)
            throw new UserErrorException($"{invalid[0].Policy} is invalid: {invalid[0].Message.Replace("\n", "; ", StringComparison.Ordinal)}");
        RehearsalReport report = rehearsal.Run(history);
        if (_format == "json")
            output.WriteLine(RehearsalText.Json(report, history, rehearsal.Findings).ToJsonString(ExplainCommand.Indented));
        else
            new RehearsalText(output).Write(report, history, rehearsal.Findings);
        return _failOnDrop && report.Groups.Any(g => g.Change is RehearsedChange.Dropped or RehearsedChange.NamesRefused) ? 1 : 0;
    }
}
