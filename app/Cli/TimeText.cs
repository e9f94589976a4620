// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text;

namespace Axoneme.Cli;

/// <summary>Times and durations in the forms that these commands read and print.</summary>
internal static class TimeText
{
    private static readonly string[] InputFormats =
    [
        "yyyy-MM-dd", "yyyy-MM-dd'T'HHK", "yyyy-MM-dd'T'HH:mmK", "yyyy-MM-dd'T'HH:mm:ssK", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK",
        "ddd, dd MMM yyyy HH:mm:ss zzz",
    ];

    /// <summary>Sequences such as <c>1h43m</c>, <c>1.5s</c>, <c>300ms</c>.</summary>
    public static bool TryParseDuration(string text, out TimeSpan duration)
    {
        duration = default;
        ReadOnlySpan<char> rest = text;
        bool isNegative = rest.StartsWith("-");
        rest = rest.TrimStart("+-");
        if (rest.IsEmpty)
            return false;
        double nanoseconds = 0;
        while (!rest.IsEmpty && !rest.SequenceEqual("0"))
        {
            int digits = rest.IndexOfAnyExcept("0123456789.");
            if (digits <= 0 || !double.TryParse(rest[..digits], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double amount))
                return false;
            rest = rest[digits..];
            int letters = rest.IndexOfAny("0123456789.");
            ReadOnlySpan<char> unit = letters < 0 ? rest : rest[..letters];
            double factor = unit switch { "ns" => 1, "us" or "µs" => 1e3, "ms" => 1e6, "s" => 1e9, "m" => 60e9, "h" => 3600e9, _ => 0 };
            if (factor == 0)
                return false;
            nanoseconds += amount * factor;
            rest = rest[unit.Length..];
        }

        if (nanoseconds > TimeSpan.MaxValue.TotalNanoseconds / 2)
            return false;
        duration = TimeSpan.FromTicks((long)(nanoseconds / TimeSpan.NanosecondsPerTick)) * (isNegative ? -1 : 1);
        return true;
    }

    /// <summary>A duration means that long ago; otherwise one of the absolute forms, UTC unless it says so.</summary>
    public static bool TryParse(string text, DateTimeOffset now, out DateTimeOffset time)
    {
        if (TryParseDuration(text, out TimeSpan ago))
        {
            time = now - ago;
            return true;
        }

        return DateTimeOffset.TryParseExact(text, InputFormats, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out time);
    }

    /// <summary>In a layout by name; an unknown name is <c>StampMilli</c>. Always UTC.</summary>
    public static string Format(DateTimeOffset time, int nanoseconds, string layout)
    {
        DateTime utc = time.UtcDateTime;
        string second = utc.ToString("yyyy-MM-dd'T'HH:mm:ss", CultureInfo.InvariantCulture);
        return layout switch
        {
            "YearMonthDay" => utc.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture),
            "YearMonthDayHour" => utc.ToString("yyyy-MM-dd'T'HH'Z'", CultureInfo.InvariantCulture),
            "YearMonthDayHourMinute" => utc.ToString("yyyy-MM-dd'T'HH:mm'Z'", CultureInfo.InvariantCulture),
            "RFC3339" => $"{second}Z",
            "RFC3339Milli" => $"{second}.{nanoseconds / 1_000_000:000}Z",
            "RFC3339Micro" => $"{second}.{nanoseconds / 1000:000000}Z",
            "RFC3339Nano" => $"{second}{Fraction(nanoseconds)}Z",
            "RFC1123Z" => utc.ToString("ddd, dd MMM yyyy HH:mm:ss '+0000'", CultureInfo.InvariantCulture),
            _ => $"{utc.ToString("MMM", CultureInfo.InvariantCulture)} {utc.Day,2} {utc.ToString("HH:mm:ss", CultureInfo.InvariantCulture)}.{nanoseconds / 1_000_000:000}",
        };
    }

    /// <summary>As Go prints durations: <c>1h0m5s</c>, <c>3m0.5s</c>, <c>250ms</c>.</summary>
    public static string Format(TimeSpan duration)
    {
        if (duration == TimeSpan.Zero)
            return "0s";
        TimeSpan size = duration.Duration();
        var text = new StringBuilder(duration < TimeSpan.Zero ? "-" : "");
        if (size < TimeSpan.FromSeconds(1))
            return text.Append(size.TotalMilliseconds.ToString("0.####", CultureInfo.InvariantCulture)).Append("ms").ToString();
        if (size.TotalHours >= 1)
            text.Append((long)size.TotalHours).Append('h');
        if (size.TotalMinutes >= 1)
            text.Append(size.Minutes).Append('m');
        decimal seconds = (decimal)(size.Ticks % TimeSpan.TicksPerMinute) / TimeSpan.TicksPerSecond;
        return text.Append(seconds.ToString("0.#######", CultureInfo.InvariantCulture)).Append('s').ToString();
    }

    private static string Fraction(int nanoseconds)
        => nanoseconds == 0 ? "" : $".{nanoseconds:000000000}".TrimEnd('0');
}
