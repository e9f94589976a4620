// SPDX-License-Identifier: Apache-2.0
using System.Text;

namespace Axoneme.Dns.Tests;

public sealed class DnsMessageTests
{
    private readonly byte[] _name = new byte[DnsName.MaximalTextBytes];

    [Fact]
    public void A_question_is_read_in_lower_case()
    {
        DnsQuestion question = Read(Packets.Query());
        Assert.Equal("www.example.com", NameOf(question));
        Assert.Equal((0x1234, DnsType.A, DnsQuestion.InternetClass), (question.Header.Id, question.Type, question.Class));
        Assert.Equal(Packets.Query().Length, question.End);
        Assert.False(question.Header.IsResponse);
    }

    [Fact]
    public void The_root_is_an_empty_name() => Assert.Equal("", NameOf(Read(Packets.Query(""))));

    [Fact]
    public void Bytes_outside_of_host_names_are_escaped()
        => Assert.Equal(@"a\046b.\000\255\042_-9", NameOf(Read([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 65, 46, 66, 6, 0, 255, 42, 95, 45, 57, 0, 0, 1, 0, 1])));

    [Theory]
    [InlineData("www.example.com")]
    [InlineData("")]
    [InlineData(".")]
    [InlineData("www.example.com.")]
    [InlineData(@"a\046b.\000\255")]
    public void A_name_that_was_written_reads_the_same(string text)
    {
        Span<byte> wire = stackalloc byte[DnsName.MaximalBytes];
        int written = DnsName.Write(text, wire), offset = 0;
        Assert.True(DnsName.TryRead(wire[..written], ref offset, _name, out int length));
        Assert.Equal(written, offset);
        Assert.Equal(text.TrimEnd('.'), Encoding.ASCII.GetString(_name, 0, length));
    }

    [Theory]
    [InlineData("..")]
    [InlineData("a..b")]
    [InlineData(".a")]
    [InlineData(@"a\25")]
    [InlineData(@"a\256")]
    [InlineData("0123456789012345678901234567890123456789012345678901234567890123.com")]
    public void What_is_no_name_is_not_written(string text) => Assert.Equal(0, DnsName.Write(text, new byte[300]));

    [Fact]
    public void A_name_has_at_most_255_bytes()
    {
        string label = new('a', 63);
        Assert.Equal(255, DnsName.Write($"{label}.{label}.{label}.{label[..61]}", new byte[300]));
        Assert.Equal(0, DnsName.Write($"{label}.{label}.{label}.{label[..62]}", new byte[300]));
    }

    [Fact]
    public void Pointers_that_do_not_lead_backwards_are_malformed()
    {
        foreach (byte target in (byte[])[12, 13, 14, 200])
            Assert.False(DnsQuestion.TryRead([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xC0, target, 0, 1, 0, 1], _name, out _));
        // A label, then a pointer to that label: the loop that a check of single steps would miss.
        Assert.False(DnsQuestion.TryRead([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 65, 0xC0, 12, 0, 1, 0, 1], _name, out _));
    }

    [Theory]
    [InlineData(0x40)]
    [InlineData(0x80)]
    public void Labels_of_unknown_kind_are_malformed(byte kind)
        => Assert.False(DnsQuestion.TryRead([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, kind, 0, 0, 1, 0, 1], _name, out _));

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void There_is_exactly_one_question(byte count)
    {
        byte[] query = Packets.Query();
        query[5] = count;
        Assert.False(DnsQuestion.TryRead(query, _name, out _));
    }

    [Fact]
    public void A_message_that_is_cut_anywhere_is_malformed()
    {
        byte[] whole = Packets.Chain();
        Assert.True(IsWhole(whole));
        for (int length = 0; length < whole.Length; length++)
            Assert.False(IsWhole(whole.AsSpan(0, length)), $"cut at {length}");
    }

