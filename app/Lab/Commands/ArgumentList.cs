// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Lab.Commands;

/// <summary>Command-line arguments that are taken one by one; what is left at the end is a mistake. "--" ends options.</summary>
internal sealed class ArgumentList(IEnumerable<string> arguments)
{
    private readonly List<string> _left = [.. arguments];

    private int OptionsEnd => _left.IndexOf("--") is >= 0 and var end ? end : _left.Count;

    /// <summary>The value of <c>--name VALUE</c> or <c>--name=VALUE</c>, or null.</summary>
    /// <param name="onlyLeading">Looks at the first argument only.</param>
    public string? TakeOption(string name, bool onlyLeading = false)
    {
        int end = onlyLeading ? Math.Min(1, OptionsEnd) : OptionsEnd;
        int at = _left.FindIndex(0, end, a => a == name || a.StartsWith(name + "=", StringComparison.Ordinal));
        if (at < 0)
            return null;
        if (_left[at] != name)
        {
            string joined = _left[at][(name.Length + 1)..];
            _left.RemoveAt(at);
            return joined;
        }

        if (at + 1 >= OptionsEnd)
            throw new UserErrorException($"{name} needs a value", status: 2);
        string value = _left[at + 1];
        _left.RemoveRange(at, 2);
        return value;
    }

    public bool TakeFlag(string name)
    {
        int at = _left.FindIndex(0, OptionsEnd, a => a == name);
        if (at >= 0)
            _left.RemoveAt(at);
        return at >= 0;
    }

    public string? TakePositional()
    {
        if (_left.Count == 0 || _left[0] == "--")
            return null;
        string value = _left[0];
        _left.RemoveAt(0);
        return value;
    }

    /// <summary>What follows: a command to run, after an optional "--".</summary>
    public string[] TakeCommand(string usage)
    {
        string[] command = [.. _left.Skip(_left.Count > 0 && _left[0] == "--" ? 1 : 0)];
        _left.Clear();
        return command.Length > 0 ? command : throw new UserErrorException($"usage: axoneme lab {usage}", status: 2);
    }

    public void RequireEmpty()
    {
        if (_left.Count > 0)
            throw new UserErrorException($"unexpected argument \"{_left[0]}\"", status: 2);
    }
}
