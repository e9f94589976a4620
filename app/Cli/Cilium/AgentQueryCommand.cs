// SPDX-License-Identifier: Apache-2.0
using Axoneme.AgentApi;
using Axoneme.Datapath;

namespace Axoneme.Cli.Cilium;

/// <summary>The commands that ask the agent one question and print the answer.</summary>
internal sealed class AgentQueryCommand(TextWriter output)
{
    public async Task<int> RunAsync(string verb, IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        var flags = new AgentFlags($"cilium {verb} ...");
        bool isNumeric = false;
        bool isVerbose = false;
        bool isAll = false;
        string bpfRoot = BpfCommand.EnvironmentRoot();
        flags.Set.Switch("numeric", v => isNumeric = v, "numbers instead of names", 'n')
            .Switch("verbose", v => isVerbose = v, "more columns", 'v')
            .Switch("all", v => isAll = v, "read-only settings too", 'a')
            .Value("bpf-root", v => bpfRoot = v, "DIRECTORY", "map list without an agent: where the maps are pinned")
            .Value("labels", _ => { }, "LABEL", "kept for scripts", 'l');
        if (flags.Parse(arguments, output) is not { } rest)
            return 0;
        using AgentClient agent = flags.Connect();
        string[] words = [verb, .. rest];
        switch (words)
        {
            case ["ip", "list"]:
                IReadOnlyList<IdentityModel> identities = isNumeric ? [] : await agent.GetIdentitiesAsync(cancellation).ConfigureAwait(false);
                PrintIps(await agent.GetIpsAsync(cancellation).ConfigureAwait(false), identities, isVerbose, flags);
                return 0;
            case ["node", "list"]:
                PrintNodes(await agent.GetNodesAsync(cancellation).ConfigureAwait(false), flags);
                return 0;
            case ["map", "list"]:
                PrintMaps(await GetMapsAsync(agent, bpfRoot, cancellation).ConfigureAwait(false), flags);
                return 0;
            case ["map", "get", string name]:
                PrintMap(await agent.GetMapAsync(name, cancellation).ConfigureAwait(false), flags);
                return 0;
            case ["policy", "get", ..]:
                PrintPolicy(await agent.GetPolicyAsync(cancellation).ConfigureAwait(false), flags);
                return 0;
            case ["policy", "selectors", ..]:
                PrintSelectors(await agent.GetSelectorsAsync(cancellation).ConfigureAwait(false), flags);
                return 0;
            case ["policy", "trace", ..]:
                throw new UserErrorException("policy trace no longer exists; \"hubble observe --type policy-verdict\" shows decisions as they happen");
            case ["statedb", "dump"]:
                await DumpTablesAsync(agent, flags, cancellation).ConfigureAwait(false);
                return 0;
            case ["tables" or "statedb"]:
                PrintTables(await agent.GetTablesAsync(cancellation).ConfigureAwait(false), flags);
                return 0;
            case ["tables" or "statedb", string table]:
                PrintTable(await agent.GetTableAsync(table, cancellation).ConfigureAwait(false), flags);
                return 0;
            case ["config", ..]:
                await ConfigAsync(agent, rest, isAll, flags, cancellation).ConfigureAwait(false);
                return 0;
            case ["version"]:
                return await PrintVersionAsync(agent, flags, cancellation).ConfigureAwait(false);
            default:
                throw new UserErrorException($"unknown command \"{string.Join(' ', words)}\" for \"cilium\"");
        }
    }

    internal void PrintIps(IReadOnlyList<IpEntry> entries, IReadOnlyList<IdentityModel> identities, bool isVerbose, AgentFlags flags)
    {
        if (flags.IsStructured)
        {
            flags.WriteStructured(output, entries, AgentJson.Default.IReadOnlyListIpEntry);
            return;
        }

        var labels = identities.ToDictionary(i => i.Id, i => i.Labels);
        TabWriter table = new TabWriter(output).Row(["IP", "IDENTITY", "SOURCE", .. isVerbose ? (string[])["HOST", "ENCRYPT KEY"] : []]);
        foreach (IpEntry entry in entries.OrderBy(e => e.Cidr, StringComparer.Ordinal))
        {
            IReadOnlyList<string> names = labels.TryGetValue(entry.Identity, out IReadOnlyList<string>? known) && known.Count > 0 ? known : [$"{entry.Identity}"];
            string[] more = isVerbose ? [entry.HostIp ?? "", $"{entry.EncryptKey}"] : [];
            table.Row([entry.Cidr, names[0], entry.Metadata?.Source ?? "", .. more]);
            foreach (string name in names.Skip(1))
                table.Row(["", name, "", .. more.Select(_ => "")]);
        }

        table.Flush();
    }

