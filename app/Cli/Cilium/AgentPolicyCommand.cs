// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using Axoneme.AgentApi;
using Axoneme.Kubernetes.Resources;
using Axoneme.Policy;

namespace Axoneme.Cli.Cilium;

/// <summary><c>cilium policy list|wait|validate</c>; what only prints an answer of the agent is with the other queries.</summary>
internal sealed class AgentPolicyCommand(TextWriter output, TimeProvider time)
{
    private const string StatusTable = "policy-status";

    public static bool Knows(IReadOnlyList<string> arguments)
        => arguments.FirstOrDefault(a => !a.StartsWith('-')) is "list" or "wait" or "validate";

    public async Task<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        var flags = new AgentFlags("cilium policy list | wait REVISION | validate FILE...");
        ulong patience = 360;
        flags.Set.Number("max-wait-time", v => patience = v, "seconds to wait at most")
            .Number("sleep-time", _ => { }, "kept for scripts")
            .Number("fail-wait-time", _ => { }, "kept for scripts")
            .Switch("verbose", _ => { }, "kept for scripts", 'v');
        if (flags.Parse(arguments, output) is not { } rest)
            return 0;
        if (rest is ["validate", .. var files] && files.Count > 0)
            return Validate(files);
        using AgentClient agent = flags.Connect();
        switch (rest)
        {
            case ["list"]:
                Print(await agent.GetTableAsync(StatusTable, cancellation).ConfigureAwait(false), flags);
                return 0;
            case ["wait", string text] when long.TryParse(text, out long revision):
                return await WaitAsync(agent, revision, TimeSpan.FromSeconds(patience), cancellation).ConfigureAwait(false);
            default:
                throw new UserErrorException("usage: cilium policy list | wait REVISION | validate FILE...");
        }
    }

    private void Print(TableContents policies, AgentFlags flags)
    {
        if (flags.IsStructured)
        {
            flags.WriteStructured(output, policies, AgentJson.Default.TableContents);
            return;
        }

        TabWriter table = new TabWriter(output).Row([.. policies.Columns.Select(c => c.ToUpperInvariant())]);
        foreach (IReadOnlyList<string> row in policies.Rows)
            table.Row([.. row]);
        table.Flush();
    }

    /// <summary>Until the agent has the revision and every endpoint's map can be written.</summary>
    private async Task<int> WaitAsync(AgentClient agent, long revision, TimeSpan patience, CancellationToken cancellation)
    {
        long start = time.GetTimestamp();
        while (true)
        {
            long present = (await agent.GetPolicyAsync(cancellation).ConfigureAwait(false)).Revision;
            IReadOnlyList<EndpointModel> endpoints = await agent.GetEndpointsAsync(cancellation).ConfigureAwait(false);
            int behind = endpoints.Count(e => e.Status?.Health?.Policy is not "OK");
            if (present >= revision && behind == 0)
            {
                await output.WriteLineAsync($"Revision {present} is in force.").ConfigureAwait(false);
                return 0;
            }

            if (time.GetElapsedTime(start) > patience)
                throw new UserErrorException($"revision {revision} is not in force: the agent has {present}, and {behind} of {endpoints.Count} endpoints lack their policy");
            await Task.Delay(TimeSpan.FromMilliseconds(200), time, cancellation).ConfigureAwait(false);
        }
    }

    // Without an agent: what options allow is not known, so all of them are taken to be on.
    private int Validate(IEnumerable<string> files)
    {
        var repository = new PolicyRepository(new PolicyEngine(new PolicyOptions
        {
            EnableSctp = true,
            EnableExtendedProtocols = true,
            EnableNodeSelectorLabels = true,
        }));
        bool valid = true;
        foreach (string file in files)
        {
            foreach (ManifestDocument document in ReadDocuments(file))
            {
                string where = $"{file}:{document.Line}";
                PolicyStatus? status = Validate(repository, document, where);
                valid &= status?.Valid ?? false;
                output.WriteLine(status is null ? $"{where}: is no policy" : $"{where}: {status.Policy}: {(status.Valid ? "valid" : "invalid")}");
                foreach (string finding in (status?.Message ?? "").Split('\n', StringSplitOptions.RemoveEmptyEntries))
                    output.WriteLine($"  {finding}");
            }
        }

        return valid ? 0 : 1;
    }

    private static IEnumerable<ManifestDocument> ReadDocuments(string file)
    {
        try
        {
            return [.. ManifestYaml.Read(File.ReadAllText(file))];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            throw new UserErrorException($"{file}: {e.Message}");
        }
    }

    private static PolicyStatus? Validate(PolicyRepository repository, ManifestDocument document, string where)
    {
        KubernetesJson json = KubernetesJson.Default;
        try
        {
            return (string?)document.Content["kind"] switch
            {
                "NetworkPolicy" => repository.Upsert(document.Content.Deserialize(json.NetworkPolicy)!),
                "CiliumNetworkPolicy" => repository.Upsert(document.Content.Deserialize(json.CiliumNetworkPolicy)!),
                "CiliumClusterwideNetworkPolicy" => repository.Upsert(document.Content.Deserialize(json.CiliumClusterwideNetworkPolicy)!),
                "ClusterNetworkPolicy" => repository.Upsert(document.Content.Deserialize(json.ClusterNetworkPolicy)!),
                "AdminNetworkPolicy" => repository.Upsert(document.Content.Deserialize(json.AdminNetworkPolicy)!),
                "BaselineAdminNetworkPolicy" => repository.Upsert(document.Content.Deserialize(json.BaselineAdminNetworkPolicy)!),
                _ => null,
            };
        }
        catch (JsonException e)
        {
            throw new UserErrorException($"{where}: {e.Message}");
        }
    }
}
