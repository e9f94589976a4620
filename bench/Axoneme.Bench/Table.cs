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
            output.WriteLine($"{"",-44} {"ours",12} {"reference",12} {"ratio",7} {"aim",7} {"spread",7}");
            _hasHeader = true;
        }

        string aim = row.Aim == 0 ? "" : row.IsCost ? $"≤{row.Aim:0}" : $"≥{row.Aim:0.00}";
        string reference = row.IsCost ? "" : Number(row.Theirs);
        string ratio = row.IsCost ? "" : row.Ratio.ToString("0.000");
        string verdict = row.IsMet ? "" : "  below the aim";
        output.WriteLine($"{row.Name + ", " + row.Unit,-44} {Number(row.Ours),12} {reference,12} {ratio,7} {aim,7} {"±" + row.Spread.ToString("0.0%"),7}{verdict}");
    }

    public static void WriteSummary(TextWriter output, List<Row> rows)
    {
        int aimed = rows.Count(row => row.Aim != 0);
        output.WriteLine($"\n{rows.Count(row => row.Aim != 0 && row.IsMet)} of {aimed} aims met. A ratio is the median of pairs of runs made in turn.");
    }

    private static string Number(double value) => value >= 1000 ? value.ToString("#,0") : value.ToString("0.00");
}