    internal void PrintNodes(ClusterNodes cluster, AgentFlags flags)
    {
        if (flags.IsStructured)
        {
            flags.WriteStructured(output, cluster, AgentJson.Default.ClusterNodes);
            return;
        }

        TabWriter table = new TabWriter(output).Row("Name", "IPv4 Address", "Endpoint CIDR", "IPv6 Address", "Endpoint CIDR", "Source");
        foreach (NodeElement node in cluster.Nodes.OrderBy(n => n.Name, StringComparer.Ordinal))
        {
            NodeAddressingElement? v4 = node.PrimaryAddress?.Ipv4;
            NodeAddressingElement? v6 = node.PrimaryAddress?.Ipv6;
            // Other programs find the node they run on by this word.
            string source = node.Name == cluster.Self ? "local" : node.Source ?? "";
            table.Row(node.Name, v4?.Ip ?? "", v4?.AllocRange ?? "", v6?.Ip ?? "", v6?.AllocRange ?? "", source);
        }

        table.Flush();
    }

    // What is pinned outlives the agent; only who knows what should be in the maps is gone with it.
    private static async Task<BpfMapList> GetMapsAsync(AgentClient agent, string bpfRoot, CancellationToken cancellation)
    {
        try
        {
            return await agent.GetMapsAsync(cancellation).ConfigureAwait(false);
        }
        catch (AgentException e) when (e.Status is null && BpfCommand.HasMaps(bpfRoot))
        {
            using DatapathDump maps = BpfCommand.Open(bpfRoot);
            return new BpfMapList([.. maps.PinnedMaps().Select(m => new BpfMapModel { Path = m.Path, Entries = m.Entries })]);
        }
    }

    internal void PrintMaps(BpfMapList maps, AgentFlags flags)
    {
        if (flags.IsStructured)
        {
            flags.WriteStructured(output, maps, AgentJson.Default.BpfMapList);
            return;
        }

        TabWriter table = new TabWriter(output).Row("Name", "Num entries", "Num errors", "Cache enabled");
        foreach (BpfMapModel map in maps.Maps.OrderBy(m => m.Name, StringComparer.Ordinal))
        {
            long errors = map.Errors ?? map.Cache?.Count(e => !string.IsNullOrEmpty(e.LastError)) ?? 0;
            // Errors are known of maps that follow a table of the agent.
            table.Row(map.Name, $"{map.Entries ?? map.Cache?.Count ?? 0}", $"{errors}", map.Cache is null && map.Errors is null ? "false" : "true");
        }

        table.Flush();
    }

    private void PrintMap(BpfMapModel map, AgentFlags flags)
    {
        if (flags.IsStructured)
        {
            flags.WriteStructured(output, map, AgentJson.Default.BpfMapModel);
            return;
        }

        TabWriter table = new TabWriter(output).Row("Key", "Value", "State", "Error");
        foreach (BpfMapEntry entry in map.Cache ?? [])
            table.Row(entry.Key, entry.Value ?? "", entry.DesiredAction ?? "", entry.LastError ?? "");
        table.Flush();
    }

    private void PrintPolicy(PolicyModel policy, AgentFlags flags)
    {
        if (flags.IsStructured)
        {
            flags.WriteStructured(output, policy, AgentJson.Default.PolicyModel);
            return;
        }

        output.WriteLine(policy.Policy);
        output.WriteLine($"Revision: {policy.Revision}");
    }

    private void PrintSelectors(IReadOnlyList<SelectorModel> selectors, AgentFlags flags)
    {
        if (flags.IsStructured)
        {
            flags.WriteStructured(output, selectors, AgentJson.Default.IReadOnlyListSelectorModel);
            return;
        }

        TabWriter table = new TabWriter(output).Row("SELECTOR", "LABELS", "USERS", "IDENTITIES");
        foreach (SelectorModel selector in selectors)
        {
            IReadOnlyList<long> identities = selector.Identities ?? [];
            table.Row(selector.Selector, string.Join(',', selector.Labels ?? []), $"{selector.Users}", identities.Count > 0 ? $"{identities[0]}" : "");
            foreach (long identity in identities.Skip(1))
                table.Row("", "", "", $"{identity}");
        }

        table.Flush();
    }

