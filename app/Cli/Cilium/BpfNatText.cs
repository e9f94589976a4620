// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Cli.Cilium;

/// <summary><c>bpf nat</c>: translations at the node's edge, a line each without a header, so that lines are translations.</summary>
internal sealed class BpfNatText(TextWriter output, AgentFlags flags)
{
    public void Print(IEnumerable<NatMapEntry> entries)
    {
        if (flags.IsStructured)
        {
            flags.WriteStructured(output, [.. entries.Select(Model)], CliJson.CamelCase.IReadOnlyListTranslationModel);
            return;
        }

        foreach (TranslationModel t in entries.Select(Model))
        {
            // NeedsCT is what scripts that know the format look for; no translation here depends on conntrack.
            string service = t.RevNat == 0 ? "" : $" RevNAT={t.RevNat}";
            output.WriteLine(
                $"{t.Protocol} {t.Direction} {t.Source} -> {t.Destination} {(t.Direction == "OUT" ? "XLATE_SRC" : "XLATE_DST")} {t.Translation} "
                + $"Created={t.AgeSeconds}sec ago NeedsCT=0 Expires={t.RemainingSeconds}sec{service} [ {string.Concat(t.Flags.Select(f => f + " "))}]");
        }
    }

    public void PrintRetries(IEnumerable<NatRetryEntry> entries)
    {
        NatRetryEntry[] all = [.. entries];
        if (flags.IsStructured)
        {
            flags.WriteStructured(output, [.. all.Select(r => new RetryModel(Family(r), r.Tries, r.Connections))], CliJson.CamelCase.IReadOnlyListRetryModel);
            return;
        }

        TabWriter table = new TabWriter(output).Row("FAMILY", "RETRIES", "CONNECTIONS");
        // Most numbers of tries never occurred.
        foreach (NatRetryEntry entry in all.Where(r => r.Connections > 0))
        {
            bool isFailure = entry.Tries == all.Where(r => r.IsV6 == entry.IsV6).Max(r => r.Tries);
            table.Row(Family(entry), isFailure ? $"{entry.Tries} (no port found)" : $"{entry.Tries}", $"{entry.Connections}");
        }

        table.Flush();
    }

    private static TranslationModel Model(NatMapEntry entry) => new()
    {
        Protocol = entry.Source.Protocol.ToString().ToUpperInvariant(),
        Direction = entry.Direction == NatDirection.Out ? "OUT" : "IN",
        Source = WithPort(entry.Source),
        Destination = WithPort(entry.Destination),
        Translation = WithPort(entry.NewAddress),
        AgeSeconds = (long)entry.Age.TotalSeconds,
        RemainingSeconds = (long)entry.Remaining.TotalSeconds,
        RevNat = entry.ServiceNumber,
        Flags = [.. Enum.GetValues<NatFlags>().Where(flag => entry.Flags.HasFlag(flag)).Select(flag => flag.ToString())],
    };

    private static string Family(NatRetryEntry entry) => entry.IsV6 ? "ipv6" : "ipv4";

    private static string WithPort(L4Address address)
        => address.Address.IsV6 ? $"[{address.Address}]:{address.Port}" : $"{address.Address}:{address.Port}";
}
