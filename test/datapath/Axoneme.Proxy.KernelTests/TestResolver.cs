// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Axoneme.Dns;
using Axoneme.Dns.Tests;
using Axoneme.Linux;

namespace Axoneme.Proxy.KernelTests;

/// <summary>
/// A server whose answers depend on the first label of the name: <c>many</c> has 200 addresses, <c>alias</c> a chain, <c>damaged</c> is cut within a record,
/// <c>late</c> waits for <see cref="Release"/>, <c>garbage</c> first has random damage, <c>otherid</c> and <c>otherquestion</c> first get a forged answer, <c>silent</c> none, <c>nothing</c> does not exist. Anything else has one address.
/// </summary>
// Its token is used until the last connection has ended.
#pragma warning disable CA1001
internal sealed class TestResolver : IDisposable
#pragma warning restore CA1001
{
    private readonly List<Socket> _sockets = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _released = new();

    public TestResolver(NetworkNamespace place, string address, int port = 53)
    {
        var at = new IPEndPoint(IPAddress.Parse(address), port);
        place.Run(() =>
        {
            foreach (bool isTcp in (bool[])[false, true])
            {
                var socket = new Socket(at.AddressFamily, isTcp ? SocketType.Stream : SocketType.Dgram, isTcp ? ProtocolType.Tcp : ProtocolType.Udp);
                socket.Bind(at);
                if (isTcp)
                    socket.Listen(64);
                _sockets.Add(socket);
            }
        });
        new Thread(() => ServeDatagrams(_sockets[0])) { IsBackground = true }.Start();
        _ = ServeStreamsAsync(_sockets[1]);
    }

    /// <summary>Who asked, by the name that was asked for.</summary>
    public ConcurrentDictionary<string, IPEndPoint> Askers { get; } = new();

    /// <summary>Ids of the queries that came by UDP, and their ports.</summary>
    public ConcurrentBag<(ushort Id, int Port)> Seen { get; } = [];

    /// <summary>Lets the answer to <c>late.example</c> go.</summary>
    public void Release() => _released.TrySetResult();

    /// <summary>Last part of the addresses in answers.</summary>
    public volatile byte Host = 1;

    public uint Ttl { get; set; } = 60;

    public void Dispose()
    {
        if (_stop.IsCancellationRequested)
            return;
        _stop.Cancel();
        _sockets.ForEach(s => s.Dispose());
    }

    private void ServeDatagrams(Socket socket)
    {
        byte[] buffer = new byte[65536];
        try
        {
            while (true)
            {
                EndPoint from = new IPEndPoint(socket.AddressFamily == AddressFamily.InterNetwork ? IPAddress.Any : IPAddress.IPv6Any, 0);
                int length = socket.ReceiveFrom(buffer, ref from);
                var asker = (IPEndPoint)from;
                byte[] query = buffer[..length];
                Seen.Add(((ushort)((query[0] << 8) | query[1]), asker.Port));
                byte[][] answers = [.. Answer(query, asker, isTcp: false)];
                if (Askers.ContainsKey("late.example") && !_released.Task.IsCompleted)
                    _ = _released.Task.ContinueWith(_ => socket.SendTo(answers[0], from), TaskScheduler.Default);
                else
                    Array.ForEach(answers, answer => socket.SendTo(answer, from));
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The test is over.
        }
    }

    private async Task ServeStreamsAsync(Socket listener)
    {
        try
        {
            while (true)
            {
                Socket client = await listener.AcceptAsync(_stop.Token);
                _ = ServeStreamAsync(client);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // The test is over.
        }
    }

    // Answers come in the reverse order of pairs of questions, where two have come.
    private async Task ServeStreamAsync(Socket client)
    {
        using var stream = new NetworkStream(client, ownsSocket: true);
        byte[] header = new byte[2];
        var kept = new List<byte[]>();
        try
        {
            while (await stream.ReadAtLeastAsync(header, 2, throwOnEndOfStream: false, _stop.Token) == 2)
            {
                byte[] query = new byte[(header[0] << 8) | header[1]];
                await stream.ReadExactlyAsync(query, _stop.Token);
                kept.InsertRange(0, Answer(query, (IPEndPoint)client.RemoteEndPoint!, isTcp: true));
                if (client.Available > 0 && kept.Count < 2)
                    continue;
                foreach (byte[] answer in kept)
                    await stream.WriteAsync(new[] { (byte)(answer.Length >> 8), (byte)answer.Length }.Concat(answer).ToArray(), _stop.Token);
                kept.Clear();
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
        {
            // The client or the test is gone.
        }
    }

    private IEnumerable<byte[]> Answer(byte[] query, IPEndPoint asker, bool isTcp)
    {
        byte[] text = new byte[DnsName.MaximalTextBytes];
        if (!DnsQuestion.TryRead(query, text, out DnsQuestion question))
            return [];
        string name = Encoding.ASCII.GetString(text, 0, question.NameLength);
        Askers[name] = asker;
        question.TryReadEdns(query, out DnsEdns? edns);
        return name.Split('.')[0] switch
        {
            "silent" => [],
            "otherid" => [With(Plain(question, name), id: (ushort)(question.Header.Id + 1), host: 66), Plain(question, name)],
            "otherquestion" => [With(Plain(question, "forged.example"), host: 66), Plain(question, name)],
            "garbage" => [Spoiled(Many(question, name, 400, edns)), Spoiled(Plain(question, name)), Plain(question, name)],
            "damaged" => [Plain(question, name)[..^3]],
            "nothing" => [new PacketWriter(question.Header.Id, 0x8183).Question(name, question.Type).ToArray()],
            "refusing" => [[query[0], query[1], 0x80, 5, 0, 0, 0, 0, 0, 0, 0, 0]],
            "alias" => [new PacketWriter(question.Header.Id, 0x8180).Question(name, question.Type).Alias(name, "cdn.example.net", 5)
                .Record(DnsSection.Answer, "cdn.example.net", DnsType.A, Ttl, [192, 0, 2, Host]).ToArray()],
            _ when question.Type == DnsType.Https => [new PacketWriter(question.Header.Id, 0x8180).Question(name, question.Type)
                .Service(DnsSection.Answer, name, 1, "", Ttl, (4, [192, 0, 2, Host])).ToArray()],
            "many" => [Many(question, name, isTcp ? ushort.MaxValue : DnsEdns.Limit(edns), edns)],
            _ => [Plain(question, name)],
        };
    }

    private byte[] Plain(in DnsQuestion question, string name)
    {
        PacketWriter answer = new PacketWriter(question.Header.Id, 0x8180).Question(name, question.Type);
        return (question.Type == DnsType.Aaaa
            ? answer.Record(DnsSection.Answer, name, DnsType.Aaaa, Ttl, IPAddress.Parse($"2001:db8::{Host:x}").GetAddressBytes())
            : answer.Record(DnsSection.Answer, name, DnsType.A, Ttl, [192, 0, 2, Host])).ToArray();
    }

    private byte[] Many(in DnsQuestion question, string name, int limit, DnsEdns? edns)
    {
        PacketWriter answer = new PacketWriter(question.Header.Id, 0x8180).Question(name, question.Type);
        for (int i = 0; i < 200; i++)
            answer.Record(DnsSection.Answer, name, DnsType.A, Ttl, [198, 18, 0, (byte)i]);
        byte[] whole = edns is null ? answer.ToArray() : answer.Opt(4096).ToArray();
        return whole.Length <= limit ? whole : new PacketWriter(question.Header.Id, 0x8380).Question(name, question.Type).ToArray();
    }

    // The id is right, so that the rest is looked at.
    private static byte[] Spoiled(byte[] answer)
    {
        for (int flips = Random.Shared.Next(1, 8); flips > 0; flips--)
            answer[Random.Shared.Next(2, answer.Length)] = (byte)Random.Shared.Next(256);
        return answer[..Random.Shared.Next(2, answer.Length + 1)];
    }

    private static byte[] With(byte[] answer, ushort? id = null, byte? host = null)
    {
        if (id is { } other)
            DnsReply.SetId(answer, other);
        if (host is { } last)
            answer[^1] = last;
        return answer;
    }
}
