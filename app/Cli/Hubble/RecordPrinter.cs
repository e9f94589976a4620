// SPDX-License-Identifier: Apache-2.0
using Google.Protobuf.WellKnownTypes;

namespace Axoneme.Cli.Hubble;

/// <summary>Prints records field by field: as rows of a table, or a line for each field.</summary>
internal sealed class RecordPrinter(FlowPrinterOptions options, TextWriter output)
{
    private const string Separator = "------------";

    private readonly TabWriter _table = new(output, minimalWidth: 2);
    private bool _hasPrinted;

    /// <summary>Tables come out at the end, when the widths are known.</summary>
    public void Close() => _table.Flush();

    public void Print(string node, (string Key, string Value)[] fields)
    {
        List<(string Key, string Value)> all = [.. fields];
        if (options.PrintNodeName)
            all.Insert(1, ("NODE", node));
        if (options.Output == FlowOutput.Table)
        {
            if (!_hasPrinted)
                _table.Row([.. all.Select(f => f.Key)]);
            _table.Row([.. all.Select(f => f.Value)]);
            _hasPrinted = true;
            return;
        }

        if (_hasPrinted)
            output.WriteLine(Separator);
        foreach ((string key, string value) in all)
            output.WriteLine($"{key,11}: {value}");
        _hasPrinted = true;
    }

    public string Time(Timestamp? time)
        => time is null ? "N/A" : TimeText.Format(DateTimeOffset.FromUnixTimeSeconds(time.Seconds), time.Nanos, options.TimeFormat);
}
