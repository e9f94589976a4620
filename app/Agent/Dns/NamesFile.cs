// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Serialization;
using Axoneme.Network;
using Axoneme.Policy;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Dns;

/// <summary>
/// What the agent must know about names after a restart, before anything else answers: <c>state/names.json</c>. Written by rename, so a killed
/// agent leaves the old file or the new one.
/// </summary>
internal sealed class NamesFile(string stateDirectory, ILogger<NamesFile> log)
{
    private readonly string _path = Path.Combine(stateDirectory, "state", "names.json");

    public void Save(ushort proxyPort, PolicyEngine engine)
    {
        var saved = new SavedNames(
            proxyPort,
            [.. engine.NameIdentities.Select(i => new SavedIdentity(i.Key.Value, [.. i.Value.Select(l => l.ToString())]))],
            [.. engine.Names.Entries.Select(SavedLease.From)]);
        Directory.CreateDirectory(Path.GetDirectoryName(_path)!);
        string temporary = _path + ".new";
        using (FileStream file = File.Create(temporary))
            JsonSerializer.Serialize(file, saved, SavedNamesJson.Default.SavedNames);
        File.Move(temporary, _path, overwrite: true);
    }

    /// <summary>Gives the engine what an earlier run saved; returns the proxy's port of then, 0 when it is not known.</summary>
    public ushort Restore(PolicyEngine engine)
    {
        if (!File.Exists(_path))
            return 0;
        try
        {
            using FileStream file = File.OpenRead(_path);
            SavedNames saved = JsonSerializer.Deserialize(file, SavedNamesJson.Default.SavedNames) ?? throw new JsonException("the file is empty");
            foreach (SavedIdentity identity in saved.Identities)
                engine.RestoreNameIdentity(new SecurityIdentity(identity.Id), LabelSet.Parse(identity.Labels));
            foreach (SavedLease lease in saved.Leases)
                engine.Names.Add(lease.Restore());
            return saved.ProxyPort;
        }
        catch (Exception e) when (e is JsonException or FormatException or IOException)
        {
            log.LogError("Names of the earlier run are lost: {File} cannot be used: {Reason}", _path, e.Message);
            return 0;
        }
    }
}

internal sealed record SavedIdentity(uint Id, string[] Labels);

/// <param name="At">Of the lookup, Unix time in seconds, like <paramref name="Expires"/>.</param>
internal sealed record SavedLease(string Name, string Address, long At, int Ttl, long Expires, ushort[] Endpoints)
{
    public static SavedLease From(NameEntry entry) => new(
        entry.Name,
        entry.Address.ToString(),
        entry.Lease.LookedUp.ToUnixTimeSeconds(),
        (int)entry.Lease.Ttl.TotalSeconds,
        entry.Lease.Expires.ToUnixTimeSeconds(),
        [.. entry.Lease.Endpoints]);

    /// <exception cref="FormatException">The address is malformed.</exception>
    public NameEntry Restore() => new(
        Name,
        IpAddress.Parse(Address),
        new NameLease(
            DateTimeOffset.FromUnixTimeSeconds(At), TimeSpan.FromSeconds(Ttl), DateTimeOffset.FromUnixTimeSeconds(Expires), [.. Endpoints]));
}

internal sealed record SavedNames(ushort ProxyPort, SavedIdentity[] Identities, SavedLease[] Leases);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(SavedNames))]
internal sealed partial class SavedNamesJson : JsonSerializerContext;
