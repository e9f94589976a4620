// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.Collections.Concurrent;
using Axoneme.DnsProxy;
using Axoneme.Linux;
using Axoneme.Network;
using Axoneme.Proxy.Sockets;

namespace Axoneme.Proxy.Serving;

/// <summary>Who asks whom, and by what.</summary>
internal readonly record struct Asked(SocketAddress Client, SocketAddress Server, TcpSession? Session)
{
    public L4Protocol Protocol => Session is null ? L4Protocol.Udp : L4Protocol.Tcp;
}

/// <summary>
/// One thread with its own sockets. A question stays with the worker that got it until it is answered, so that nothing on its way is shared but the rules
/// and the cache of names.
/// </summary>
internal sealed partial class Worker : IDisposable
{
    // Questions under way; each costs about half a kilobyte, kept ready.
    private const int MaximalPending = 4096;

    // One pod that asks a server which does not answer leaves room for the others.
    private const int MaximalPendingEach = MaximalPending / 4;
    private const int MaximalSessions = 1024;
    private const int MaximalSessionsEach = 128;
    private const int QuestionsAtOnce = 32;

    // More than a full buffer of the kernel has.
    private const int LastReceives = 512;

    // Longer questions do not exist: a name, and options of EDNS.
    private const int MaximalQuestion = 4096;
    private const int AnswersAtOnce = 8;
    private static readonly TimeSpan UpstreamTimeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan IdleTimeout = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan FirstQuestionPatience = TimeSpan.FromSeconds(1);

    private readonly ProxyShared _shared;
    private readonly int _workers;
    private readonly Listeners _listeners;
    private readonly WakeUp _wakeUp = new();
    private readonly ConcurrentQueue<IReadOnlyList<long>> _acknowledged = new();
    private readonly DatagramReceiver _questions = new(QuestionsAtOnce, MaximalQuestion);
    private readonly DatagramReceiver _answers = new(AnswersAtOnce, ushort.MaxValue);
    private readonly ReplySender _replies4;
    private readonly ReplySender? _replies6;
    private readonly UpstreamPool _upstreams;
    private readonly LingeringStreams _lingering;
    private readonly HeldAnswers _held;
    private readonly HashSet<TcpSession> _sessions = [];
    private readonly List<TcpSession> _resumed = [];
    private readonly List<(ProxySocket Socket, int Slot)> _datagramSlots = [];
    private readonly List<(ProxySocket Socket, int Slot)> _streamSlots = [];
    private readonly Thread _thread;
    private long _pausedSince;
    private bool _isPaused;

    // Questions beyond the limit are refused until there is room again.
    private bool _isGraceOver;
    private long _nextSweep;
    private volatile bool _isStopping;
    private volatile DrainMode _drain;
    private bool _isDraining;
    private volatile bool _isDrained;

    private enum DrainMode
    {
        None,

        /// <summary>What is asked from now on is left to a successor.</summary>
        ForSuccessor,

        /// <summary>What has been asked so far is answered.</summary>
        WithoutSuccessor,
    }

    public Worker(ProxyShared shared, Listeners listeners, int number, int workers)
    {
        _shared = shared;
        _workers = workers;
        _listeners = listeners;
        _replies4 = new ReplySender(isV6: false, Marks.Of(default));
        _replies6 = listeners.Datagrams.Exists(d => d.IsV6) ? new ReplySender(isV6: true, Marks.Of(default)) : null;
        _upstreams = new UpstreamPool(Poller, shared.Time, Ids, OnAnswers);
        _lingering = new LingeringStreams(Poller, shared.Time);
        _held = new HeldAnswers(Release);
        _thread = new Thread(Run) { Name = $"dns-{number}", IsBackground = true };
    }

    public Poller Poller { get; } = new();

    public RandomIds Ids { get; } = new();

    public PendingTable Pending { get; } = new(MaximalPending);

    public WorkerCounters Counters { get; } = new();

    public QueryLog Log { get; } = new();

    /// <summary>Timestamp at the begin of this turn of the loop.</summary>
    public long Now { get; private set; }

    /// <summary>What ended the thread, if anything did.</summary>
    public Exception? Failure { get; private set; }

    public void Start() => _thread.Start();

    /// <summary>Answers that waited for these go out. From any thread; an empty list stands for all.</summary>
    public void Acknowledge(IReadOnlyList<long> ids)
    {
        _acknowledged.Enqueue(ids);
        _wakeUp.Signal();
    }

