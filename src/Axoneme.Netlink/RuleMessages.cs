// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Network;

namespace Axoneme.Netlink;

/// <summary>RTM_*RULE: fib_rule_hdr and its attributes.</summary>
internal static class RuleMessages
{
    public static FibRuleHdr Header(RoutingRule rule) => new()
    {
        Family = Family.Of(rule.IsV6),
        SourceLength = (byte)(rule.Source?.Length ?? 0),
        DestinationLength = (byte)(rule.Destination?.Length ?? 0),
        Table = rule.Table <= byte.MaxValue ? (byte)rule.Table : (byte)0,
        Action = RuleAttribute.FR_ACT_TO_TBL,
    };

    public static void Write(MessageBuffer buffer, RoutingRule rule)
    {
        buffer.AddUInt32(RuleAttribute.FRA_PRIORITY, rule.Priority);
        buffer.AddUInt32(RuleAttribute.FRA_TABLE, rule.Table);
        buffer.AddByte(RuleAttribute.FRA_PROTOCOL, (byte)rule.Protocol);
        if (rule.Source is { Length: > 0 } source)
            buffer.AddAddress(RuleAttribute.FRA_SRC, source.Address);
        if (rule.Destination is { Length: > 0 } destination)
            buffer.AddAddress(RuleAttribute.FRA_DST, destination.Address);
        if (rule.InputDevice.Length > 0)
            buffer.AddString(RuleAttribute.FRA_IIFNAME, rule.InputDevice);
        if (rule.OutputDevice.Length > 0)
            buffer.AddString(RuleAttribute.FRA_OIFNAME, rule.OutputDevice);
        if (rule.MarkMask == 0)
            return;
        buffer.AddUInt32(RuleAttribute.FRA_FWMARK, rule.Mark);
        buffer.AddUInt32(RuleAttribute.FRA_FWMASK, rule.MarkMask);
    }

    /// <summary>Null for rules that do something else than look up a table.</summary>
    public static RoutingRule? Parse(ReadOnlySpan<byte> payload)
    {
        FibRuleHdr header = MemoryMarshal.Read<FibRuleHdr>(payload);
        if (header.Family is not (Family.Inet or Family.Inet6) || header.Action != RuleAttribute.FR_ACT_TO_TBL)
            return null;
        var rule = new RoutingRule(header.Family == Family.Inet6, 0, header.Table) { Protocol = RouteProtocol.Unspecified };
        var attributes = new AttributeReader(payload[FibRuleHdr.Size..]);
        while (attributes.Next())
        {
            rule = attributes.Type switch
            {
                RuleAttribute.FRA_PRIORITY => rule with { Priority = attributes.AsUInt32() },
                RuleAttribute.FRA_TABLE => rule with { Table = attributes.AsUInt32() },
                RuleAttribute.FRA_PROTOCOL => rule with { Protocol = (RouteProtocol)attributes.AsByte() },
                RuleAttribute.FRA_FWMARK => rule with { Mark = attributes.AsUInt32() },
                RuleAttribute.FRA_FWMASK => rule with { MarkMask = attributes.AsUInt32() },
                RuleAttribute.FRA_IIFNAME => rule with { InputDevice = attributes.AsString() },
                RuleAttribute.FRA_OIFNAME => rule with { OutputDevice = attributes.AsString() },
                RuleAttribute.FRA_SRC => rule with { Source = attributes.AsPrefix(header.SourceLength) },
                RuleAttribute.FRA_DST => rule with { Destination = attributes.AsPrefix(header.DestinationLength) },
                _ => rule,
            };
        }

        return rule;
    }
}
