// SPDX-License-Identifier: Apache-2.0
using Axoneme.Dns;
using Axoneme.Dns.Tests;
using Axoneme.Proxy.Serving;

namespace Axoneme.Proxy.Tests;

public sealed class PendingTableTests
{
    private static byte[] Question(string name, ushort type = DnsType.A) => Packets.Query(name, type)[DnsHeader.Bytes..];

    [Fact]
    public void An_answer_has_to_repeat_the_question_but_for_the_case_of_letters()
    {
        var table = new PendingTable(4);
        int index = table.Add(7, Question("www.Example.com"));
        Assert.True(table.IsQuestionOf(index, Question("WWW.example.COM")));
        Assert.False(table.IsQuestionOf(index, Question("www.example.org")));
        Assert.False(table.IsQuestionOf(index, Question("ww.example.com")));
        Assert.False(table.IsQuestionOf(index, Question("www.example.com", DnsType.Aaaa)));
        // Types whose numbers are letters that differ in case only.
        index = table.Add(7, Question("a.example", 'A'));
        Assert.False(table.IsQuestionOf(index, Question("a.example", 'a')));
    }

    [Fact]
    public void Places_are_used_again_and_the_oldest_is_known()
    {
        var table = new PendingTable(3);
        int[] places = [table.Add(7, Question("a")), table.Add(7, Question("b")), table.Add(7, Question("c"))];
        Assert.Equal(PendingTable.None, table.Add(7, Question("d")));
        Assert.Equal(places[0], table.Oldest);
        table.Remove(places[1]);
        table.Remove(places[0]);
        Assert.Equal((places[2], 1), (table.Oldest, table.Count));
        int again = table.Add(7, Question("e"));
        Assert.Contains(again, places);
        table.Remove(places[2]);
        Assert.Equal(again, table.Oldest);
        table.Remove(again);
        Assert.Equal((PendingTable.None, 0), (table.Oldest, table.Count));
    }

    [Fact]
    public void Places_are_counted_by_endpoint()
    {
        var table = new PendingTable(3);
        int first = table.Add(7, Question("a"));
        table.Add(7, Question("b"));
        table.Add(8, Question("c"));
        Assert.Equal((2, 1, 0), (table.CountOf(7), table.CountOf(8), table.CountOf(9)));
        table.Remove(first);
        Assert.Equal((1, 1), (table.CountOf(7), table.CountOf(8)));
    }
}
