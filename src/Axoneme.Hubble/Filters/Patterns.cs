// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Axoneme.Network;

namespace Axoneme.Hubble.Filters;

/// <summary>Forms in which filters give names, ports and codes.</summary>
internal static class Patterns
{
    private const string NameCharacters = "[-.0-9a-z]*";

    /// <summary>An unanchored expression from a client: matched in linear time, whatever it is.</summary>
    public static Regex Expression(string pattern, string field)
    {
        try
        {
            return new Regex(pattern, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            throw new FormatException($"invalid {field} filter '{pattern}': {e.Message}", e);
        }
    }

    /// <summary>A DNS name in which * stands for any part.</summary>
    public static Regex Fqdn(string pattern)
    {
        string name = pattern.ToLowerInvariant().Trim();
        if (name.EndsWith('.'))
            name = name[..^1];
        if (name.Length == 0 || name.Any(c => !(char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '_' or '.' or '*')))
            throw new FormatException($"invalid fqdn filter '{pattern}'");
        return Glob(name);
    }

    /// <summary><c>[cluster/]node</c> with *; without a cluster any cluster, without a node any node.</summary>
    public static Regex NodeName(string pattern)
    {
        string[] parts = pattern.ToLowerInvariant().Split('/');
        if (parts.Length > 2 || pattern.Length == 0 || parts.Any(p => p.Any(c => !(char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '*'))))
            throw new FormatException($"invalid node_name filter '{pattern}'");
        string cluster = parts.Length == 1 ? "*" : parts[0].Length == 0 ? "default" : parts[0];
        string node = parts[^1].Length == 0 ? "*" : parts[^1];
        return Glob($"{cluster}/{node}");
    }

    public static uint Port(string text)
        => ushort.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ushort port)
            ? port : throw new FormatException($"invalid port filter '{text}': a port is a number up to 65535");

    /// <summary><c>404</c>, or all that begin alike: <c>4+</c>, <c>40+</c>.</summary>
    public static Func<uint, bool> HttpStatus(string pattern)
    {
        bool isPrefix = pattern.EndsWith('+');
        string digits = isPrefix ? pattern[..^1] : pattern;
        if (digits.Length == 0 || digits.Length > (isPrefix ? 2 : 3) || (!isPrefix && digits.Length != 3)
            || digits[0] is < '1' or > '5' || !digits.All(char.IsAsciiDigit))
            throw new FormatException($"invalid http_status_code filter '{pattern}': such as 404, 40+ or 4+");
        return isPrefix
            ? code => code.ToString(CultureInfo.InvariantCulture).StartsWith(digits, StringComparison.Ordinal)
            : code => code.ToString(CultureInfo.InvariantCulture) == digits;
    }

    public static string PathOf(string url)
    {
        int scheme = url.IndexOf("://", StringComparison.Ordinal);
        int start = scheme < 0 ? 0 : url.IndexOf('/', scheme + 3);
        if (start < 0)
            return "";
        int end = url.AsSpan(start).IndexOfAny('?', '#');
        return end < 0 ? url[start..] : url.Substring(start, end);
    }

    private static Regex Glob(string pattern)
    {
        var expression = new StringBuilder("^");
        foreach (char c in pattern)
            expression.Append(c == '*' ? NameCharacters : Regex.Escape(c.ToString()));
        return new Regex(expression.Append('$').ToString(), RegexOptions.NonBacktracking | RegexOptions.CultureInvariant | RegexOptions.IgnoreCase);
    }
}

/// <summary>An address or a block of addresses.</summary>
internal readonly record struct AddressMatch(IpPrefix Prefix)
{
    public static AddressMatch Parse(string text)
        => IpPrefix.TryParse(text, out IpPrefix prefix, allowBareAddress: true)
            ? new AddressMatch(prefix) : throw new FormatException($"invalid IP address or CIDR filter '{text}'");

    public bool Matches(string? address) => IpAddress.TryParse(address, out IpAddress parsed) && Prefix.Contains(parsed);
}

/// <summary><c>[namespace/]prefix</c>. Without a slash the namespace is <c>default</c>; an empty namespace or name stands for all.</summary>
internal readonly record struct NameMatch(string Namespace, string Prefix)
{
    public static NameMatch Parse(string text, string field)
    {
        if (text.Length == 0)
            throw new FormatException($"invalid {field} filter: the name is empty");
        int slash = text.IndexOf('/', StringComparison.Ordinal);
        return slash < 0 ? new NameMatch("default", text) : new NameMatch(text[..slash], text[(slash + 1)..]);
    }

    public bool Matches(string? ns, string? name)
    {
        if (string.IsNullOrEmpty(ns) && string.IsNullOrEmpty(name))
            return false;
        return (Namespace.Length == 0 || Namespace == ns) && (Prefix.Length == 0 || name?.StartsWith(Prefix, StringComparison.Ordinal) == true);
    }
}