    [Fact]
    public void A_chain_gives_its_addresses_for_the_time_of_its_shortest_record()
    {
        byte[] message = Packets.Chain();
        var answer = new DnsAnswer(message, Read(message));
        var types = new List<ushort>();
        string? alias = null;
        while (answer.TryNext(out ushort type, out int offset, out _))
        {
            types.Add(type);
            if (type == DnsType.Cname)
            {
                Assert.True(DnsName.TryRead(message, ref offset, _name, out int length));
                alias = Encoding.ASCII.GetString(_name, 0, length);
            }
        }

        Assert.False(answer.IsMalformed);
        Assert.Equal([DnsType.Cname, DnsType.Cname, DnsType.A, DnsType.A, DnsType.Aaaa, DnsType.Txt], types);
        Assert.Equal(30u, answer.Ttl);
        Assert.Equal("a.cdn.example.net", alias);
    }

    [Fact]
    public void A_service_has_its_hints_and_the_additional_addresses_of_its_target()
    {
        byte[] message = Packets.Service();
        var answer = new DnsAnswer(message, Read(message));
        var types = new List<(ushort, bool)>();
        var hints = new List<int>();
        while (answer.TryNext(out ushort type, out int offset, out int length))
        {
            types.Add((type, answer.IsAdditional));
            if (type == DnsType.Https && DnsServiceBinding.TryRead(message, offset, length, out DnsServiceBinding binding))
                hints.AddRange([binding.V4.Length, binding.V6.Length]);
        }

        Assert.False(answer.IsMalformed);
        Assert.Equal([(DnsType.Cname, false), (DnsType.Https, false), (DnsType.Https, false), (DnsType.A, true)], types);
        Assert.Equal([8, 16, 4, 0], hints);
        Assert.Equal(10u, answer.Ttl);
    }

    [Theory]
    [InlineData(new byte[] { 0, 1, 0, 0, 4, 0, 4, 1, 2, 3, 4 }, 4)]
    [InlineData(new byte[] { 0, 0, 0, 0, 4, 0, 4, 1, 2, 3, 4 }, 0)]
    [InlineData(new byte[] { 0, 1, 0, 0, 4, 0, 3, 1, 2, 3 }, null)]
    [InlineData(new byte[] { 0, 1, 0, 0, 4, 0, 0 }, null)]
    [InlineData(new byte[] { 0, 1, 0, 0, 6, 0, 4, 1, 2, 3, 4 }, null)]
    [InlineData(new byte[] { 0, 1, 0, 0, 4, 0, 8, 1, 2, 3, 4 }, null)]
    [InlineData(new byte[] { 0, 1, 0, 0, 4, 0, 4, 1, 2, 3, 4, 0, 4, 0, 4, 1, 2, 3, 4 }, null)]
    [InlineData(new byte[] { 0, 1 }, null)]
    [InlineData(new byte[] { 0, 1, 3, 65 }, null)]
    public void A_service_is_read_as_the_standard_has_it_or_not_at_all(byte[] data, int? v4Bytes)
    {
        byte[] message = new PacketWriter(1, DnsHeader.ResponseFlag).Question("a.example", DnsType.Https)
            .Record(DnsSection.Answer, "a.example", DnsType.Https, 1, data).ToArray();
        var answer = new DnsAnswer(message, Read(message));
        Assert.True(answer.TryNext(out ushort type, out int offset, out int length));
        Assert.Equal(v4Bytes is null ? 0 : DnsType.Https, type);
        if (DnsServiceBinding.TryRead(message, offset, length, out DnsServiceBinding binding))
            Assert.Equal(v4Bytes, binding.V4.Length);
    }

    [Fact]
    public void Records_of_wrong_length_or_class_give_no_address()
    {
        byte[] message = new PacketWriter(1, DnsHeader.ResponseFlag).Question("a.example", DnsType.A)
            .Record(DnsSection.Answer, "a.example", DnsType.A, 1, [1, 2, 3])
            .Record(DnsSection.Answer, "a.example", DnsType.Aaaa, 1, [1, 2, 3, 4])
            .Record(DnsSection.Answer, "a.example", DnsType.A, 1, [1, 2, 3, 4], @class: 3)
            .Record(DnsSection.Answer, "a.example", DnsType.Cname, 1, [0, 0])
            .ToArray();
        var answer = new DnsAnswer(message, Read(message));
        int records = 0;
        for (; answer.TryNext(out ushort type, out _, out _); records++)
            Assert.Equal(0, type);
        Assert.Equal(4, records);
        Assert.Equal(uint.MaxValue, answer.Ttl);
    }

