// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using System.Buffers.Text;
using System.Text;

namespace Axoneme.Metrics;

/// <summary>Writes a registry in Prometheus' text format 0.0.4. One instance serves one scrape; families without series are left out.</summary>
public sealed class PrometheusText(IBufferWriter<byte> output) : MetricVisitor
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    private MetricFamily? _announced;

    public static void Write(MetricRegistry registry, IBufferWriter<byte> output)
    {
        ArgumentNullException.ThrowIfNull(registry);
        registry.Collect(new PrometheusText(output));
    }

    public override void Begin(MetricFamily family)
    {
        // The head is written with the first series.
    }

    public override void Sample(MetricFamily family, ReadOnlySpan<string> labelValues, double value)
    {
        ArgumentNullException.ThrowIfNull(family);
        Announce(family);
        Text(family.Name);
        Labels(family, labelValues, bound: null);
        Number(value);
    }

    public override void Histogram(
        MetricFamily family, ReadOnlySpan<string> labelValues, ReadOnlySpan<double> bounds, ReadOnlySpan<long> cumulative, double sum)
    {
        ArgumentNullException.ThrowIfNull(family);
        Announce(family);
        for (int i = 0; i < cumulative.Length; i++)
        {
            Text(family.Name);
            Raw("_bucket"u8);
            Labels(family, labelValues, i < bounds.Length ? bounds[i] : double.PositiveInfinity);
            Number(cumulative[i]);
        }

        Text(family.Name);
        Raw("_sum"u8);
        Labels(family, labelValues, bound: null);
        Number(sum);
        Text(family.Name);
        Raw("_count"u8);
        Labels(family, labelValues, bound: null);
        Number(cumulative[^1]);
    }

    private void Announce(MetricFamily family)
    {
        if (ReferenceEquals(_announced, family))
            return;
        _announced = family;
        Raw("# HELP "u8);
        Text(family.Name);
        Raw(" "u8);
        Escaped(family.Help, quotes: false);
        Raw("\n# TYPE "u8);
        Text(family.Name);
        Raw(family.Kind switch
        {
            MetricKind.Counter => " counter\n"u8,
            MetricKind.Gauge => " gauge\n"u8,
            _ => " histogram\n"u8,
        });
    }

    private void Labels(MetricFamily family, ReadOnlySpan<string> values, double? bound)
    {
        if (values.Length == 0 && bound is null)
            return;
        Raw("{"u8);
        for (int i = 0; i < values.Length; i++)
        {
            if (i > 0)
                Raw(","u8);
            Text(family.Labels[i]);
            Raw("=\""u8);
            Escaped(values[i], quotes: true);
            Raw("\""u8);
        }

        if (bound is { } upper)
        {
            Raw(values.Length > 0 ? ",le=\""u8 : "le=\""u8);
            Digits(upper);
            Raw("\""u8);
        }

        Raw("}"u8);
    }

    private void Number(double value)
    {
        Raw(" "u8);
        Digits(value);
        Raw("\n"u8);
    }

    private void Digits(double value)
    {
        if (double.IsPositiveInfinity(value))
        {
            Raw("+Inf"u8);
        }
        else if (double.IsNegativeInfinity(value))
        {
            Raw("-Inf"u8);
        }
        else if (double.IsNaN(value))
        {
            Raw("NaN"u8);
        }
        else
        {
            // The shortest digits that read back as the same number are at most 24 characters.
            Span<byte> digits = output.GetSpan(32);
            Utf8Formatter.TryFormat(value, digits, out int length);
            output.Advance(length);
        }
    }

    private void Escaped(string text, bool quotes)
    {
        ReadOnlySpan<char> rest = text;
        while (!rest.IsEmpty)
        {
            int special = rest.IndexOfAny(quotes ? "\\\n\"" : "\\\n");
            if (special < 0)
            {
                Text(rest);
                return;
            }

            Text(rest[..special]);
            Raw(rest[special] switch
            {
                '\n' => "\\n"u8,
                '"' => "\\\""u8,
                _ => "\\\\"u8,
            });
            rest = rest[(special + 1)..];
        }
    }

    private void Text(ReadOnlySpan<char> text) => Encoding.UTF8.GetBytes(text, output);

    private void Raw(ReadOnlySpan<byte> bytes) => output.Write(bytes);
}
