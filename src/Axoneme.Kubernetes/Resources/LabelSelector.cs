// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Kubernetes.Resources;

/// <summary>
/// Selects by labels: all of <see cref="MatchLabels"/> and all of <see cref="MatchExpressions"/> must hold. An empty selector selects
/// everything; what a missing one selects is up to the field that holds it.
/// </summary>
public sealed record LabelSelector
{
    public static readonly LabelSelector Everything = new();

    public IReadOnlyDictionary<string, string>? MatchLabels { get; init; }

    public IReadOnlyList<LabelSelectorRequirement>? MatchExpressions { get; init; }

    public bool Matches(IReadOnlyDictionary<string, string>? labels)
    {
        foreach ((string key, string value) in MatchLabels ?? Nothing)
        {
            if (labels is null || !labels.TryGetValue(key, out string? actual) || actual != value)
                return false;
        }

        foreach (LabelSelectorRequirement requirement in MatchExpressions ?? [])
        {
            if (!requirement.Matches(labels))
                return false;
        }

        return true;
    }

    /// <summary>As the <c>labelSelector</c> query parameter wants it.</summary>
    public override string ToString()
    {
        IEnumerable<string> equalities = (MatchLabels ?? Nothing).OrderBy(p => p.Key, StringComparer.Ordinal).Select(p => $"{p.Key}={p.Value}");
        return string.Join(',', equalities.Concat((MatchExpressions ?? []).Select(r => r.ToString())));
    }

    private static readonly IReadOnlyDictionary<string, string> Nothing = new Dictionary<string, string>();
}

public sealed record LabelSelectorRequirement
{
    public const string In = "In";
    public const string NotIn = "NotIn";
    public const string Exists = "Exists";
    public const string DoesNotExist = "DoesNotExist";

    public string Key { get => field ?? ""; init; }

    /// <summary>One of the constants of this type.</summary>
    public string Operator { get => field ?? ""; init; }

    /// <summary>For In and NotIn.</summary>
    public IReadOnlyList<string>? Values { get; init; }

    /// <summary>NotIn also holds where the label is missing. An unknown operator matches nothing, so that a bad selector opens nothing.</summary>
    public bool Matches(IReadOnlyDictionary<string, string>? labels)
    {
        string? actual = labels is not null && labels.TryGetValue(Key, out string? found) ? found : null;
        return Operator switch
        {
            In => actual is not null && Values is not null && Values.Contains(actual),
            NotIn => actual is null || Values is null || !Values.Contains(actual),
            Exists => actual is not null,
            DoesNotExist => actual is null,
            _ => false,
        };
    }

    public override string ToString() => Operator switch
    {
        In => $"{Key} in ({string.Join(',', Values ?? [])})",
        NotIn => $"{Key} notin ({string.Join(',', Values ?? [])})",
        Exists => Key,
        DoesNotExist => $"!{Key}",
        _ => throw new FormatException($"'{Operator}' is no operator of a label selector (key {Key})."),
    };
}
