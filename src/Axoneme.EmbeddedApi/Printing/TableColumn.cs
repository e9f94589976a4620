// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;

namespace Axoneme.EmbeddedApi.Printing;

/// <summary>A column of a kind's table. Priority 0 is always shown, 1 with -o wide.</summary>
internal sealed record TableColumn(string Name, string Type, int Priority, Func<JsonObject, DateTimeOffset, JsonNode?> Cell)
{
    public string Format { get; init; } = "";

    public string Description { get; init; } = "";

    public static readonly TableColumn NameColumn =
        new("Name", "string", 0, (o, _) => o.Text("metadata", "name")) { Format = "name", Description = "Name must be unique." };

    public static readonly TableColumn Age = new("Age", "string", 0, (o, now) => AgeOf(o.Text("metadata", "creationTimestamp"), now))
    {
        Description = "Time since creation.",
    };

    /// <summary>The time since, in the form of kubectl: 5s, 3m20s, 45m, 5h, 2d3h, 12d, 1y20d.</summary>
    public static string AgeOf(string? timestamp, DateTimeOffset now)
    {
        if (!DateTimeOffset.TryParse(timestamp, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset then))
            return "<unknown>";
        TimeSpan age = now - then;
        if (age < TimeSpan.Zero)
            return age < TimeSpan.FromSeconds(-2) ? "<invalid>" : "0s";
        long s = (long)age.TotalSeconds, m = s / 60, h = m / 60, d = h / 24;
        return s < 120 ? $"{s}s"
            : m < 10 ? Two(m, "m", s % 60, "s")
            : m < 180 ? $"{m}m"
            : h < 8 ? Two(h, "h", m % 60, "m")
            : h < 48 ? $"{h}h"
            : d < 8 ? Two(d, "d", h % 24, "h")
            : d < 730 ? $"{d}d"
            : d < 365 * 8 ? Two(d / 365, "y", d % 365, "d")
            : $"{d / 365}y";
    }

    private static string Two(long large, string largeUnit, long small, string smallUnit)
        => small == 0 ? $"{large}{largeUnit}" : $"{large}{largeUnit}{small}{smallUnit}";
}

/// <summary>The columns of custom kinds.</summary>
internal static class CustomColumns
{
    public static IReadOnlyList<TableColumn> Of(JsonObject version)
    {
        var columns = new List<TableColumn> { TableColumn.NameColumn };
        foreach (JsonObject column in version.Objects("additionalPrinterColumns"))
        {
            JsonPath path;
            try
            {
                path = new JsonPath(column.Text("jsonPath") ?? "");
            }
            catch (FormatException)
            {
                continue;
            }
            string type = column.Text("type") ?? "string";
            columns.Add(new(column.Text("name") ?? "", type, (int)(column.Whole("priority") ?? 0), (o, now) => Cell(path.First(o), type, now))
            {
                Format = column.Text("format") ?? "",
                Description = column.Text("description") ?? "",
            });
        }
        if (columns.Count == 1)
            columns.Add(TableColumn.Age);
        return columns;
    }

    private static JsonNode? Cell(JsonNode? value, string type, DateTimeOffset now) => value switch
    {
        null => null,
        _ when type == "date" => TableColumn.AgeOf(value.Text(), now),
        JsonValue => value.Copy(),
        _ => JsonText.ToText(value),
    };
}
