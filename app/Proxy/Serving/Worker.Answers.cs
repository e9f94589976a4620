// SPDX-License-Identifier: Apache-2.0
using System.Text;
using Axoneme.Dns;
using Axoneme.DnsProxy;
using Axoneme.Network;

namespace Axoneme.Proxy.Serving;

// What becomes of an answer: checked, learned from, and given to the pod.
internal sealed partial class Worker
{
    private readonly AnswerContents _contents = new();

    /// <summary>An answer whose id belongs to a question under way.</summary>
    public void OnAnswer(Span<byte> message, int index)
    {
        ref Pending pending = ref Pending[index];
        if (!DnsHeader.TryRead(message, out DnsHeader header) || !header.IsResponse)
        {
            Counters.UnexpectedAnswers++;
            return;
        }

        bool hasQuestion = DnsQuestion.TryRead(message, _nameBytes, out DnsQuestion question);
        if (hasQuestion ? !Pending.IsQuestionOf(index, message[DnsHeader.Bytes..question.End]) : !IsBareError(message, header))
        {
            Counters.UnexpectedAnswers++;
            return;
        }

        DnsReply.SetId(message, pending.Id);
        var asked = new Asked(pending.Client, pending.Server, pending.Session);
        long latency = (long)_shared.Time.GetElapsedTime(pending.Started).TotalMicroseconds;
        Counters.AddLatency(latency);
        _contents.Clear();
        ReadOnlySpan<char> name = [];
        if (hasQuestion)
        {
            name = _name.AsSpan(0, Encoding.ASCII.GetChars(_nameBytes.AsSpan(0, question.NameLength), _name));
            message = Finish(message, question, pending.AnswerLimit, ref header);
        }

        Report(pending, QueryOutcome.Answered, name, question.Type, header.Rcode, latency, message);
        long waitFor = header.Rcode == DnsRcode.NoError && question.Class == DnsQuestion.InternetClass && !_contents.Addresses.IsEmpty
            ? _shared.Names.Learn(pending.Endpoint, HostOf(name, question.Type), _contents.Addresses, _contents.Ttl)
            : 0;
        Complete(index);
        if (waitFor == 0)
            Send(asked, message);
        else
            Hold(asked, message, waitFor);
    }

    // A service is asked for by its port and scheme in front of the host that the client means (RFC 9460, 2.3): _8443._https.www.example.com.
    private static ReadOnlySpan<char> HostOf(ReadOnlySpan<char> name, ushort type)
    {
        while (type is DnsType.Svcb or DnsType.Https && name is ['_', ..] && name.IndexOf('.') is > 0 and var dot)
            name = name[(dot + 1)..];
        return name;
    }

    /// <summary>Reads the answer, and makes it one that the client can read: shorter if it is too long, a failure if it is damaged.</summary>
    private Span<byte> Finish(Span<byte> message, DnsQuestion question, int limit, scoped ref DnsHeader header)
    {
        if (!question.TryReadEdns(message, out DnsEdns? edns) || !_contents.TryRead(message, question))
        {
            // The end of a truncated answer may be missing.
            Counters.ParseErrors++;
            _contents.Clear();
            if (header.IsTruncated)
                return message[..DnsReply.Truncate(message, question, null)];
            Span<byte> failure = OwnReply();
            failure = failure[..DnsReply.Write(message, question, null, DnsRcode.ServerFailure, failure)];
            DnsHeader.TryRead(failure, out header);
            return failure;
        }

        return message.Length <= limit ? message : message[..DnsReply.Truncate(message, question, edns)];
    }

    // Servers answer what they cannot read without the question.
    private static bool IsBareError(ReadOnlySpan<byte> message, in DnsHeader header)
        => message.Length == DnsHeader.Bytes && header is { QuestionCount: 0, AnswerCount: 0, AuthorityCount: 0, AdditionalCount: 0 }
            && header.Rcode != DnsRcode.NoError;

