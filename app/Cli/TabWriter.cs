// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Cli;

/// <summary>
/// Rows of cells in columns as wide as their widest cell plus three blanks. The last cell of a row has no width of its own, and columns
/// start anew after an unbroken row, as readers of these tables (people and scripts) have always seen them.
/// </summary>
internal sealed class TabWriter(TextWriter output, int minimalWidth = 0)
{
    private const int Padding = 3;

    private readonly List<string[]> _rows = [];

    public TabWriter Row(params string[] cells)
    {
        _rows.Add(cells);
        return this;
    }

    /// <summary>Writes the rows and forgets them.</summary>
    public void Flush()
    {
        Write(0, _rows.Count, 0, new int[_rows.Count == 0 ? 0 : _rows.Max(r => r.Length)]);
        _rows.Clear();
    }

    // A column is the cells at one position in neighbouring rows that go on after it: rows in between without such a cell part it in two.
    private void Write(int first, int end, int column, int[] widths)
    {
        for (int row = first; row < end; row++)
        {
            if (column >= _rows[row].Length - 1)
            {
                WriteLine(_rows[row], widths);
                continue;
            }

            int last = row;
            int width = minimalWidth;
            while (last < end && column < _rows[last].Length - 1)
                width = Math.Max(width, _rows[last++][column].Length + Padding);
            widths[column] = width;
            Write(row, last, column + 1, widths);
            row = last - 1;
        }
    }

    private void WriteLine(string[] cells, int[] widths)
    {
        for (int i = 0; i < cells.Length; i++)
            output.Write(i < cells.Length - 1 ? cells[i].PadRight(widths[i]) : cells[i]);
        output.WriteLine();
    }
}
