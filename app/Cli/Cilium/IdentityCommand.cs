// SPDX-License-Identifier: Apache-2.0
using Axoneme.AgentApi;
using Axoneme.Network;

namespace Axoneme.Cli.Cilium;

/// <summary><c>cilium identity list|get</c>.</summary>
internal sealed class IdentityCommand(TextWriter output)
{
    public async Task<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        var flags = new AgentFlags("cilium identity list|get ID [flags]");
        bool ofEndpoints = false;
        flags.Set.Switch("endpoints", v => ofEndpoints = v, "identities that endpoints of this node have");
        if (flags.Parse(arguments, output) is not { } rest)
            return 0;
        using AgentClient agent = flags.Connect();
        switch (rest)
        {
            case ["list"] when ofEndpoints:
                PrintInUse(await agent.GetEndpointIdentitiesAsync(cancellation).ConfigureAwait(false), flags);
                return 0;
            case ["list"]:
                PrintList(await agent.GetIdentitiesAsync(cancellation).ConfigureAwait(false), flags);
                return 0;
            case ["get", string id]:
                PrintList([await agent.GetIdentityAsync(NumberOf(id), cancellation).ConfigureAwait(false)], flags);
                return 0;
            default:
                throw new UserErrorException("usage: cilium identity list|get ID");
        }
    }

    internal void PrintList(IReadOnlyList<IdentityModel> identities, AgentFlags flags)
    {
        if (flags.IsStructured)
        {
            flags.WriteStructured(output, identities, AgentJson.Default.IReadOnlyListIdentityModel);
            return;
        }

        TabWriter table = new TabWriter(output).Row("ID", "LABELS");
        foreach (IdentityModel identity in identities.OrderBy(i => i.Id))
            AddRows(table, identity, []);
        table.Flush();
    }

    private void PrintInUse(IReadOnlyList<IdentityInUse> identities, AgentFlags flags)
    {
        if (flags.IsStructured)
        {
            flags.WriteStructured(output, identities, AgentJson.Default.IReadOnlyListIdentityInUse);
            return;
        }

        TabWriter table = new TabWriter(output).Row("ID", "LABELS", "REFCOUNT");
        foreach (IdentityInUse used in identities.OrderBy(i => i.Identity.Id))
            AddRows(table, used.Identity, [$"{used.RefCount}"]);
        table.Flush();
    }

    private static void AddRows(TabWriter table, IdentityModel identity, string[] more)
    {
        table.Row([$"{identity.Id}", identity.Labels.Count > 0 ? identity.Labels[0] : "", .. more]);
        foreach (string label in identity.Labels.Skip(1))
            table.Row(["", label, .. more.Select(_ => "")]);
    }

    private static string NumberOf(string text)
    {
        foreach ((uint number, string name) in SecurityIdentity.ReservedNames)
        {
            if (text == name || text == $"{Label.Reserved}:{name}")
                return $"{number}";
        }

        return text;
    }
}
