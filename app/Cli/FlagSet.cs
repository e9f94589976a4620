// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Cli;

/// <summary>
/// Flags in the forms that these commands have always taken: <c>--name value</c>, <c>--name=value</c>, <c>-n value</c>, <c>-nvalue</c>,
/// <c>-fs</c>, switches with an optional <c>=true|false</c>. Actions run in the order of the command line.
/// </summary>
internal sealed class FlagSet(string usage)
{
    private readonly List<Flag> _flags = [];

    private sealed record Flag(string Name, char? Short, string? ValueName, string Help, Action<string> Apply);

    /// <summary>True after <c>--help</c>: the caller prints <see cref="WriteHelp"/> and stops.</summary>
    public bool IsHelpWanted { get; private set; }

    public FlagSet Switch(string name, Action<bool> apply, string help, char? shortName = null)
    {
        _flags.Add(new Flag(name, shortName, null, help, text => apply(ParseBoolean(name, text))));
        return this;
    }

    public FlagSet Value(string name, Action<string> apply, string valueName, string help, char? shortName = null)
    {
        _flags.Add(new Flag(name, shortName, valueName, help, apply));
        return this;
    }

    /// <summary>A value that may be a list with commas, and a flag that may be repeated.</summary>
    public FlagSet List(string name, Action<string> applyEach, string valueName, string help, char? shortName = null)
        => Value(name, text =>
        {
            foreach (string part in text.Split(','))
                applyEach(part);
        }, valueName, help, shortName);

    public FlagSet Number(string name, Action<ulong> apply, string help)
        => Value(name, text => apply(ulong.TryParse(text, out ulong number)
            ? number : throw new UserErrorException($"invalid argument \"{text}\" for --{name}: not a number")), "N", help);

    public FlagSet Duration(string name, Action<TimeSpan> apply, string help)
        => Value(name, text => apply(TimeText.TryParseDuration(text, out TimeSpan duration)
            ? duration : throw new UserErrorException($"invalid argument \"{text}\" for --{name}: a duration such as 90s or 1h30m")), "DURATION", help);

    /// <summary>Applies the flags and returns what is left.</summary>
    /// <exception cref="UserErrorException">A flag is unknown, or its value is missing or wrong.</exception>
    public List<string> Parse(IReadOnlyList<string> arguments)
    {
        var rest = new List<string>();
        for (int i = 0; i < arguments.Count; i++)
        {
            string argument = arguments[i];
            if (argument == "--")
            {
                rest.AddRange(arguments.Skip(i + 1));
                break;
            }

            if (argument is "--help" or "-h")
                IsHelpWanted = true;
            else if (argument.StartsWith("--", StringComparison.Ordinal))
                ParseLong(arguments, ref i);
            else if (argument.Length > 1 && argument[0] == '-')
                ParseShort(arguments, ref i);
            else
                rest.Add(argument);
        }

        return rest;
    }

    public void WriteHelp(TextWriter output)
    {
        output.WriteLine($"Usage: {usage}");
        output.WriteLine();
        output.WriteLine("Flags:");
        var table = new TabWriter(output);
        foreach (Flag flag in _flags.OrderBy(f => f.Name, StringComparer.Ordinal))
        {
            string shortForm = flag.Short is { } letter ? $"-{letter}, " : "    ";
            table.Row($"  {shortForm}--{flag.Name}{(flag.ValueName is { } value ? $" {value}" : "")}", flag.Help);
        }

        table.Flush();
    }

    private void ParseLong(IReadOnlyList<string> arguments, ref int index)
    {
        string argument = arguments[index];
        int equals = argument.IndexOf('=', StringComparison.Ordinal);
        string name = equals < 0 ? argument[2..] : argument[2..equals];
        Flag flag = _flags.Find(f => f.Name == name) ?? throw new UserErrorException($"unknown flag: --{name}");
        if (equals >= 0)
            flag.Apply(argument[(equals + 1)..]);
        else if (flag.ValueName is null)
            flag.Apply("true");
        else
            flag.Apply(Next(arguments, ref index, $"--{name}"));
    }

    private void ParseShort(IReadOnlyList<string> arguments, ref int index)
    {
        string letters = arguments[index][1..];
        for (int i = 0; i < letters.Length; i++)
        {
            Flag flag = _flags.Find(f => f.Short == letters[i])
                ?? throw new UserErrorException($"unknown shorthand flag: '{letters[i]}' in -{letters}");
            if (flag.ValueName is null)
            {
                flag.Apply("true");
                continue;
            }

            string value = letters[(i + 1)..];
            if (value.StartsWith('='))
                value = value[1..];
            flag.Apply(value.Length > 0 ? value : Next(arguments, ref index, $"-{letters[i]}"));
            return;
        }
    }

    private static string Next(IReadOnlyList<string> arguments, ref int index, string flag)
        => ++index < arguments.Count ? arguments[index] : throw new UserErrorException($"flag needs an argument: {flag}");

    private static bool ParseBoolean(string name, string text) => text switch
    {
        "true" or "1" or "t" or "T" or "TRUE" or "True" => true,
        "false" or "0" or "f" or "F" or "FALSE" or "False" => false,
        _ => throw new UserErrorException($"invalid argument \"{text}\" for --{name}: true or false"),
    };
}
