// SPDX-License-Identifier: Apache-2.0
using System.Text;
using Axoneme.Dns;
using Axoneme.DnsProxy;
using Axoneme.Linux;
using Axoneme.Network;
using Axoneme.Proxy.Rules;
using Axoneme.Proxy.Sockets;

namespace Axoneme.Proxy.Serving;

// What becomes of a question: refused here, or passed on.
internal sealed partial class Worker
{
    private const int MaximalServers = 4096;
    private static readonly TimeSpan IdentityLifetime = TimeSpan.FromSeconds(1);

    // Replies that no server gave, until they are sent.
    private const int OwnReplies = 64;
    private const int OwnReplyBytes = 512;

    private readonly byte[] _nameBytes = new byte[DnsName.MaximalTextBytes];
    private readonly char[] _name = new char[DnsName.MaximalTextBytes];
    private readonly byte[] _ownReplies = GC.AllocateArray<byte>(OwnReplies * OwnReplyBytes, pinned: true);
    private readonly Dictionary<IpAddress, (SecurityIdentity Identity, long Read)> _servers = [];
    private int _nextOwnReply;

    public void OnQuestion(Span<byte> message, in Asked asked)
    {
        Counters.Received++;
        if (!DnsHeader.TryRead(message, out DnsHeader header) || header.IsResponse)
        {
            Counters.ParseErrors++;
            return;
        }

        if (!DnsQuestion.TryRead(message, _nameBytes, out DnsQuestion question) || !question.TryReadEdns(message, out DnsEdns? edns))
        {
            Counters.ParseErrors++;
            Span<byte> error = OwnReply();
            Send(asked, error[..DnsReply.WriteFormatError(header, error)]);
            return;
        }

        int length = Encoding.ASCII.GetChars(_nameBytes.AsSpan(0, question.NameLength), _name);
        var query = new Query(asked, question, edns, _name.AsSpan(0, length)) { ServerIdentity = IdentityOf(asked.Server.Address) };
        if (_shared.Endpoints.Find(asked.Client.Address) is not { } endpoint)
        {
            Counters.UnknownSource++;
            Reject(message, query, QueryOutcome.Refused, RefusalCode);
            return;
        }

        query.Endpoint = endpoint;
        if (header.Opcode != 0)
            Reject(message, query, QueryOutcome.Refused, DnsRcode.NotImplemented);
        else if (!endpoint.Allows(asked.Server, query.ServerIdentity, _shared.Cluster, asked.Protocol, query.Name))
            Reject(message, query, QueryOutcome.Refused, RefusalCode);
        else if (Pending.Count >= Limit() || Pending.CountOf(endpoint.Id) >= MaximalPendingEach)
            Reject(message, query, QueryOutcome.Overloaded, DnsRcode.ServerFailure);
        else
            Forward(message, query);
    }

    private DnsRcode RefusalCode => _shared.Options.Reject == RejectCode.NameError ? DnsRcode.NameError : DnsRcode.Refused;

    private void Forward(Span<byte> message, in Query query)
    {
        int index = Pending.Add(query.Endpoint!.Id, message[DnsHeader.Bytes..query.Question.End]);
        if (index == PendingTable.None)
        {
            Reject(message, query, QueryOutcome.Overloaded, DnsRcode.ServerFailure);
            return;
        }

        ref Pending pending = ref Pending[index];
        pending.Client = query.Asked.Client;
        pending.Server = query.Asked.Server;
        pending.Session = query.Asked.Session;
        pending.ServerIdentity = query.ServerIdentity;
        pending.Id = query.Question.Header.Id;
        pending.AnswerLimit = query.Asked.Session is null ? DnsEdns.Limit(query.Edns) : ushort.MaxValue;
        pending.Started = _shared.Time.GetTimestamp();
        pending.StartedUnix = UnixMicroseconds();
        if (TryPassOn(message, index, ref pending, query.Endpoint.Identity))
        {
            Counters.Forwarded++;
            return;
        }

        DnsReply.SetId(message, pending.Id);
        Complete(index);
        Reject(message, query, QueryOutcome.Failed, DnsRcode.ServerFailure);
    }

    private bool TryPassOn(Span<byte> message, int index, ref Pending pending, SecurityIdentity identity)
    {
        if (pending.Session is { } session)
        {
            if (session.TryForward(message, index, identity))
                return true;
            pending.Session = null;
            return false;
        }

        if (_upstreams.Take(pending.Client.Address, pending.Server, identity) is not { } socket)
            return false;
        pending.Socket = socket;
        pending.UpstreamId = socket.Expect(index, Ids);
        DnsReply.SetId(message, pending.UpstreamId);
        int sent = socket.Socket.TrySend(message);
        // What an ICMP error said about an earlier question is told once.
        return sent == message.Length || socket.Socket.TrySend(message) == message.Length;
    }

    private void Reject(ReadOnlySpan<byte> message, in Query query, QueryOutcome outcome, DnsRcode rcode)
    {
        switch (outcome)
        {
            case QueryOutcome.Refused:
                Counters.Denied++;
                break;
            case QueryOutcome.Overloaded:
                Counters.Overloaded++;
                break;
        }

        Span<byte> reply = OwnReply();
        Send(query.Asked, reply[..DnsReply.Write(message, query.Question, query.Edns, rcode, reply)]);
        if (!Log.IsOn)
            return;
        Log.Add(new QueryLine
        {
            Time = UnixMicroseconds(),
            Endpoint = query.Endpoint?.Id ?? 0,
            Client = query.Asked.Client,
            Server = query.Asked.Server,
            Protocol = query.Asked.Protocol,
            ServerIdentity = query.ServerIdentity,
            Name = query.Name,
            QueryType = query.Question.Type,
            Outcome = outcome,
            Rcode = rcode,
        });
    }

    /// <summary>Sends a reply whose bytes stay where they are until <see cref="FlushReplies"/>.</summary>
    private unsafe void Send(in Asked asked, ReadOnlySpan<byte> message)
    {
        if (asked.Session is { } session)
        {
            session.Reply(message);
            return;
        }

        ReplySender? sender = asked.Client.Address.IsV6 ? _replies6 : _replies4;
        fixed (byte* bytes = message)
            sender?.Add(asked.Server, asked.Client, bytes, message.Length);
    }

    private Span<byte> OwnReply()
    {
        _nextOwnReply = (_nextOwnReply + 1) % OwnReplies;
        return _ownReplies.AsSpan(_nextOwnReply * OwnReplyBytes, OwnReplyBytes);
    }

    // Servers are few, and the kernel's table is asked for each about once a second.
    private SecurityIdentity IdentityOf(IpAddress server)
    {
        if (_servers.TryGetValue(server, out (SecurityIdentity Identity, long Read) known)
            && _shared.Time.GetElapsedTime(known.Read, Now) < IdentityLifetime)
            return known.Identity;
        if (!_shared.Addresses.TryFind(server, out SecurityIdentity identity))
            identity = SecurityIdentity.World;
        if (_servers.Count >= MaximalServers)
            _servers.Clear();
        _servers[server] = (identity, Now);
        return identity;
    }

    private long UnixMicroseconds() => (_shared.Time.GetUtcNow().UtcTicks - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond;

    private ref struct Query(in Asked asked, in DnsQuestion question, DnsEdns? edns, ReadOnlySpan<char> name)
    {
        public readonly Asked Asked = asked;
        public readonly DnsQuestion Question = question;
        public readonly DnsEdns? Edns = edns;
        public readonly ReadOnlySpan<char> Name = name;
        public EndpointRules? Endpoint;
        public SecurityIdentity ServerIdentity;
    }
}