    /// <summary>Takes no more questions and ends what is under way. From any thread.</summary>
    /// <param name="areListenersKept">Somebody else has the listening sockets as well: what waits in them stays there.</param>
    public void Drain(bool areListenersKept)
    {
        _drain = areListenersKept ? DrainMode.ForSuccessor : DrainMode.WithoutSuccessor;
        _wakeUp.Signal();
    }

    /// <summary>Nothing is under way any more.</summary>
    public bool IsDrained => _isDrained;

    public void Stop()
    {
        _isStopping = true;
        _wakeUp.Signal();
        _thread.Join();
    }

    public void Dispose()
    {
        foreach (TcpSession session in _sessions.ToList())
            session.Close();
        _lingering.CloseAll();
        _upstreams.Dispose();
        _replies4.Dispose();
        _replies6?.Dispose();
        _questions.Dispose();
        _answers.Dispose();
        _listeners.Dispose();
        _wakeUp.Dispose();
        Log.Dispose();
        Poller.Dispose();
    }

    /// <summary>The connection is closed.</summary>
    public void Forget(TcpSession session)
    {
        _sessions.Remove(session);
        _resumed.Remove(session);
    }

    /// <summary>The connection has read questions that it can go on with, in the next turn.</summary>
    public void Resume(TcpSession session) => _resumed.Add(session);

    public void CloseUpstream(TcpStream stream) => _lingering.Close(stream, _shared.Options.LingerSeconds);

    /// <summary>Nobody waits for this answer any more.</summary>
    public void Abandon(int pending) => Pending.Remove(pending);

    private void Run()
    {
        try
        {
            Now = _shared.Time.GetTimestamp();
            Watch();
            while (!_isStopping)
            {
                Poller.Wait(TimeoutMilliseconds());
                Now = _shared.Time.GetTimestamp();
                ReleaseAcknowledged();
                ContinueSessions();
                ExpirePending();
                ReleaseOverdue();
                ResumeReading();
                Sweep();
                if (_drain != DrainMode.None)
                    ContinueDraining();
                Volatile.Write(ref Counters.AllocatedBytes, GC.GetAllocatedBytesForCurrentThread());
            }
        }
        catch (Exception e)
        {
            Failure = e;
        }
    }

    private void Watch()
    {
        Poller.Add(_wakeUp.Descriptor, PollEvents.Readable, new Callback(_ => _wakeUp.Clear()));
        foreach (ProxySocket socket in _listeners.Datagrams)
            _datagramSlots.Add((socket, Poller.Add(socket.Descriptor, PollEvents.Readable, new Callback(_ => OnQuestions(socket)))));
        foreach (ProxySocket socket in _listeners.Streams)
            _streamSlots.Add((socket, Poller.Add(socket.Descriptor, PollEvents.Readable, new Callback(_ => Accept(socket)))));
    }

    // As coarse as what waits allows: an idle proxy does not wake up ten times a second.
    private int TimeoutMilliseconds()
    {
        if (_resumed.Count > 0)
            return 0;
        if (_isPaused || _isDraining || !_held.IsEmpty)
            return 5;
        return Pending.Count > 0 || _sessions.Count > 0 ? 250 : 5000;
    }

    private unsafe int OnQuestions(ProxySocket socket)
    {
        if (MustWait())
        {
            SetReading(false);
            return 0;
        }

        int count = _questions.Receive(socket);
        for (int i = 0; i < count; i++)
        {
            Span<byte> message = _questions[i];
            if (message.IsEmpty || !_questions.TryReadDestination(i, out SocketAddress server))
                Counters.ParseErrors++;
            else
                OnQuestion(message, new Asked(_questions.Sender(i), server, null));
        }

        FlushReplies();
        return count;
    }

    private void OnAnswers(UpstreamSocket upstream)
    {
        int count = _answers.Receive(upstream.Socket);
        if (count < 0)
        {
            FailAll(upstream);
            return;
        }

        for (int i = 0; i < count; i++)
        {
            Span<byte> message = _answers[i];
            if (message.Length >= 2 && upstream.TryFind(BinaryPrimitives.ReadUInt16BigEndian(message), out int pending))
                OnAnswer(message, pending);
            else
                Counters.UnexpectedAnswers++;
        }

        FlushReplies();
    }

