// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Text.Json;

namespace Axoneme.Operator.Slices;

/// <summary>How many slices may be written in a second by clusters from a size on.</summary>
internal readonly record struct SliceLimit(int Nodes, double Limit, int Burst);

/// <summary>The limits of ces-rate-limits; the one of the largest size that the cluster has reached counts.</summary>
internal sealed record SliceLimits(ImmutableArray<SliceLimit> Steps)
{
    // Beyond these the API server would be what waits.
    private const double MaximalLimit = 50;
    private const int MaximalBurst = 100;

    public static SliceLimits Default { get; } = new([new SliceLimit(0, 10, 20), new SliceLimit(100, 50, 100)]);

    public SliceLimit For(int nodes)
    {
        SliceLimit best = Steps[0];
        foreach (SliceLimit step in Steps)
            best = step.Nodes <= nodes && step.Nodes >= best.Nodes ? step : best;
        return best with { Limit = Math.Min(best.Limit, MaximalLimit), Burst = Math.Min(best.Burst, MaximalBurst) };
    }

    /// <summary>A JSON list of objects with nodes, limit and burst.</summary>
    /// <exception cref="FormatException">The text is none; the message says why.</exception>
    public static SliceLimits Parse(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            ImmutableArray<SliceLimit> steps =
            [
                .. document.RootElement.EnumerateArray().Select(e => new SliceLimit(
                    e.GetProperty("nodes").GetInt32(), e.GetProperty("limit").GetDouble(), e.GetProperty("burst").GetInt32())),
            ];
            if (steps.IsEmpty || steps.Any(s => s.Limit <= 0 || s.Burst <= 0))
                throw new FormatException("limit and burst must be above zero");
            return new SliceLimits(steps);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new FormatException($"is no JSON list of objects with nodes, limit and burst: {e.Message}", e);
        }
    }
}