    private void PrintTables(IReadOnlyList<TableSummary> tables, AgentFlags flags)
    {
        if (flags.IsStructured)
        {
            flags.WriteStructured(output, tables, AgentJson.Default.IReadOnlyListTableSummary);
            return;
        }

        TabWriter table = new TabWriter(output).Row("Name", "Object count", "Revision", "Initialized", "Waiting for");
        foreach (TableSummary summary in tables.OrderBy(t => t.Name, StringComparer.Ordinal))
            table.Row(summary.Name, $"{summary.Objects}", $"{summary.Revision}", summary.Initialized ? "true" : "false", string.Join(", ", summary.Pending ?? []));
        table.Flush();
    }

    /// <summary>All tables as one JSON object.</summary>
    private async Task DumpTablesAsync(AgentClient agent, AgentFlags flags, CancellationToken cancellation)
    {
        var dump = new Dictionary<string, TableContents>();
        foreach (TableSummary table in await agent.GetTablesAsync(cancellation).ConfigureAwait(false))
            dump[table.Name] = await agent.GetTableAsync(table.Name, cancellation).ConfigureAwait(false);
        flags.WriteStructured(output, dump, CliJson.CamelCase.IReadOnlyDictionaryStringTableContents);
    }

    private void PrintTable(TableContents contents, AgentFlags flags)
    {
        if (flags.IsStructured)
        {
            flags.WriteStructured(output, contents, AgentJson.Default.TableContents);
            return;
        }

        TabWriter table = new TabWriter(output).Row([.. contents.Columns]);
        foreach (IReadOnlyList<string> row in contents.Rows)
            table.Row([.. row]);
        table.Flush();
    }

    private async Task ConfigAsync(AgentClient agent, List<string> words, bool isAll, AgentFlags flags, CancellationToken cancellation)
    {
        if (words.Count > 0 && words.TrueForAll(w => w.Contains('=', StringComparison.Ordinal)))
        {
            var options = words.Select(w => w.Split('=', 2)).ToDictionary(w => w[0], w => w[1]);
            await agent.PatchConfigAsync(new DaemonConfigSpec(options), cancellation).ConfigureAwait(false);
            return;
        }

        DaemonConfig config = await agent.GetConfigAsync(cancellation).ConfigureAwait(false);
        IReadOnlyDictionary<string, string> readOnly = config.Status.DaemonConfigurationMap ?? new Dictionary<string, string>();
        IReadOnlyDictionary<string, string> mutable = config.Status.Realized?.Options ?? config.Spec.Options ?? new Dictionary<string, string>();
        switch (words)
        {
            case ["get", string key]:
                string value = mutable.GetValueOrDefault(key) ?? readOnly.GetValueOrDefault(key) ?? throw new UserErrorException($"there is no setting {key}");
                await output.WriteLineAsync($"{key} = {value}").ConfigureAwait(false);
                break;
            case [] when flags.IsStructured:
                flags.WriteStructured(output, config, AgentJson.Default.DaemonConfig);
                break;
            case [] when isAll:
                PrintOptions("#### Read-only configurations ####", readOnly);
                PrintOptions("#### Read-write configurations ####", mutable);
                break;
            case []:
                PrintOptions("The read-only settings are shown too with -a.", mutable);
                break;
            default:
                throw new UserErrorException("usage: cilium config [get KEY | KEY=VALUE...]");
        }
    }

    private void PrintOptions(string title, IReadOnlyDictionary<string, string> options)
    {
        output.WriteLine(title);
        foreach ((string key, string value) in options.OrderBy(o => o.Key, StringComparer.Ordinal))
            output.WriteLine($"{key,-34}: {value}");
    }

    private async Task<int> PrintVersionAsync(AgentClient agent, AgentFlags flags, CancellationToken cancellation)
    {
        string client = ProductVersion.Text;
        if (!flags.IsStructured)
            await output.WriteLineAsync($"Client: {client}").ConfigureAwait(false);
        // The message is "VERSION (vVERSION-COMMIT)": the first word is what was asked for.
        StatusResponse status = await agent.GetStatusAsync(cancellation: cancellation).ConfigureAwait(false);
        string daemon = status.Cilium?.Msg?.Split(' ')[0] ?? "unknown";
        if (flags.IsStructured)
            flags.WriteStructured(output, new VersionReport(new VersionOf(client), new VersionOf(daemon)), CliJson.Default.VersionReport);
        else
            await output.WriteLineAsync($"Daemon: {daemon}").ConfigureAwait(false);
        return 0;
    }
}
