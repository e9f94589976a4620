// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;

namespace Axoneme.Dns.Tests;

/// <summary>Writes messages the plain way, for tests.</summary>
internal sealed class PacketWriter
{
    private readonly List<byte> _bytes = [];
    private readonly ushort[] _counts = new ushort[4];
    private readonly Dictionary<string, int> _names = [];
    private readonly ushort _id;
    private readonly ushort _flags;

    public PacketWriter(ushort id, ushort flags)
    {
        _id = id;
        _flags = flags;
        _bytes.AddRange(new byte[DnsHeader.Bytes]);
    }

    public PacketWriter Question(string name, ushort type, ushort @class = 1)
    {
        _counts[0]++;
        return Name(name).Word(type).Word(@class);
    }

    public PacketWriter Record(DnsSection section, string owner, ushort type, uint ttl, byte[] data, ushort @class = 1)
    {
        _counts[1 + (int)section]++;
        Name(owner).Word(type).Word(@class).Word((ushort)(ttl >> 16)).Word((ushort)ttl).Word((ushort)data.Length);
        _bytes.AddRange(data);
        return this;
    }

    // Its data is a name, which may be compressed, so that the length is known only afterwards.
    public PacketWriter Alias(string owner, string target, uint ttl)
    {
        _counts[1]++;
        Name(owner).Word(DnsType.Cname).Word(1).Word((ushort)(ttl >> 16)).Word((ushort)ttl).Word(0);
        int at = _bytes.Count;
        Name(target);
        _bytes[at - 1] = (byte)(_bytes.Count - at);
        return this;
    }

    // The target of a service is never compressed (RFC 9460, 2.2).
    public PacketWriter Service(DnsSection section, string owner, ushort priority, string target, uint ttl, params (ushort Key, byte[] Value)[] parameters)
    {
        var data = new List<byte> { (byte)(priority >> 8), (byte)priority };
        foreach (string label in target.Split('.', StringSplitOptions.RemoveEmptyEntries))
            data.AddRange([(byte)label.Length, .. label.Select(c => (byte)c)]);
        data.Add(0);
        foreach ((ushort key, byte[] value) in parameters)
            data.AddRange([(byte)(key >> 8), (byte)key, (byte)(value.Length >> 8), (byte)value.Length, .. value]);
        return Record(section, owner, DnsType.Https, ttl, [.. data]);
    }

    public PacketWriter Opt(ushort udpSize, uint extended = 0) => Record(DnsSection.Additional, "", DnsType.Opt, extended, [], udpSize);

    public byte[] ToArray()
    {
        byte[] packet = [.. _bytes];
        BinaryPrimitives.WriteUInt16BigEndian(packet, _id);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), _flags);
        for (int i = 0; i < _counts.Length; i++)
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4 + (i * 2)), _counts[i]);
        return packet;
    }

    private PacketWriter Name(string name)
    {
        while (name.Length > 0)
        {
            if (_names.TryGetValue(name, out int earlier))
                return Word((ushort)(0xC000 | earlier));
            _names.TryAdd(name, _bytes.Count);
            int dot = name.IndexOf('.', StringComparison.Ordinal);
            string label = dot < 0 ? name : name[..dot];
            _bytes.Add((byte)label.Length);
            _bytes.AddRange(label.Select(c => (byte)c));
            name = dot < 0 ? "" : name[(dot + 1)..];
        }

        _bytes.Add(0);
        return this;
    }

    private PacketWriter Word(ushort value)
    {
        _bytes.Add((byte)(value >> 8));
        _bytes.Add((byte)value);
        return this;
    }
}

internal static class Packets
{
    public static byte[] Query(string name = "www.Example.com", ushort type = DnsType.A, ushort id = 0x1234)
        => new PacketWriter(id, DnsHeader.RecursionDesiredFlag).Question(name, type).ToArray();

    public static byte[] QueryWithEdns(ushort size = 1232)
        => new PacketWriter(7, DnsHeader.RecursionDesiredFlag).Question("www.example.com", DnsType.Aaaa).Opt(size, DnsEdns.DnssecOkFlag).ToArray();

    public static byte[] Chain()
        => new PacketWriter(0x1234, DnsHeader.ResponseFlag)
            .Question("www.example.com", DnsType.A)
            .Alias("www.example.com", "edge.cdn.example.net", 30)
            .Alias("edge.cdn.example.net", "a.cdn.example.net", 300)
            .Record(DnsSection.Answer, "a.cdn.example.net", DnsType.A, 60, [192, 0, 2, 1])
            .Record(DnsSection.Answer, "a.cdn.example.net", DnsType.A, 60, [192, 0, 2, 2])
            .Record(DnsSection.Answer, "a.cdn.example.net", DnsType.Aaaa, 90, [.. Enumerable.Range(0, 16).Select(i => (byte)i)])
            .Record(DnsSection.Answer, "a.cdn.example.net", DnsType.Txt, 5, [3, 65, 66, 67])
            .Record(DnsSection.Authority, "example.net", DnsType.Ns, 1, [0])
            .Record(DnsSection.Additional, "ns.example.net", DnsType.A, 1, [192, 0, 2, 99])
            .Opt(4096)
            .ToArray();

    public static byte[] Service()
        => new PacketWriter(0x1234, DnsHeader.ResponseFlag)
            .Question("www.example.com", DnsType.Https)
            .Alias("www.example.com", "edge.example.net", 30)
            .Service(DnsSection.Answer, "edge.example.net", 1, "Svc.example.net", 20, (1, [2, (byte)'h', (byte)'2']), (4, [192, 0, 2, 1, 192, 0, 2, 2]),
                (6, [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]))
            .Service(DnsSection.Answer, "edge.example.net", 2, "", 300, (4, [192, 0, 2, 3]))
            .Record(DnsSection.Additional, "svc.example.net", DnsType.A, 10, [192, 0, 2, 4])
            .Record(DnsSection.Additional, "ns.example.net", DnsType.A, 1, [192, 0, 2, 99])
            .ToArray();
}
