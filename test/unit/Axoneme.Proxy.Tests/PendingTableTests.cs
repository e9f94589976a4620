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
        int index = table.Add(Question("www.Example.com"));
        Assert.True(table.IsQuestionOf(index, Question("WWW.example.COM")));
        Assert.False(table.IsQuestionOf(index, Question("www.example.org")));
        Assert.False(table.IsQuestionOf(index, Question("ww.example.com")));
        Assert.False(table.IsQuestionOf(index, Question("www.example.com", DnsType.Aaaa)));
        // Types whose numbers are letters that differ in case only.
        index = table.Add(Question("a.example", 'A'));
        Assert.False(table.IsQuestionOf(index, Question("a.example", 'a')));
    }

    [Fact]
    public void Places_are_used_again_and_the_oldest_is_known()
    {
        var table = new PendingTable(3);
        int[] places = [table.Add(Question("a")), table.Add(Question("b")), table.Add(Question("c"))];
        Assert.Equal(PendingTable.None, table.Add(Question("d")));
        Assert.Equal(places[0], table.Oldest);
        table.Remove(places[1]);
        table.Remove(places[0]);
        Assert.Equal((places[2], 1), (table.Oldest, table.Count));
        int again = table.Add(Question("e"));
        Assert.Contains(again, places);
        table.Remove(places[2]);
        Assert.Equal(again, table.Oldest);
        table.Remove(again);
        Assert.Equal((PendingTable.None, 0), (table.Oldest, table.Count));
    }
}
