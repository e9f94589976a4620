// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Cli.Hubble;

/// <summary><c>hubble config view|get</c>: the settings as commands see them.</summary>
internal sealed class ConfigCommand(TextWriter output, Func<string, string?> environment)
{
    private const string Hidden = "*****";

    public int Run(IReadOnlyList<string> arguments)
    {
        string? file = null;
        var flags = new FlagSet("hubble config view|get [NAME] [flags]").Value("config", v => file = v, "FILE", "the configuration file");
        List<string> words = flags.Parse(arguments);
        if (flags.IsHelpWanted || words.Count == 0)
        {
            flags.WriteHelp(output);
            return 0;
        }

        switch (words)
        {
            case ["view"] or ["get"]:
                var settings = new HubbleSettings(file, environment);
                output.WriteLine(settings.Path is { } path ? $"# {path}" : "# no configuration file");
                foreach ((string name, string standard) in HubbleSettings.Known)
                    output.WriteLine($"{name}: {Shown(name, settings.Find(name) ?? standard)}".TrimEnd());
                return 0;
            case ["get", string name]:
                if (Array.Find(HubbleSettings.Known, k => k.Name == name) is not { Name: not null } known)
                    throw new UserErrorException($"there is no setting \"{name}\"");
                output.WriteLine(new HubbleSettings(file, environment).Find(name) ?? known.Default);
                return 0;
            case ["set" or "reset", ..]:
                throw new UserErrorException(
                    $"settings are changed in {file ?? HubbleSettings.OwnFile(environment)}, a \"name: value\" a line; \"hubble config view\" shows the names");
            default:
                throw new UserErrorException($"unknown command \"{words[0]}\" for \"hubble config\"");
        }
    }

    // What is shown gets pasted into reports.
    private static string Shown(string name, string value) => name == "basic-auth-password" && value.Length > 0 ? Hidden : value;
}
