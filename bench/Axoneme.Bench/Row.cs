// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Serialization;

namespace Axoneme.Bench;

/// <summary>
/// One line of the result. The ratio is the median over pairs of runs that followed each other, so that a machine whose
/// speed drifts does not show as a difference; the spread is how far the pairs lie apart.
/// </summary>
internal sealed record Row(string Name, string Unit, double Ours, double? Theirs, double? Ratio, double Aim, int Runs, double Spread)
{
    /// <summary>A cost (lower is better) is compared with nothing; its aim is a ceiling on <see cref="Ours"/>.</summary>
    public bool IsCost { get; init; }

    [JsonIgnore]
    public bool IsMet => Aim == 0 || (IsCost ? Ours <= Aim : Ratio >= Aim);

    /// <summary>Half the distance between the quartiles of the pair ratios, relative to their median.</summary>
    public static Row FromPairs(string name, string unit, IReadOnlyList<(double Ours, double Theirs)> pairs, double aim)
    {
        double[] ratios = [.. pairs.Select(pair => pair.Ours / pair.Theirs).Order()];
        double median = Quantile(ratios, 0.5);
        double spread = (Quantile(ratios, 0.75) - Quantile(ratios, 0.25)) / 2 / median;
        return new Row(
            name,
            unit,
            Quantile([.. pairs.Select(pair => pair.Ours).Order()], 0.5),
            Quantile([.. pairs.Select(pair => pair.Theirs).Order()], 0.5),
            median,
            aim,
            pairs.Count,
            spread);
    }

    /// <summary>A cost: the given quantile of the samples; the spread as above.</summary>
    public static Row FromSamples(string name, string unit, IEnumerable<double> samples, double quantile, double aim)
    {
        double[] sorted = [.. samples.Order()];
        double spread = (Quantile(sorted, 0.75) - Quantile(sorted, 0.25)) / 2 / Quantile(sorted, 0.5);
        return new Row(name, unit, Quantile(sorted, quantile), null, null, aim, sorted.Length, spread) { IsCost = true };
    }

    /// <summary>Linear interpolation between the two nearest of <paramref name="sorted"/>.</summary>
    public static double Quantile(double[] sorted, double quantile)
    {
        double position = (sorted.Length - 1) * quantile;
        int below = (int)position;
        int above = Math.Min(below + 1, sorted.Length - 1);
        return sorted[below] + ((position - below) * (sorted[above] - sorted[below]));
    }
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(IReadOnlyList<Row>))]
internal sealed partial class RowJson : JsonSerializerContext;
