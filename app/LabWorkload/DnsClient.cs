// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Axoneme.LabWorkload;

/// <summary>Asks DNS servers, one try each, and tells what came back.</summary>
internal static class DnsClient
{
    private const int HeaderLength = 12;
    private const int RcodeRefused = 5;
    private const int RcodeNameError = 3;

    // What a stub resolver gives one try (resolv.conf(5), timeout).
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>One question; prints the addresses of the answer.</summary>
    /// <param name="name">Whole: nothing is added to it.</param>
    /// <param name="type">A or AAAA.</param>
    /// <param name="protocol">udp or tcp.</param>
    /// <param name="server">Null: the first one of resolv.conf.</param>
    public static async Task<int> AskAsync(string name, string type, string protocol, string? server)
    {
        List<IPAddress> addresses = await AskAsync(name, type == "AAAA", protocol == "tcp", ServerOf(server));
        Console.WriteLine(string.Join(' ', addresses));
        return addresses.Count > 0 ? 0 : 1;
    }

    /// <summary>
    /// Ever new questions, each over a new socket and tried once: half of them for IPv6, a fifth by TCP. Prints how many were answered and how many not.
    /// </summary>
    /// <param name="names">Asked for in turn; each has addresses of both families.</param>
    /// <param name="seconds">For how long.</param>
    /// <param name="perSecond">How often.</param>
    /// <param name="port">Of an echo server, which is connected to at each address that was learned; 0: none is.</param>
    public static async Task<int> KeepAskingAsync(string[] names, int seconds, int perSecond, int port)
    {
        IPAddress server = ServerOf(null);
        var pending = new List<Task<Outcome>>();
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; Stopwatch.GetElapsedTime(start).TotalSeconds < seconds; i++)
        {
            pending.Add(TryAsync(names[i % names.Length], isV6: i % 2 == 1, isTcp: i % 5 == 4, server, port));
            await Task.Delay(1000 / perSecond);
        }

        Outcome[] outcomes = await Task.WhenAll(pending);
        int lost = outcomes.Count(o => !o.IsAnswered), shut = outcomes.Count(o => o is { IsAnswered: true, Problem: not null });
        Console.WriteLine($"{outcomes.Length - lost} answered, {lost} lost{(port > 0 ? $", {shut} without connection" : "")}");
        foreach (Outcome outcome in outcomes.Where(o => o.Problem is not null))
            Console.WriteLine(outcome.Problem);
        return lost + shut == 0 ? 0 : 1;
    }

    /// <param name="IsAnswered">The question was.</param>
    /// <param name="Problem">What went wrong, with the question or afterwards; null: nothing.</param>
    private readonly record struct Outcome(bool IsAnswered, string? Problem);

    private static async Task<Outcome> TryAsync(string name, bool isV6, bool isTcp, IPAddress server, int port)
    {
        DateTime asked = DateTime.UtcNow;
        long start = Stopwatch.GetTimestamp();
        bool isAnswered = false;
        try
        {
            List<IPAddress> addresses = await AskAsync(name, isV6, isTcp, server);
            if (addresses.Count == 0)
                throw new IOException("an empty answer");
            isAnswered = true;
            if (port > 0)
            {
                using Socket socket = await Clients.ConnectAsync(addresses[0].ToString(), port);
                await Clients.ExchangeAsync(socket, 100, seed: 3);
            }

            return new Outcome(isAnswered, null);
        }
        catch (Exception e) when (e is SocketException or IOException or TimeoutException)
        {
            string what = $"{name} {(isV6 ? "AAAA" : "A")} by {(isTcp ? "TCP" : "UDP")}, asked at {asked:HH:mm:ss.fff}";
            return new Outcome(isAnswered, $"{what}, after {Stopwatch.GetElapsedTime(start).TotalMilliseconds:0} ms: {e.Message}");
        }
    }

    private static async Task<List<IPAddress>> AskAsync(string name, bool isV6, bool isTcp, IPAddress server)
    {
        byte[] question = Question(name, isV6);
        byte[] answer = isTcp ? await ByTcpAsync(question, server) : await ByUdpAsync(question, server);
        int rcode = answer.Length >= HeaderLength && answer.AsSpan(0, 2).SequenceEqual(question.AsSpan(0, 2))
            ? answer[3] & 15 : throw new IOException("the answer is to another question");
        return rcode switch
        {
            0 => Addresses(answer, question.Length, isV6),
            RcodeRefused => throw new IOException($"{name}: refused"),
            RcodeNameError => throw new IOException($"{name}: no such name"),
            _ => throw new IOException($"{name}: response code {rcode}"),
        };
    }

    private static async Task<byte[]> ByUdpAsync(byte[] question, IPAddress server)
    {
        using var socket = new Socket(server.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        await socket.ConnectAsync(server, 53);
        await socket.SendAsync(question);
        byte[] buffer = new byte[4096];
        using var limit = new CancellationTokenSource(Patience);
        int length = await Clients.ReceiveAsync(socket, buffer, limit.Token, Patience);
        return buffer[..length];
    }

    private static async Task<byte[]> ByTcpAsync(byte[] question, IPAddress server)
    {
        using Socket socket = await Clients.ConnectAsync(server.ToString(), 53);
        byte[] framed = [(byte)(question.Length >> 8), (byte)question.Length, .. question];
        await socket.SendAsync(framed);
        using var limit = new CancellationTokenSource(Patience);
        byte[] buffer = new byte[4096];
        int have = 0;
        while (have < 2 || have < 2 + BinaryPrimitives.ReadUInt16BigEndian(buffer))
        {
            int got = await Clients.ReceiveAsync(socket, buffer.AsMemory(have), limit.Token, Patience);
            have += got > 0 ? got : throw new IOException("the connection ended");
        }

        return buffer[2..have];
    }

    private static byte[] Question(string name, bool isV6)
    {
        var message = new List<byte>();
        Span<byte> id = stackalloc byte[2];
        Random.Shared.NextBytes(id);
        message.AddRange(id);
        message.AddRange([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        foreach (string label in name.TrimEnd('.').Split('.'))
        {
            message.Add((byte)label.Length);
            message.AddRange(Encoding.ASCII.GetBytes(label));
        }

        message.AddRange([0, 0, (byte)(isV6 ? 28 : 1), 0, 1]);
        return [.. message];
    }

    // The names of the records are pointers or names; either way the question was repeated before them.
    private static List<IPAddress> Addresses(byte[] answer, int at, bool isV6)
    {
        var found = new List<IPAddress>();
        for (int left = BinaryPrimitives.ReadUInt16BigEndian(answer.AsSpan(6)); left > 0; left--)
        {
            while (answer[at] is > 0 and < 0xC0)
                at += answer[at] + 1;
            at += answer[at] == 0 ? 1 : 2;
            int type = BinaryPrimitives.ReadUInt16BigEndian(answer.AsSpan(at));
            int length = BinaryPrimitives.ReadUInt16BigEndian(answer.AsSpan(at + 8));
            if (type == (isV6 ? 28 : 1))
                found.Add(new IPAddress(answer.AsSpan(at + 10, length)));
            at += 10 + length;
        }

        return found;
    }

    private static IPAddress ServerOf(string? server) => IPAddress.Parse(
        server ?? File.ReadLines("/etc/resolv.conf").Select(l => l.Split(' ')).First(w => w is ["nameserver", _])[1]);
}
