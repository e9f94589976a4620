// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Cli.Hubble;

/// <summary>
/// Settings that stand behind the flags of the same names: the environment (HUBBLE_SERVER ...), then the configuration file, which has a
/// "name: value" a line.
/// </summary>
internal sealed class HubbleSettings
{
    /// <summary>Every name, with the default where there is a fixed one.</summary>
    public static readonly (string Name, string Default)[] Known =
    [
        ("basic-auth-password", ""), ("basic-auth-username", ""), ("debug", "false"), ("kube-context", ""), ("kube-namespace", "kube-system"),
        ("kubeconfig", ""), ("port-forward", "false"), ("port-forward-port", "4245"), ("request-timeout", "12s"), ("server", ""),
        ("timeout", "5s"), ("tls", "false"), ("tls-allow-insecure", "false"), ("tls-ca-cert-files", "[]"), ("tls-client-cert-file", ""),
        ("tls-client-key-file", ""), ("tls-server-name", ""),
    ];

    private readonly Func<string, string?> _environment;
    private readonly Dictionary<string, string> _file = [];

    /// <param name="file">Must exist; null takes the first of the usual ones, if any.</param>
    /// <param name="environment">Values of environment variables.</param>
    /// <exception cref="UserErrorException">The file cannot be read, or is no list of settings.</exception>
    public HubbleSettings(string? file, Func<string, string?> environment)
    {
        _environment = environment;
        Path = file ?? UsualFiles(environment).FirstOrDefault(File.Exists);
        if (Path is not null)
            Read(Path);
    }

    /// <summary>The file in use; null without one.</summary>
    public string? Path { get; }

    /// <summary>Where the user's own file belongs.</summary>
    public static string OwnFile(Func<string, string?> environment)
        => System.IO.Path.Combine(
            environment("XDG_CONFIG_HOME") is { Length: > 0 } folder ? folder : System.IO.Path.Combine(environment("HOME") ?? "/", ".config"), "hubble", "config.yaml");

    /// <summary>The value; null when neither the environment nor the file has one.</summary>
    public string? Find(string name)
        => _environment($"HUBBLE_{name.ToUpperInvariant().Replace('-', '_')}") is { Length: > 0 } value ? value
            : _file.GetValueOrDefault(name) is { Length: > 0 } written ? written : null;

    public bool IsTrue(string name) => Find(name) is "true" or "1";

    private static IEnumerable<string> UsualFiles(Func<string, string?> environment)
        => ["config.yaml", OwnFile(environment), System.IO.Path.Combine(environment("HOME") ?? "/", ".hubble", "config.yaml")];

    private void Read(string path)
    {
        string[] lines;
        try
        {
            lines = File.ReadAllLines(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"the configuration cannot be read: {e.Message}");
        }

        string? list = null;
        for (int i = 0; i < lines.Length; i++)
        {
            string line = lines[i].Trim();
            if (line.Length == 0 || line[0] == '#' || line == "---")
                continue;
            if (line.StartsWith("- ", StringComparison.Ordinal) && list is not null)
            {
                _file[list] = _file[list].Length > 0 ? $"{_file[list]},{Plain(line[2..])}" : Plain(line[2..]);
                continue;
            }

            int colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon <= 0)
                throw new UserErrorException($"{path}:{i + 1}: \"{line}\" is not \"name: value\"");
            list = line[..colon];
            _file[list] = string.Join(',', line[(colon + 1)..].Trim().Trim('[', ']').Split(',').Select(Plain));
        }
    }

    private static string Plain(string text)
    {
        string value = text.Trim();
        return value.Length >= 2 && value[0] == value[^1] && value[0] is '"' or '\'' ? value[1..^1] : value;
    }
}
