// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Hosting;

/// <summary>
/// Settings as texts, from a directory with one file a key (a mounted config map) and from flags, which win. Names are those
/// of the config map; underscores and upper case are folded as environment variables write them.
/// </summary>
public sealed class RawConfig
{
    private const string FlagOrigin = "flag --";

    private readonly Dictionary<string, (string Value, string Origin)> _settings = [];

    /// <summary>Mistakes that do not stop the program: unknown keys, and known ones whose feature this version lacks.</summary>
    public List<string> Warnings { get; } = [];

    /// <exception cref="ConfigException">A flag is malformed or the directory cannot be read.</exception>
    public static RawConfig Load(IReadOnlyList<string> args)
    {
        Dictionary<string, string> flags = ParseFlags(args);
        var config = new RawConfig();
        if (flags.Remove("config-dir", out string? directory))
            config.AddDirectory(directory);
        foreach ((string name, string value) in flags)
            config._settings[name] = (value, $"{FlagOrigin}{name}");
        config.ReportUnusable();
        return config;
    }

    /// <summary>Puts what objects say for this node over the files; flags still win. Gives those that count.</summary>
    public IReadOnlyList<ConfigOverride> Apply(IEnumerable<ConfigOverride> overrides)
    {
        var applied = new List<ConfigOverride>();
        foreach (ConfigOverride entry in overrides)
        {
            string name = entry.Key.Replace('_', '-').ToLowerInvariant();
            if (_settings.TryGetValue(name, out (string Value, string Origin) present) && present.Origin.StartsWith(FlagOrigin, StringComparison.Ordinal))
                continue;
            _settings[name] = (entry.Value, entry.Source);
            applied.Add(entry with { Key = name });
        }

        Warnings.Clear();
        ReportUnusable();
        return applied;
    }

    public string? Find(string name) => _settings.TryGetValue(name, out (string Value, string Origin) setting) && setting.Value.Length > 0 ? setting.Value : null;

    /// <summary>Where the value came from, for messages.</summary>
    public string OriginOf(string name) => _settings.TryGetValue(name, out (string Value, string Origin) setting) ? setting.Origin : name;

    private static Dictionary<string, string> ParseFlags(IReadOnlyList<string> args)
    {
        var flags = new Dictionary<string, string>();
        for (int i = 0; i < args.Count; i++)
        {
            string argument = args[i];
            if (!argument.StartsWith("--", StringComparison.Ordinal))
                throw new ConfigException([$"unexpected argument '{argument}': settings are given as --name=value"]);
            int equals = argument.IndexOf('=', StringComparison.Ordinal);
            if (equals > 0)
                flags[argument[2..equals]] = argument[(equals + 1)..];
            else if (i + 1 < args.Count && !args[i + 1].StartsWith("--", StringComparison.Ordinal))
                flags[argument[2..]] = args[++i];
            else
                flags[argument[2..]] = "true";
        }

        return flags;
    }

    private void AddDirectory(string directory)
    {
        if (!Directory.Exists(directory))
            throw new ConfigException([$"--config-dir: there is no directory {directory}"]);
        foreach (string file in Directory.GetFiles(directory))
        {
            string name = Path.GetFileName(file);
            // A mounted config map keeps its versions in entries that start with two dots.
            if (name.StartsWith('.'))
                continue;
            _settings[name.Replace('_', '-').ToLowerInvariant()] = (File.ReadAllText(file).Trim(), $"key {name} in {directory}");
        }
    }

    private void ReportUnusable()
    {
        foreach ((string name, (string value, string origin)) in _settings.OrderBy(s => s.Key))
        {
            KnownKey? known = KnownKeys.Find(name);
            if (known is null)
            {
                string? nearest = KnownKeys.Nearest(name);
                Warnings.Add($"{origin}: unknown key, ignored" + (nearest is null ? "" : $"; did you mean {nearest}?"));
            }
            else if (!known.IsUsed && value.Length > 0 && value != known.Default && value != "false")
            {
                Warnings.Add($"{origin}: this version does not act on {name}={value}");
            }
        }
    }
}
