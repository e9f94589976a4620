// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Text.RegularExpressions;
using Axoneme.Network;

namespace Axoneme.Policy;

/// <summary>
/// Chooses the labels that make an identity (option <c>labels</c>). A filter is a list of expressions, each anchored at the start of the
/// key, with an optional source prefix and an optional leading '!' to exclude. A label stays when its longest including match is longer
/// than its shortest excluding one, or when nothing excludes it and the user included nothing in particular.
/// </summary>
public sealed class LabelFilter
{
    private static readonly ImmutableArray<Expression> DefaultExpressions =
    [
        .. new[]
        {
            "reserved:.*", "io\\.kubernetes\\.pod\\.namespace", "io\\.cilium\\.k8s\\.namespace\\.labels", "app\\.kubernetes\\.io",
            "io\\.cilium\\.k8s\\.policy\\.cluster", "io\\.cilium\\.k8s\\.policy\\.serviceaccount",
            "!io\\.kubernetes", "!kubernetes\\.io", "!statefulset\\.kubernetes\\.io/pod-name", "!apps\\.kubernetes\\.io/pod-index",
            "!batch\\.kubernetes\\.io/job-completion-index", "!batch\\.kubernetes\\.io/controller-uid", "!.*beta\\.kubernetes\\.io",
            "!k8s\\.io", "!pod-template-generation", "!pod-template-hash", "!controller-revision-hash", "!controller-uid",
            "!annotation.*", "!etcd_node", "!topology\\.kubernetes\\.io",
        }.Select(Expression.Parse),
    ];

    // After the expressions: static initialisers run in the order of the text.
    public static readonly LabelFilter Default = new(DefaultExpressions, userIncludes: false);

    private readonly ImmutableArray<Expression> _expressions;
    private readonly bool _userIncludes;

    private LabelFilter(ImmutableArray<Expression> expressions, bool userIncludes)
    {
        _expressions = expressions;
        _userIncludes = userIncludes;
    }

    /// <summary>Adds the space-separated expressions of the option to the defaults.</summary>
    /// <exception cref="FormatException">An expression is no regular expression; the text names it.</exception>
    public static LabelFilter Parse(string option)
    {
        ImmutableArray<Expression> user = ParseExpressions(option);
        return new LabelFilter(DefaultExpressions.AddRange(user), user.Any(e => !e.Exclude));
    }

    /// <summary>The space-separated expressions alone; none keep everything.</summary>
    /// <exception cref="FormatException">An expression is no regular expression; the text names it.</exception>
    public static LabelFilter ParseWithoutDefaults(string option)
    {
        ImmutableArray<Expression> user = ParseExpressions(option);
        return new LabelFilter(user, user.Any(e => !e.Exclude));
    }

    private static ImmutableArray<Expression> ParseExpressions(string option)
    {
        ArgumentNullException.ThrowIfNull(option);
        return [.. option.Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(Expression.Parse)];
    }

    public LabelSet Apply(LabelSet labels)
    {
        ArgumentNullException.ThrowIfNull(labels);
        return LabelSet.From(labels.Where(Keeps));
    }

    public bool Keeps(Label label)
    {
        int longestInclude = -1;
        int shortestExclude = int.MaxValue;
        foreach (Expression expression in _expressions)
        {
            int length = expression.MatchLength(label);
            if (length < 0)
                continue;
            if (expression.Exclude)
                shortestExclude = Math.Min(shortestExclude, length);
            else
                longestInclude = Math.Max(longestInclude, length);
        }

        bool excluded = shortestExclude != int.MaxValue;
        return longestInclude >= 0 ? !excluded || longestInclude > shortestExclude : !excluded && !_userIncludes;
    }

    private sealed record Expression(string? Source, Regex Pattern, bool Exclude)
    {
        // Written by administrators, but run on labels that any user can choose: linear time only.
        private const RegexOptions Options = RegexOptions.NonBacktracking | RegexOptions.CultureInvariant;

        public static Expression Parse(string text)
        {
            bool exclude = text.StartsWith('!');
            string rest = exclude ? text[1..] : text;
            int colon = rest.IndexOf(':', StringComparison.Ordinal);
            string? source = colon < 0 ? null : rest[..colon];
            try
            {
                return new Expression(source, new Regex($"\\A(?:{rest[(colon + 1)..]})", Options), exclude);
            }
            catch (Exception e) when (e is ArgumentException or NotSupportedException)
            {
                throw new FormatException($"'{text}' is not a label filter: {e.Message}", e);
            }
        }

        public int MatchLength(Label label)
        {
            if (Source is not null && Source != Label.Any && Source != label.Source)
                return -1;
            Match match = Pattern.Match(label.Key);
            return match.Success ? match.Length : -1;
        }
    }
}