    private void Hold(in Asked asked, ReadOnlySpan<byte> message, long waitFor)
    {
        if (asked.Session is { } session)
            session.Held++;
        _held.Add(waitFor, new HeldAnswer(asked.Server, asked.Client, asked.Session, message.ToArray(), Now));
    }

    private unsafe void Release(HeldAnswer held)
    {
        if (held.Session is { } session)
        {
            session.Held--;
            session.Reply(held.Message);
            return;
        }

        fixed (byte* _ = held.Message)
        {
            Send(new Asked(held.To, held.From, null), held.Message);
            FlushReplies();
        }
    }

    private void ExpirePending()
    {
        while (Pending.Oldest is var index && index != PendingTable.None)
        {
            ref Pending pending = ref Pending[index];
            if (_shared.Time.GetElapsedTime(pending.Started, Now) < UpstreamTimeout)
                return;
            Counters.UpstreamTimeouts++;
            ReportUnanswered(index, QueryOutcome.TimedOut, null);
            Complete(index);
        }
    }

    // The server's host says that nobody listens there.
    private void FailAll(UpstreamSocket upstream)
    {
        Span<byte> query = stackalloc byte[DnsHeader.Bytes + DnsName.MaximalBytes + 4];
        while (upstream.TryPeek(out int index))
        {
            ref Pending pending = ref Pending[index];
            ReportUnanswered(index, QueryOutcome.Failed, DnsRcode.ServerFailure);
            ReadOnlySpan<byte> asked = Pending.QuestionOf(index);
            ReadOnlySpan<byte> header = [(byte)(pending.Id >> 8), (byte)pending.Id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            header.CopyTo(query);
            asked.CopyTo(query[DnsHeader.Bytes..]);
            Span<byte> reply = OwnReply();
            if (DnsQuestion.TryRead(query[..(DnsHeader.Bytes + asked.Length)], _nameBytes, out DnsQuestion question))
                Send(new Asked(pending.Client, pending.Server, null), reply[..DnsReply.Write(query, question, null, DnsRcode.ServerFailure, reply)]);
            Complete(index);
        }

        FlushReplies();
    }

    private void Complete(int index)
    {
        ref Pending pending = ref Pending[index];
        pending.Socket?.Forget(pending.UpstreamId);
        pending.Session?.Forget(pending.UpstreamId);
        Pending.Remove(index);
    }

    private void ReportUnanswered(int index, QueryOutcome outcome, DnsRcode? rcode)
    {
        if (!Log.IsOn)
            return;
        ref Pending pending = ref Pending[index];
        Span<byte> message = stackalloc byte[DnsHeader.Bytes + DnsName.MaximalBytes + 4];
        ReadOnlySpan<byte> asked = Pending.QuestionOf(index);
        message.Clear();
        message[5] = 1;
        asked.CopyTo(message[DnsHeader.Bytes..]);
        if (!DnsQuestion.TryRead(message[..(DnsHeader.Bytes + asked.Length)], _nameBytes, out DnsQuestion question))
            return;
        int length = Encoding.ASCII.GetChars(_nameBytes.AsSpan(0, question.NameLength), _name);
        _contents.Clear();
        Report(pending, outcome, _name.AsSpan(0, length), question.Type, rcode, 0, default);
    }

    private void Report(
        in Pending pending, QueryOutcome outcome, ReadOnlySpan<char> name, ushort type, DnsRcode? rcode, long latency, ReadOnlySpan<byte> message)
    {
        if (!Log.IsOn)
            return;
        var line = new QueryLine
        {
            Time = pending.StartedUnix,
            Endpoint = pending.Endpoint,
            Client = pending.Client,
            Server = pending.Server,
            Protocol = pending.Session is null ? L4Protocol.Udp : L4Protocol.Tcp,
            ServerIdentity = pending.ServerIdentity,
            Name = name,
            QueryType = type,
            Outcome = outcome,
            Rcode = rcode,
            Latency = latency,
        };
        Log.Add(line, _contents, message);
    }
}
