// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Configuration;
using Axoneme.Datapath;
using Axoneme.Hosting;
using Axoneme.Network;
using Axoneme.Tables;
using YamlDotNet.Core;
using YamlDotNet.Serialization;

namespace Axoneme.Agent.Services;

/// <summary>
/// The destinations that are not masqueraded, as the file of ip-masq-agent names them. A file that cannot be read is reported, and what the
/// last good one said stays in force; without a file, or without a list in it, the agent's own defaults hold.
/// </summary>
internal sealed class MasqueradeExceptions
{
    public const string ModuleName = "ip-masq-agent";

    private static readonly TimeSpan LongestInterval = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan ShortestInterval = TimeSpan.FromSeconds(1);

    // Private, shared, documentation, benchmark and reserved ranges: the defaults of the original ip-masq-agent.
    private static readonly IpPrefix[] Defaults =
    [
        .. new[]
        {
            "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
            "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
        }.Select(IpPrefix.Parse),
    ];

    private static readonly IpPrefix LinkLocal4 = IpPrefix.Parse("169.254.0.0/16");
    private static readonly IpPrefix LinkLocal6 = IpPrefix.Parse("fe80::/10");

    private readonly string _path;
    private readonly TimeProvider _time;
    private readonly Modules _modules;
    private IReadOnlySet<IpPrefix>? _published;

    public MasqueradeExceptions(string path, TimeProvider time, Modules modules)
    {
        _path = path;
        _time = time;
        _modules = modules;
        // Before the file is read nobody knows which of the kernel's entries are stale.
        Table.RegisterInitializer(ModuleName);
    }

    public Table<IpPrefix, MasqueradeException> Table { get; } = new(
        "masquerade-exceptions", e => e.Destination, columns: [new("Destination", e => e.Destination.ToString())]);

    public async Task RunAsync(CancellationToken cancellation)
    {
        TimeSpan interval = LongestInterval;
        while (true)
        {
            try
            {
                (IReadOnlySet<IpPrefix> wanted, interval) = Parse(File.Exists(_path) ? await File.ReadAllTextAsync(_path, cancellation) : "");
                Publish(wanted);
                _modules.Report(ModuleName, healthy: true, "running");
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
            {
                _modules.Report(ModuleName, healthy: false, $"{_path}: {e.Message}");
            }

            await Task.Delay(interval, _time, cancellation);
        }
    }

    /// <summary>The destinations, and how soon to look again.</summary>
    /// <exception cref="FormatException">The text is not a configuration; the message names the key.</exception>
    internal static (IReadOnlySet<IpPrefix> Destinations, TimeSpan Interval) Parse(string text)
    {
        Dictionary<string, object?> keys = Read(text);
        HashSet<IpPrefix> destinations = keys.GetValueOrDefault("nonMasqueradeCIDRs") switch
        {
            null => [.. Defaults],
            List<object> { Count: 0 } => [.. Defaults],
            List<object> items => [.. items.Select(Prefix)],
            _ => throw new FormatException("nonMasqueradeCIDRs is not a list"),
        };
        if (!Switch(keys, "masqLinkLocal"))
            destinations.Add(LinkLocal4);
        if (!Switch(keys, "masqLinkLocalIPv6"))
            destinations.Add(LinkLocal6);
        TimeSpan interval = LongestInterval;
        if (keys.GetValueOrDefault("resyncInterval") is { } given && !GoDuration.TryParse(given.ToString() ?? "", out interval))
            throw new FormatException($"resyncInterval: '{given}' is not a duration such as 5s");
        return (destinations, interval < ShortestInterval ? ShortestInterval : interval > LongestInterval ? LongestInterval : interval);
    }

    private void Publish(IReadOnlySet<IpPrefix> wanted)
    {
        if (_published?.SetEquals(wanted) == true)
            return;
        Table.Write(writer =>
        {
            foreach (IpPrefix stale in (_published ?? new HashSet<IpPrefix>()).Where(p => !wanted.Contains(p)))
                writer.Remove(stale);
            foreach (IpPrefix prefix in wanted)
                writer.Upsert(new MasqueradeException(prefix));
        });
        _published = wanted;
        Table.MarkInitialized(ModuleName);
    }

    // JSON is YAML.
    private static Dictionary<string, object?> Read(string text)
    {
        try
        {
            return new DeserializerBuilder().Build().Deserialize<Dictionary<string, object?>?>(text) ?? [];
        }
        catch (YamlException e)
        {
            throw new FormatException(e.Message, e);
        }
    }

    private static IpPrefix Prefix(object item)
        => IpPrefix.TryParse(item as string, out IpPrefix prefix)
            ? prefix
            : throw new FormatException($"nonMasqueradeCIDRs: '{item}' is not a prefix");

    private static bool Switch(Dictionary<string, object?> keys, string name) => keys.GetValueOrDefault(name) switch
    {
        null => false,
        "true" => true,
        "false" => false,
        var other => throw new FormatException($"{name}: '{other}' is neither true nor false"),
    };
}
