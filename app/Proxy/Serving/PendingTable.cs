// SPDX-License-Identifier: Apache-2.0
using Axoneme.Dns;
using Axoneme.Network;
using Axoneme.Proxy.Sockets;

namespace Axoneme.Proxy.Serving;

/// <summary>Who waits for an answer, and for which.</summary>
internal struct Pending
{
    public SocketAddress Client;
    public SocketAddress Server;

    /// <summary>Of a question that came by TCP.</summary>
    public TcpSession? Session;

    /// <summary>Of a question that came by UDP.</summary>
    public UpstreamSocket? Socket;

    public ushort Endpoint;
    public SecurityIdentity ServerIdentity;

    /// <summary>The client's.</summary>
    public ushort Id;

    /// <summary>The proxy's towards the server.</summary>
    public ushort UpstreamId;

    /// <summary>What the client takes in a datagram.</summary>
    public int AnswerLimit;

    /// <summary>Timestamp of the worker's clock, and Unix time in microseconds.</summary>
    public long Started;

    public long StartedUnix;

    public int QuestionLength;
    public int Newer;
    public int Older;
}

/// <summary>Questions under way of one worker: as many as there are places. They are in the order of their age.</summary>
internal sealed class PendingTable
{
    public const int None = -1;

    // Name, type and class.
    private const int QuestionBytes = DnsName.MaximalBytes + 4;

    private readonly Pending[] _entries;
    private readonly byte[] _questions;
    private readonly ushort[] _byEndpoint = new ushort[ushort.MaxValue + 1];
    private int _free;
    private int _newest = None;

    public PendingTable(int capacity)
    {
        _entries = new Pending[capacity];
        _questions = new byte[capacity * QuestionBytes];
        for (int i = 0; i < capacity; i++)
            _entries[i].Newer = i + 1 < capacity ? i + 1 : None;
    }

    public int Capacity => _entries.Length;

    public int Count { get; private set; }

    /// <summary>The one that waits for the longest time, or <see cref="None"/>.</summary>
    public int Oldest { get; private set; } = None;

    public int CountOf(ushort endpoint) => _byEndpoint[endpoint];

    public ref Pending this[int index] => ref _entries[index];

    /// <param name="endpoint">That asks.</param>
    /// <param name="question">Of the query, from the end of the header; a question that uses pointers is no longer than a name may be.</param>
    /// <returns>A place with nothing but the endpoint, or <see cref="None"/>.</returns>
    public int Add(ushort endpoint, ReadOnlySpan<byte> question)
    {
        if (_free == None || question.Length > QuestionBytes)
            return None;
        int index = _free;
        ref Pending entry = ref _entries[index];
        _free = entry.Newer;
        entry = new Pending { Endpoint = endpoint, Newer = None, Older = _newest, QuestionLength = question.Length };
        question.CopyTo(_questions.AsSpan(index * QuestionBytes));
        if (_newest != None)
            _entries[_newest].Newer = index;
        else
            Oldest = index;
        _newest = index;
        Count++;
        _byEndpoint[endpoint]++;
        return index;
    }

    /// <summary>Whether an answer repeats the question. Letters may come back in another case.</summary>
    public bool IsQuestionOf(int index, ReadOnlySpan<byte> question)
    {
        ReadOnlySpan<byte> asked = QuestionOf(index);
        if (asked.Length != question.Length || !asked[^4..].SequenceEqual(question[^4..]))
            return false;
        // Lengths of labels are below the letters, so that they can be folded as if they were some.
        for (int i = 0; i < asked.Length - 4; i++)
        {
            if (Fold(asked[i]) != Fold(question[i]))
                return false;
        }

        return true;
    }

    private static byte Fold(byte b) => b is >= (byte)'A' and <= (byte)'Z' ? (byte)(b | 0x20) : b;

    public void Remove(int index)
    {
        ref Pending entry = ref _entries[index];
        if (entry.Older != None)
            _entries[entry.Older].Newer = entry.Newer;
        else
            Oldest = entry.Newer;
        if (entry.Newer != None)
            _entries[entry.Newer].Older = entry.Older;
        else
            _newest = entry.Older;
        _byEndpoint[entry.Endpoint]--;
        entry = new Pending { Newer = _free };
        _free = index;
        Count--;
    }

    /// <summary>Name, type and class as asked.</summary>
    public ReadOnlySpan<byte> QuestionOf(int index) => _questions.AsSpan(index * QuestionBytes, _entries[index].QuestionLength);
}
