// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using Axoneme.Bench.Suites;

namespace Axoneme.Bench;

/// <summary><c>axoneme bench [NAME...] [--json FILE] [--pairs N] [--seconds S] [--services N,...]</c>.</summary>
internal static class BenchCommand
{
    public static int Run(string[] args)
    {
        BenchOptions options = BenchOptions.Parse(args);
        if (options.ShowHelp)
        {
            Console.WriteLine(BenchOptions.Help);
            return 0;
        }

        Leftovers.RemoveOnSignals();
        var rows = new List<Row>();
        foreach ((string name, Func<BenchOptions, IEnumerable<Row>> run) in SuiteList.All)
        {
            if (options.Names.Count > 0 && !options.Names.Contains(name))
                continue;
            foreach (Row row in run(options))
            {
                rows.Add(row);
                Table.WriteRow(Console.Out, row);
            }
        }

        if (options.JsonFile is { } file)
            File.WriteAllText(file, JsonSerializer.Serialize(rows, RowJson.Default.IReadOnlyListRow));
        Table.WriteSummary(Console.Out, rows);
        return 0;
    }
}
