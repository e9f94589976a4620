// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Bench;

/// <summary>Rows for people, printed as they come.</summary>
internal static class Table
{
    private static bool _hasHeader;

    public static void WriteRow(TextWriter output, Row row)
    {
        if (!_hasHeader)
        {
            output.WriteLine($"{"",-76} {"ours",12} {"reference",12} {"ratio",7} {"aim",7} {"spread",7}");
            _hasHeader = true;
        }

        string aim = row.Aim == 0 ? "" : row.IsCost ? $"≤{row.Aim:0}" : $"≥{row.Aim:0.00}";
        string reference = row.Theirs is { } theirs ? Number(theirs) : "";
        string ratio = row.Ratio?.ToString("0.000") ?? "";
        string verdict = row.IsMet ? "" : "  aim missed";
        output.WriteLine($"{row.Name + ", " + row.Unit,-76} {Number(row.Ours),12} {reference,12} {ratio,7} {aim,7} {"±" + row.Spread.ToString("0.0%"),7}{verdict}");
    }

    public static void WriteSummary(TextWriter output, List<Row> rows)
    {
        int aimed = rows.Count(row => row.Aim != 0);
        output.WriteLine($"\n{rows.Count(row => row.Aim != 0 && row.IsMet)} of {aimed} aims met. A ratio is the median of pairs of runs made in turn;\na figure without one is a cost, where less is better.");
    }

    private static string Number(double value) => value >= 1000 ? value.ToString("#,0") : value.ToString("0.00");
}
