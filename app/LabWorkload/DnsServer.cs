// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Axoneme.LabWorkload;

/// <summary>Answers A and AAAA questions from a zone file that others keep: a line "name address [ttl]" for each record.</summary>
internal static class DnsServer
{
    public const string DefaultZone = "/run/axoneme/dns-zone";

    private const int HeaderLength = 12;
    private const ushort TypeA = 1;
    private const ushort TypeAaaa = 28;
    private const uint TimeToLiveSeconds = 5;

    public static Task<int> RunAsync(string zoneFile)
    {
        var zone = new Zone(zoneFile);
        return Servers.FirstAsync(ServeUdpAsync(zone), Servers.AcceptAsync(Servers.ListenTcp(53), c => ServeTcpAsync(c, zone)));
    }

    private static async Task ServeUdpAsync(Zone zone)
    {
        using Socket socket = Servers.BindUdp(53);
        byte[] buffer = new byte[4096];
        while (true)
        {
            SocketReceiveFromResult from = await socket.ReceiveFromAsync(buffer, new IPEndPoint(IPAddress.IPv6Any, 0));
            if (Answer(buffer.AsSpan(0, from.ReceivedBytes), zone) is { } answer)
                await socket.SendToAsync(answer, from.RemoteEndPoint);
        }
    }

    private static async Task ServeTcpAsync(Socket connection, Zone zone)
    {
        await using var stream = new NetworkStream(connection);
        byte[] length = new byte[2];
        while (await stream.ReadAtLeastAsync(length, 2, throwOnEndOfStream: false) == 2)
        {
            byte[] query = new byte[BinaryPrimitives.ReadUInt16BigEndian(length)];
            await stream.ReadExactlyAsync(query);
            if (Answer(query, zone) is not { } answer)
                return;
            BinaryPrimitives.WriteUInt16BigEndian(length, (ushort)answer.Length);
            await stream.WriteAsync(length);
            await stream.WriteAsync(answer);
        }
    }

    /// <summary>Returns null for what is no question.</summary>
    internal static byte[]? Answer(ReadOnlySpan<byte> query, Zone zone)
    {
        if (query.Length < HeaderLength || (query[2] & 0x80) != 0 || BinaryPrimitives.ReadUInt16BigEndian(query[4..]) != 1
            || ReadName(query, out int end) is not { } name || end + 4 > query.Length)
            return null;
        ushort type = BinaryPrimitives.ReadUInt16BigEndian(query[end..]);
        IReadOnlyList<(IPAddress Address, uint Ttl)>? addresses = zone.Find(name);
        (IPAddress Address, uint Ttl)[] fitting = [.. (addresses ?? []).Where(a => a.Address.AddressFamily == (type == TypeAaaa ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork))];
        if (type is not (TypeA or TypeAaaa))
            fitting = [];
        var answer = new List<byte>(512);
        answer.AddRange(query[..2]);
        // Response, authoritative, recursion as asked and available; NXDOMAIN (3) only where no type of the name exists.
        answer.AddRange([(byte)(0x84 | (query[2] & 1)), (byte)(0x80 | (addresses is null ? 3 : 0))]);
        answer.AddRange([0, 1, 0, (byte)fitting.Length, 0, 0, 0, 0]);
        answer.AddRange(query[HeaderLength..(end + 4)]);
        foreach ((IPAddress address, uint ttl) in fitting)
        {
            // The name is a pointer to the question's.
            answer.AddRange([0xC0, HeaderLength, (byte)(type >> 8), (byte)type, 0, 1]);
            answer.AddRange([(byte)(ttl >> 24), (byte)(ttl >> 16), (byte)(ttl >> 8), (byte)ttl]);
            byte[] bytes = address.GetAddressBytes();
            answer.AddRange([0, (byte)bytes.Length, .. bytes]);
        }

        return [.. answer];
    }

    private static string? ReadName(ReadOnlySpan<byte> query, out int end)
    {
        var name = new StringBuilder();
        int at = HeaderLength;
        end = 0;
        while (at < query.Length && query[at] is > 0 and < 64)
        {
            int length = query[at];
            if (at + 1 + length >= query.Length)
                return null;
            name.Append(Encoding.ASCII.GetString(query.Slice(at + 1, length)).ToLowerInvariant()).Append('.');
            at += 1 + length;
        }

        if (at >= query.Length || query[at] != 0)
            return null;
        end = at + 1;
        return name.ToString().TrimEnd('.');
    }

    /// <summary>The zone file's content, read again whenever the file was replaced.</summary>
    internal sealed class Zone(string file)
    {
        private readonly Lock _lock = new();
        private DateTime _stamp;
        private Dictionary<string, List<(IPAddress Address, uint Ttl)>> _names = [];

        public IReadOnlyList<(IPAddress Address, uint Ttl)>? Find(string name)
        {
            lock (_lock)
            {
                DateTime stamp = File.GetLastWriteTimeUtc(file);
                if (stamp != _stamp)
                    (_names, _stamp) = (Load(), stamp);
                return _names.GetValueOrDefault(name);
            }
        }

        private Dictionary<string, List<(IPAddress Address, uint Ttl)>> Load()
        {
            var names = new Dictionary<string, List<(IPAddress Address, uint Ttl)>>();
            foreach (string line in File.Exists(file) ? File.ReadLines(file) : [])
                if (line.Split(' ') is [var name, var text, .. var rest] && IPAddress.TryParse(text, out IPAddress? address))
                {
                    if (!names.TryGetValue(name, out List<(IPAddress Address, uint Ttl)>? list))
                        names[name] = list = [];
                    // A datagram holds about this many of the longer records within 512 bytes.
                    if (list.Count < 12)
                        list.Add((address, rest is [var ttl] && uint.TryParse(ttl, out uint seconds) ? seconds : TimeToLiveSeconds));
                }

            return names;
        }
    }
}
