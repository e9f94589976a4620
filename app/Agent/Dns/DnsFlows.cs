// SPDX-License-Identifier: Apache-2.0
using Axoneme.DnsProxy;
using Axoneme.Hubble;
using Axoneme.Network;

namespace Axoneme.Agent.Dns;

/// <summary>Questions that the proxy reports, as flows: the question, and the answer or the refusal.</summary>
internal static class DnsFlows
{
    private const int Refused = 5;

    public static void Publish(HubbleObserver observer, QueryRecord record)
    {
        DnsExchange question = QuestionOf(record);
        observer.Ingest(question);
        if (record.Outcome == QueryOutcome.Answered || record.Rcode is not null)
            observer.Ingest(AnswerOf(question, record));
    }

    private static DnsExchange QuestionOf(QueryRecord record) => new()
    {
        TimeNs = record.Time * 1000,
        Client = record.Client,
        Server = record.Server,
        ServerIdentity = record.ServerIdentity,
        Verdict = record.Outcome switch
        {
            QueryOutcome.Answered or QueryOutcome.TimedOut => DnsVerdict.Forwarded,
            QueryOutcome.Refused => DnsVerdict.Denied,
            _ => DnsVerdict.Error,
        },
        IsResponse = false,
        Query = record.Name.EndsWith('.') ? record.Name : record.Name + ".",
        QueryType = record.QueryType,
    };

    private static DnsExchange AnswerOf(DnsExchange question, QueryRecord record) => question with
    {
        TimeNs = (record.Time + record.Latency) * 1000,
        Verdict = record.Outcome switch
        {
            QueryOutcome.Answered => DnsVerdict.Forwarded,
            QueryOutcome.Refused => DnsVerdict.Denied,
            _ => DnsVerdict.Error,
        },
        IsResponse = true,
        Rcode = record.Rcode ?? (record.Outcome == QueryOutcome.Refused ? Refused : 0),
        Addresses = record.Addresses,
        Cnames = [.. record.Cnames.Select(c => c.EndsWith('.') ? c : c + ".")],
        AnswerTypes = record.AnswerTypes,
        // Clients know an answer without records by the largest time to live.
        Ttl = record.AnswerTypes.Count > 0 ? record.Ttl : uint.MaxValue,
        LatencyNs = (ulong)record.Latency * 1000,
    };
}
