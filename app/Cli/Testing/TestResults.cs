// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Xml;
using System.Xml.Linq;

namespace Axoneme.Cli.Testing;

internal enum Outcome
{
    Passed,
    Failed,
    Skipped,
}

/// <param name="Detail">Message, stack and output of a failure; the reason of a skip.</param>
internal sealed record TestResult(string Name, Outcome Outcome, string Detail = "", double Seconds = 0);

/// <summary>Reads the report that a test program wrote (xUnit's XML format).</summary>
internal static class TestReport
{
    /// <exception cref="InvalidDataException">The file is not such a report, as after a crash.</exception>
    public static IReadOnlyList<TestResult> Read(string file)
    {
        try
        {
            XDocument document = XDocument.Load(file);
            // Errors outside tests (a fixture that failed to clean up, a class that cannot be made) are failures as well.
            return [.. document.Descendants("test").Select(ReadTest), .. document.Descendants("error").Select(ReadError)];
        }
        catch (Exception e) when (e is XmlException or IOException)
        {
            throw new InvalidDataException(e.Message);
        }
    }

    private static TestResult ReadTest(XElement test) => new(
        (string?)test.Attribute("name") ?? "?",
        (string?)test.Attribute("result") switch
        {
            "Pass" => Outcome.Passed,
            "Skip" or "NotRun" => Outcome.Skipped,
            _ => Outcome.Failed,
        },
        string.Join('\n', new[] { Failure(test), (string?)test.Element("reason"), (string?)test.Element("output") }.Where(t => !string.IsNullOrWhiteSpace(t))),
        double.TryParse((string?)test.Attribute("time"), NumberStyles.Float, CultureInfo.InvariantCulture, out double seconds) ? seconds : 0);

    private static TestResult ReadError(XElement error)
        => new($"{(string?)error.Attribute("type")} {(string?)error.Attribute("name")}".Trim(), Outcome.Failed, Failure(error));

    private static string Failure(XElement element)
        => element.Element("failure") is { } failure ? $"{(string?)failure.Element("message")}\n{(string?)failure.Element("stack-trace")}".Trim() : "";
}
