// SPDX-License-Identifier: Apache-2.0
using System.Text.RegularExpressions;

namespace Axoneme.EmbeddedApi.Objects;

/// <summary>The grammars of names, labels and quantities. Each check returns null or the problem in the API's words.</summary>
internal static partial class Names
{
    private const string LabelPattern = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";

    public static string? DnsLabelProblem(string name)
        => name.Length > 63 ? "must be no more than 63 characters"
            : DnsLabel().IsMatch(name) ? null
            : "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
              + $"alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{LabelPattern}')";

    public static string? DnsSubdomainProblem(string name)
        => name.Length > 253 ? "must be no more than 253 characters"
            : DnsSubdomain().IsMatch(name) ? null
            : "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
              + $"with an alphanumeric character (e.g. 'example.com', regex used for validation is '{LabelPattern}(\\.{LabelPattern})*')";

    public static string? ServiceNameProblem(string name)
        => name.Length > 63 ? "must be no more than 63 characters"
            : Dns1035Label().IsMatch(name) ? null
            : "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end "
              + "with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

    public static string? PathSegmentProblem(string name)
        => name is "." or ".." ? $"may not be '{name}'"
            : name.Contains('/') ? "may not contain '/'"
            : name.Contains('%') ? "may not contain '%'" : null;

    public static string? PortNameProblem(string name)
        => name.Length > 15 ? "must be no more than 15 characters"
            : PortCharacters().IsMatch(name) && name.Any(char.IsAsciiLetterLower) && !name.Contains("--") ? null
            : !PortCharacters().IsMatch(name)
                ? "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
                : name.Contains("--") ? "must not contain consecutive hyphens" : "must contain at least one letter (a-z)";

    public static string? QualifiedNameProblem(string key)
    {
        int slash = key.IndexOf('/');
        if (slash >= 0 && (slash == 0 || DnsSubdomainProblem(key[..slash]) is not null))
            return "prefix part " + (slash == 0 ? "must be non-empty" : DnsSubdomainProblem(key[..slash]));
        string name = key[(slash + 1)..];
        return name.Length == 0 ? "name part must be non-empty"
            : name.Length > 63 ? "name part must be no more than 63 characters"
            : QualifiedName().IsMatch(name) ? null
            : "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
              + "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    }

    public static string? LabelValueProblem(string value)
        => value.Length > 63 ? "must be no more than 63 characters"
            : value.Length == 0 || QualifiedName().IsMatch(value) ? null
            : "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with "
              + "an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
              + "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

    public static bool IsConfigKey(string key) => key.Length is > 0 and <= 253 && key is not ("." or "..") && ConfigKey().IsMatch(key);

    public static bool IsQuantity(string text) => Quantity().IsMatch(text);

    [GeneratedRegex($"^{LabelPattern}\\z")]
    private static partial Regex DnsLabel();

    [GeneratedRegex($"^{LabelPattern}(\\.{LabelPattern})*\\z")]
    private static partial Regex DnsSubdomain();

    [GeneratedRegex("^[a-z]([-a-z0-9]*[a-z0-9])?\\z")]
    private static partial Regex Dns1035Label();

    [GeneratedRegex("^[-a-z0-9]+\\z")]
    private static partial Regex PortCharacters();

    [GeneratedRegex("^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]\\z")]
    private static partial Regex QualifiedName();

    [GeneratedRegex("^[-._a-zA-Z0-9]+\\z")]
    private static partial Regex ConfigKey();

    [GeneratedRegex("^[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([eE][+-]?[0-9]+|[KMGTPE]i|[numkMGTPE])?\\z")]
    private static partial Regex Quantity();
}
