// SPDX-License-Identifier: Apache-2.0
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Network;

namespace Axoneme.Cli.Cilium;

/// <summary><c>bpf ct list</c>: a line for each connection, without a header, so that lines are connections.</summary>
internal sealed class BpfConntrackText(TextWriter output, AgentFlags flags)
{
    /// <param name="connections">What to print.</param>
    /// <param name="local">Addresses whose side Rx and Tx are seen from.</param>
    /// <param name="withTimeLeft">Say how long the connection has left.</param>
    public void Print(IEnumerable<ConntrackEntry> connections, IReadOnlySet<IpAddress> local, bool withTimeLeft)
    {
        if (flags.IsStructured)
        {
            flags.WriteStructured(output, [.. connections.Select(c => Model(c, local))], CliJson.CamelCase.IReadOnlyListConnectionModel);
            return;
        }

        foreach (ConntrackEntry connection in connections)
            output.WriteLine(Line(Model(connection, local), (uint)connection.Flags, withTimeLeft));
    }

    private static string Line(ConnectionModel c, uint flags, bool withTimeLeft)
    {
        string left = withTimeLeft ? $" (remaining: {c.RemainingSeconds} sec(s))" : "";
        string names = string.Concat(c.Flags.Select(f => f + " "));
        return $"{c.Protocol} {c.Direction} {c.Source} -> {c.Destination} expires={c.Expires}{left} Packets={c.Packets} Bytes={c.Bytes} "
            + $"RxFlagsSeen=0x{c.RxFlagsSeen:x2} LastRxReport={c.LastRxReport} TxFlagsSeen=0x{c.TxFlagsSeen:x2} LastTxReport={c.LastTxReport} "
            + $"Flags=0x{flags:x4} [ {names}] RevNAT={c.RevNat} SourceSecurityID={c.SourceSecurityId} BackendID={c.BackendId}";
    }

    private static ConnectionModel Model(ConntrackEntry entry, IReadOnlySet<IpAddress> local)
    {
        // One entry serves both ends. It is told from the end that is on this node; with both here, from the one that connected.
        bool isOut = local.Contains(entry.Source.Address) || !local.Contains(entry.Destination.Address);
        return new ConnectionModel
        {
            Protocol = BpfPolicyText.Name(entry.Source.Protocol),
            Direction = entry.Scope == CtScope.Service ? "SVC" : isOut ? "OUT" : "IN",
            Source = WithPort(entry.Source),
            Destination = WithPort(entry.Destination),
            Expires = entry.Expires,
            RemainingSeconds = (long)entry.Remaining.TotalSeconds,
            Packets = entry.ForwardPackets + entry.ReplyPackets,
            Bytes = entry.ForwardBytes + entry.ReplyBytes,
            RxFlagsSeen = isOut ? entry.ReplyTcpFlags : entry.ForwardTcpFlags,
            LastRxReport = isOut ? entry.ReplyReport : entry.ForwardReport,
            TxFlagsSeen = isOut ? entry.ForwardTcpFlags : entry.ReplyTcpFlags,
            LastTxReport = isOut ? entry.ForwardReport : entry.ReplyReport,
            Flags = [.. FlagNames(entry.Flags, isOut)],
            RevNat = entry.ReverseNat,
            SourceSecurityId = entry.SourceIdentity.Value,
            BackendId = entry.Backend,
        };
    }

    private static IEnumerable<string> FlagNames(CtFlags flags, bool isOut)
    {
        if (flags.HasFlag(isOut ? CtFlags.ReplyClosing : CtFlags.ForwardClosing))
            yield return "RxClosing";
        if (flags.HasFlag(isOut ? CtFlags.ForwardClosing : CtFlags.ReplyClosing))
            yield return "TxClosing";
        if (flags.HasFlag(CtFlags.Reset))
            yield return "Reset";
        if (flags.HasFlag(CtFlags.Hairpin))
            yield return "LBLoopback";
        if (flags.HasFlag(CtFlags.SeenNonSyn))
            yield return "SeenNonSyn";
        if (flags.HasFlag(CtFlags.Replied))
            yield return "Replied";
        if (flags.HasFlag(CtFlags.Proxy))
            yield return "ProxyRedirect";
        if (flags.HasFlag(CtFlags.NodePort))
            yield return "NodePort";
        if (flags.HasFlag(CtFlags.Dsr))
            yield return "DSRInternal";
    }

    private static string WithPort(L4Address address)
        => address.Address.IsV6 ? $"[{address.Address}]:{address.Port}" : $"{address.Address}:{address.Port}";
}
