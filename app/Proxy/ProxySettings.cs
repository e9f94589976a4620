// SPDX-License-Identifier: Apache-2.0
using System.Globalization;

namespace Axoneme.Proxy;

/// <summary>A setting is missing or wrong; the message names it.</summary>
internal sealed class ProxySettingException(string message) : Exception(message);

/// <summary>What the process has to know before an agent tells it the rest. Names of settings are those of the agent's configuration.</summary>
internal sealed record ProxySettings
{
    private const string ConfigDirectory = "config-dir";

    private static readonly string[] Names = ["state-dir", "bpf-root", "tofqdns-proxy-port", "dnsproxy-workers", "dnsproxy-any-address"];

    /// <summary><c>state-dir</c>: where the socket and the state files are.</summary>
    public string StateDirectory { get; init; } = "/var/run/cilium";

    /// <summary><c>bpf-root</c>: the BPF file system with the pinned maps.</summary>
    public string BpfRoot { get; init; } = "/sys/fs/bpf";

    /// <summary><c>tofqdns-proxy-port</c>: 0 for the one of the last time, or any.</summary>
    public ushort Port { get; init; }

    /// <summary><c>dnsproxy-workers</c>: threads; 0 for as many as there are processors, at most 4.</summary>
    public int Workers { get; init; }

    /// <summary><c>dnsproxy-any-address</c>: listens on all addresses, where packets are routed to the proxy and not handed to it.</summary>
    public bool AnyAddress { get; init; }

    public int WorkerCount => Workers > 0 ? Workers : Math.Clamp(Environment.ProcessorCount, 1, 4);

    /// <summary>Flags of the form <c>--name=value</c> come before files of the directory that <c>--config-dir</c> names, of which only known ones are read.</summary>
    /// <exception cref="ProxySettingException">A flag is unknown, or a value wrong.</exception>
    public static ProxySettings Parse(IReadOnlyList<string> arguments)
    {
        var values = new Dictionary<string, string>();
        foreach (string argument in arguments)
        {
            int equals = argument.IndexOf('=', StringComparison.Ordinal);
            if (!argument.StartsWith("--", StringComparison.Ordinal) || equals < 0)
                throw new ProxySettingException($"'{argument}': settings are given as --name=value");
            string name = argument[2..equals];
            if (name != ConfigDirectory && !Names.Contains(name))
                throw new ProxySettingException($"--{name}: there is no such setting; there are {string.Join(", ", Names)}");
            values[name] = argument[(equals + 1)..];
        }

        if (values.TryGetValue(ConfigDirectory, out string? directory))
            AddFiles(directory, values);
        var settings = new ProxySettings();
        return settings with
        {
            StateDirectory = values.GetValueOrDefault("state-dir", settings.StateDirectory),
            BpfRoot = values.GetValueOrDefault("bpf-root", settings.BpfRoot),
            Port = (ushort)Number(values, "tofqdns-proxy-port", ushort.MaxValue),
            Workers = Number(values, "dnsproxy-workers", 64),
            AnyAddress = values.TryGetValue("dnsproxy-any-address", out string? any) && any == "true",
        };
    }

    private static void AddFiles(string directory, Dictionary<string, string> values)
    {
        if (!Directory.Exists(directory))
            throw new ProxySettingException($"--{ConfigDirectory}: there is no directory {directory}");
        foreach (string name in Names)
        {
            string file = Path.Combine(directory, name);
            if (File.Exists(file) && File.ReadAllText(file).Trim() is { Length: > 0 } text)
                values.TryAdd(name, text);
        }
    }

    private static int Number(Dictionary<string, string> values, string name, int largest)
    {
        if (!values.TryGetValue(name, out string? text))
            return 0;
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number <= largest
            ? number
            : throw new ProxySettingException($"{name}: '{text}' is no number from 0 to {largest}");
    }
}
