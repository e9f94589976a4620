// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Cli.Tests;

public sealed class TextTests
{
    [Fact]
    public void Columns_are_as_wide_as_their_cells_and_part_at_rows_without_them()
    {
        var output = new StringWriter();
        new TabWriter(output).Row("a", "bb", "c").Row("aaaa", "b", "c").Row("one cell").Row("x", "y").Flush();
        Assert.Equal("a      bb   c\naaaa   b    c\none cell\nx   y\n", output.ToString());
    }

    [Theory]
    [InlineData("90s", 90)]
    [InlineData("1h43m", 6180)]
    [InlineData("1.5m", 90)]
    [InlineData("0", 0)]
    [InlineData("1500ms", 1.5)]
    [InlineData("-2s", -2)]
    public void Durations_are_sums_of_units(string text, double seconds)
    {
        Assert.True(TimeText.TryParseDuration(text, out TimeSpan duration));
        Assert.Equal(seconds, duration.TotalSeconds);
    }

    [Theory]
    [InlineData("")]
    [InlineData("5")]
    [InlineData("h")]
    [InlineData("1d")]
    [InlineData("1s2")]
    [InlineData("9999999999999h")]
    public void Other_texts_are_no_durations(string text) => Assert.False(TimeText.TryParseDuration(text, out _));

    [Theory]
    [InlineData("00:00:00", "0s")]
    [InlineData("01:30:00", "1h30m0s")]
    [InlineData("00:03:00.5", "3m0.5s")]
    [InlineData("00:00:00.25", "250ms")]
    public void Durations_print_as_they_are_read(string value, string expected)
        => Assert.Equal(expected, TimeText.Format(TimeSpan.Parse(value)));

    [Theory]
    [InlineData("StampMilli", "Mar  4 05:06:07.123")]
    [InlineData("RFC3339", "2026-03-04T05:06:07Z")]
    [InlineData("RFC3339Nano", "2026-03-04T05:06:07.12345Z")]
    [InlineData("RFC1123Z", "Wed, 04 Mar 2026 05:06:07 +0000")]
    [InlineData("nonsense", "Mar  4 05:06:07.123")]
    public void Times_print_in_named_layouts(string layout, string expected)
        => Assert.Equal(expected, TimeText.Format(new DateTimeOffset(2026, 3, 4, 6, 6, 7, TimeSpan.FromHours(1)), 123_450_000, layout));
}