    [Fact]
    public void A_ttl_with_the_top_bit_is_none()
    {
        byte[] message = new PacketWriter(1, DnsHeader.ResponseFlag).Question("a.example", DnsType.A)
            .Record(DnsSection.Answer, "a.example", DnsType.A, 0x8000_0001, [1, 2, 3, 4]).ToArray();
        var answer = new DnsAnswer(message, Read(message));
        Assert.True(answer.TryNext(out _, out _, out _));
        Assert.Equal(0u, answer.Ttl);
    }

    [Fact]
    public void A_refusal_has_the_querys_id_question_and_flags()
    {
        byte[] query = Packets.Query();
        byte[] reply = new byte[query.Length + DnsReply.Overhead];
        int length = DnsReply.Write(query, Read(query), edns: null, DnsRcode.Refused, reply);
        Assert.Equal(query.Length, length);
        DnsQuestion question = Read(reply.AsSpan(0, length));
        Assert.Equal(0x1234, question.Header.Id);
        Assert.Equal(DnsRcode.Refused, question.Header.Rcode);
        Assert.Equal(0x8185, question.Header.Flags);
        Assert.True(query.AsSpan(12).SequenceEqual(reply.AsSpan(12, length - 12)));
    }

    [Fact]
    public void A_refusal_of_an_EDNS_query_has_OPT()
    {
        byte[] query = Packets.QueryWithEdns();
        DnsQuestion asked = Read(query);
        Assert.True(asked.TryReadEdns(query, out DnsEdns? edns));
        Assert.Equal(new DnsEdns(1232, DnsEdns.DnssecOkFlag), edns);
        byte[] reply = new byte[query.Length + DnsReply.Overhead];
        int length = DnsReply.Write(query, asked, edns, DnsRcode.NameError, reply);
        DnsQuestion question = Read(reply.AsSpan(0, length));
        Assert.Equal(DnsRcode.NameError, question.Header.Rcode);
        Assert.True(question.TryReadEdns(reply.AsSpan(0, length), out DnsEdns? own));
        Assert.Equal(new DnsEdns(1232, DnsEdns.DnssecOkFlag), own);
    }

    [Theory]
    [InlineData(null, 512)]
    [InlineData((ushort)0, 512)]
    [InlineData((ushort)4096, 4096)]
    public void A_datagram_holds_at_least_512_bytes(ushort? size, int limit)
        => Assert.Equal(limit, DnsEdns.Limit(size is { } s ? new DnsEdns(s, 0) : null));

    [Fact]
    public void A_truncated_answer_keeps_question_and_OPT()
    {
        byte[] answer = Packets.Chain();
        DnsQuestion question = Read(answer);
        Assert.True(question.TryReadEdns(answer, out DnsEdns? edns));
        int length = DnsReply.Truncate(answer, question, edns);
        DnsQuestion cut = Read(answer.AsSpan(0, length));
        Assert.True(cut.Header.IsTruncated);
        Assert.Equal(0, cut.Header.AnswerCount);
        Assert.True(cut.TryReadEdns(answer.AsSpan(0, length), out DnsEdns? kept));
        Assert.Equal(edns, kept);
    }

    [Fact]
    public void A_format_error_has_a_header_only()
    {
        byte[] reply = new byte[DnsHeader.Bytes];
        Assert.True(DnsHeader.TryRead(Packets.Query(), out DnsHeader header));
        Assert.Equal(DnsHeader.Bytes, DnsReply.WriteFormatError(header, reply));
        Assert.True(DnsHeader.TryRead(reply, out DnsHeader answer));
        Assert.Equal(new DnsHeader(0x1234, 0x8101, 0, 0, 0, 0), answer);
    }

    private bool IsWhole(ReadOnlySpan<byte> message)
        => DnsQuestion.TryRead(message, _name, out DnsQuestion question) && question.TryReadEdns(message, out _);

    private DnsQuestion Read(ReadOnlySpan<byte> message)
    {
        Assert.True(DnsQuestion.TryRead(message, _name, out DnsQuestion question));
        return question;
    }

    private string NameOf(in DnsQuestion question) => Encoding.ASCII.GetString(_name, 0, question.NameLength);
}
