// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Globalization;
using Axoneme.Network;

namespace Axoneme.Hosting;

/// <summary>Reads settings as typed values. What cannot be used is noted with its origin, and the fallback stands in until all is read.</summary>
public sealed class OptionReader(RawConfig raw)
{
    private readonly List<string> _problems = [];

    public IReadOnlyList<string> Problems => _problems;

    /// <summary>Null when the key is absent or empty.</summary>
    public string? Text(string name) => raw.Find(name);

    public bool Switch(string name, bool fallback) => raw.Find(name)?.ToLowerInvariant() switch
    {
        null => fallback,
        "true" or "1" or "t" => true,
        "false" or "0" or "f" => false,
        string other => Problem(name, $"'{other}' is neither true nor false", fallback),
    };

    public int Number(string name, int fallback, int minimum, int maximum) => Number(name, minimum, maximum) ?? fallback;

    /// <summary>Null when the key is absent.</summary>
    public int? Number(string name, int minimum, int maximum)
    {
        string? text = raw.Find(name);
        if (text is null)
            return null;
        if (!int.TryParse(text, NumberStyles.Integer, CultureInfo.InvariantCulture, out int value) || value < minimum || value > maximum)
            return Problem<int?>(name, $"'{text}' is not a number from {minimum} to {maximum}", null);
        return value;
    }

    public double Fraction(string name, double fallback)
    {
        string? text = raw.Find(name);
        if (text is null)
            return fallback;
        if (!double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) || value is not (>= 0 and <= 1))
            return Problem(name, $"'{text}' is not a number from 0 to 1", fallback);
        return value;
    }

    public string Choice(string name, string fallback, params ReadOnlySpan<string> allowed)
    {
        string text = raw.Find(name) ?? fallback;
        if (allowed.Contains(text))
            return text;
        return Problem(name, $"'{text}' is not one of {string.Join(", ", allowed.ToArray())}", fallback);
    }

    // Lists are separated by blanks or commas, as the chart writes them.
    public ImmutableArray<string> List(string name)
        => [.. (raw.Find(name) ?? "").Split([' ', ','], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)];

    /// <summary>A list of ports; the fallback alone when the key is absent.</summary>
    public ImmutableArray<ushort> Ports(string name, ushort fallback)
    {
        if (raw.Find(name) is null)
            return [fallback];
        var ports = ImmutableArray.CreateBuilder<ushort>();
        foreach (string text in List(name))
        {
            if (ushort.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ushort port) && port > 0)
                ports.Add(port);
            else
                Problem(name, $"'{text}' is not a port from 1 to {ushort.MaxValue}");
        }

        return ports.ToImmutable();
    }

    public ImmutableArray<IpPrefix> Prefixes(string name)
    {
        var prefixes = ImmutableArray.CreateBuilder<IpPrefix>();
        foreach (string text in List(name))
        {
            if (IpPrefix.TryParse(text, out IpPrefix prefix))
                prefixes.Add(prefix);
            else
                Problem(name, $"'{text}' is not an address block");
        }

        return prefixes.ToImmutable();
    }

    public IpPrefix? Prefix(string name, bool isV6)
    {
        string? text = raw.Find(name);
        if (text is null)
            return null;
        if (IpPrefix.TryParse(text, out IpPrefix prefix) && prefix.IsV6 == isV6)
            return prefix;
        return Problem<IpPrefix?>(name, $"'{text}' is not an {(isV6 ? "IPv6" : "IPv4")} prefix", null);
    }

    public TimeSpan Duration(string name, TimeSpan fallback)
    {
        string? text = raw.Find(name);
        if (text is null)
            return fallback;
        return GoDuration.TryParse(text, out TimeSpan value)
            ? value
            : Problem(name, $"'{text}' is not a duration such as 5s or 1m30s", fallback);
    }

    /// <summary>An address and a port to listen on, such as <c>0.0.0.0:10256</c>, <c>[::]:10256</c> or <c>:9962</c> (both families). Null when absent.</summary>
    public ListenAddress? Listen(string name)
    {
        string? text = raw.Find(name);
        if (text is null)
            return null;
        return ListenAddress.TryParse(text, out ListenAddress address)
            ? address
            : Problem<ListenAddress?>(name, $"'{text}' is not an address with a port such as 0.0.0.0:9962 or :9962", null);
    }

    /// <summary>Notes what is wrong with a setting.</summary>
    public void Problem(string name, string what) => _problems.Add($"{raw.OriginOf(name)}: {what}");

    private T Problem<T>(string name, string what, T fallback)
    {
        Problem(name, what);
        return fallback;
    }
}
