// SPDX-License-Identifier: Apache-2.0
using System.Globalization;

namespace Axoneme.Hosting;

/// <summary>Durations as config maps write them: <c>1h2m3.5s</c>, <c>100ms</c>; a bare number other than 0 has no unit and is refused.</summary>
public static class GoDuration
{
    public static bool TryParse(string text, out TimeSpan value)
    {
        value = default;
        if (text == "0")
            return true;
        if (text.Length == 0)
            return false;
        double seconds = 0;
        ReadOnlySpan<char> rest = text;
        while (!rest.IsEmpty)
        {
            int digits = rest.IndexOfAnyExcept("0123456789.");
            if (digits <= 0 || !double.TryParse(rest[..digits], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double number))
                return false;
            rest = rest[digits..];
            int letters = rest.IndexOfAny("0123456789");
            ReadOnlySpan<char> unit = letters < 0 ? rest : rest[..letters];
            double scale = unit switch
            {
                "h" => 3600,
                "m" => 60,
                "s" => 1,
                "ms" => 1e-3,
                "us" or "µs" => 1e-6,
                "ns" => 1e-9,
                _ => 0,
            };
            if (scale == 0)
                return false;
            seconds += number * scale;
            rest = rest[unit.Length..];
        }

        value = TimeSpan.FromSeconds(seconds);
        return true;
    }
}