    private unsafe void Accept(ProxySocket listener)
    {
        byte* name = stackalloc byte[SocketAddress.MaximalBytes];
        for (int i = 0; i < QuestionsAtOnce; i++)
        {
            int length = SocketAddress.MaximalBytes;
            int fd = SocketCalls.Accept(listener.Descriptor, name, &length, SocketCalls.SOCK_NONBLOCK | SocketCalls.SOCK_CLOEXEC);
            if (fd < 0)
                return;
            ProxySocket socket = ProxySocket.Adopt(fd, listener.IsV6);
            SocketAddress client = SocketAddress.Read(new Span<byte>(name, SocketAddress.MaximalBytes));
            if (_sessions.Count >= MaximalSessions || CountOf(client.Address) >= MaximalSessionsEach)
            {
                Counters.Overloaded++;
                socket.ResetOnClose();
                socket.Dispose();
                continue;
            }

            _sessions.Add(new TcpSession(this, socket, client, socket.LocalAddress()));
        }
    }

    private int CountOf(IpAddress client)
    {
        int count = 0;
        foreach (TcpSession session in _sessions)
            count += session.Client.Address == client ? 1 : 0;
        return count;
    }

    private void ReleaseAcknowledged()
    {
        while (_acknowledged.TryDequeue(out IReadOnlyList<long>? ids))
        {
            if (ids.Count == 0)
                _held.ReleaseAll();
            foreach (long id in ids)
                _held.Release(id);
        }
    }

    private void ReleaseOverdue()
    {
        if (_held.IsEmpty)
            return;
        long delay = _shared.Options.MaximalDelayMilliseconds * _shared.Time.TimestampFrequency / 1000;
        Counters.UpdateTimeouts += _held.ReleaseOlder(Now - delay);
    }

    private void ContinueSessions()
    {
        if (_resumed.Count == 0)
            return;
        TcpSession[] resumed = [.. _resumed];
        _resumed.Clear();
        foreach (TcpSession session in resumed)
        {
            if (!session.IsClosed)
                session.Continue();
        }
    }

    private void Sweep()
    {
        if (Now < _nextSweep)
            return;
        _nextSweep = Now + _shared.Time.TimestampFrequency;
        _upstreams.Sweep();
        _lingering.Sweep();
        foreach (TcpSession session in _sessions.Where(s => s.IsIdle && _shared.Time.GetElapsedTime(s.LastUsed, Now) > IdleTimeout).ToList())
            session.Close();
    }

    // The datagrams wait in the kernel's buffer, which is the bound on how many can.
    private bool MustWait()
    {
        if (Pending.Count < Limit())
        {
            _isGraceOver = false;
            return false;
        }

        if (!_isPaused)
            _pausedSince = Now;
        _isGraceOver |= _shared.Time.GetElapsedTime(_pausedSince, Now).TotalMilliseconds >= _shared.Options.ConcurrencyGraceMilliseconds;
        return !_isGraceOver;
    }

    private void ResumeReading()
    {
        if (_isPaused && !MustWait())
            SetReading(true);
    }

    private void ContinueDraining()
    {
        if (!_isDraining)
        {
            _isDraining = true;
            StopListening();
        }

        // A connection that has just been accepted has a question on its way.
        foreach (TcpSession session in _sessions.Where(s => s.IsIdle && (s.HasAsked || _shared.Time.GetElapsedTime(s.LastUsed, Now) > FirstQuestionPatience)).ToList())
            session.Close();
        _isDrained = Pending.Count == 0 && _held.IsEmpty && _sessions.Count == 0;
    }

    private void StopListening()
    {
        if (_drain == DrainMode.WithoutSuccessor)
        {
            foreach ((ProxySocket socket, _) in _datagramSlots)
            {
                for (int i = 0; i < LastReceives && OnQuestions(socket) > 0; i++)
                {
                }
            }

            foreach ((ProxySocket socket, _) in _streamSlots)
                Accept(socket);
        }

        foreach ((ProxySocket socket, int slot) in _datagramSlots.Concat(_streamSlots))
        {
            Poller.Remove(slot, socket.Descriptor);
            socket.Dispose();
        }

        _datagramSlots.Clear();
        _streamSlots.Clear();
    }

    private void SetReading(bool isReading)
    {
        if (_isPaused != isReading)
            return;
        _isPaused = !isReading;
        foreach ((ProxySocket socket, int slot) in _datagramSlots)
            Poller.Change(slot, socket.Descriptor, isReading ? PollEvents.Readable : PollEvents.None);
    }

    private int Limit()
    {
        int limit = _shared.Options.ConcurrencyLimit;
        return limit <= 0 ? Pending.Capacity : Math.Clamp((limit + _workers - 1) / _workers, 1, Pending.Capacity);
    }

    private void FlushReplies()
    {
        _replies4.Flush();
        _replies6?.Flush();
    }

    private sealed class Callback(Action<PollEvents> action) : IPolled
    {
        public void OnReady(PollEvents events) => action(events);
    }
}
