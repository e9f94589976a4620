// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using Axoneme.Datapath;
using Axoneme.Datapath.Abi;
using Axoneme.Network;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.HostPolicy;

/// <summary>
/// The node's policy on disk, <c>state/host_policy.json</c>: what is confirmed, what failed, and, while a version is on trial, the confirmed
/// entries of the policy map. Written through to the disk before a version on trial reaches the kernel, so that an agent that is killed
/// meanwhile, and then has no API to ask, knows what to go back to.
/// </summary>
internal sealed class HostPolicyFile(string stateDirectory, ILogger log)
{
    private readonly string _path = Path.Combine(stateDirectory, "state", "host_policy.json");

    /// <summary>What the last run left; an empty record when there is nothing that can be read.</summary>
    public SavedHostPolicy Load()
    {
        try
        {
            using FileStream content = File.OpenRead(_path);
            return JsonSerializer.Deserialize(content, HostPolicyJson.Default.SavedHostPolicy) ?? new SavedHostPolicy();
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return new SavedHostPolicy();
        }
        catch (Exception e) when (e is IOException or JsonException or UnauthorizedAccessException)
        {
            log.LogWarning("{Path} cannot be read, so nothing counts as confirmed: {Reason}", _path, e.Message);
            return new SavedHostPolicy();
        }
    }

    /// <summary>False, and a word in the log, if it cannot be written: then a restart knows of the state before.</summary>
    public bool TrySave(SavedHostPolicy policy)
    {
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(_path)!);
            string temporary = _path + ".new";
            using (var file = new FileStream(temporary, FileMode.Create, FileAccess.Write))
            {
                JsonSerializer.Serialize(file, policy, HostPolicyJson.Default.SavedHostPolicy);
                file.Flush(flushToDisk: true);
            }

            File.Move(temporary, _path, overwrite: true);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            log.LogError("{Path} cannot be written: {Reason}", _path, e.Message);
            return false;
        }
    }
}

/// <summary>Versions are those of <see cref="HostPolicyTrial"/>, by name of the CiliumClusterwideNetworkPolicy.</summary>
internal sealed record SavedHostPolicy
{
    public ImmutableDictionary<string, string> Confirmed { get; init; } = ImmutableDictionary<string, string>.Empty;

    public ImmutableDictionary<string, string> Rejected { get; init; } = ImmutableDictionary<string, string>.Empty;

    /// <summary>Versions that are tried again.</summary>
    public ImmutableDictionary<string, Postponement> Postponed { get; init; } = ImmutableDictionary<string, Postponement>.Empty;

    /// <summary>The confirmed objects as the API had them, in JSON.</summary>
    public ImmutableDictionary<string, string> Objects { get; init; } = ImmutableDictionary<string, string>.Empty;

    /// <summary>Not null while a version is on trial.</summary>
    public SavedTrial? Trial { get; init; }

    /// <summary>The last one, as long as what it held back is still wanted.</summary>
    public RollBack? RollBack { get; init; }
}

/// <summary>A trial under way, and the policy to go back to.</summary>
internal sealed record SavedTrial(
    string Version, int Interruptions, bool IngressEnforced, bool EgressEnforced, bool Audit, ImmutableArray<SavedPolicyEntry> Entries)
{
    public static SavedTrial From(string version, int interruptions, EndpointPolicy confirmed) => new(
        version,
        interruptions,
        confirmed.IngressEnforced,
        confirmed.EgressEnforced,
        confirmed.Audit,
        [
            .. confirmed.Entries.Values.Select(e => new SavedPolicyEntry(
                (byte)e.Key.Direction, e.Key.Identity.Value, (byte)e.Key.Protocol, e.Key.Port, e.Key.PortBits, e.Deny, e.Precedence, e.Cookie)),
        ]);

    /// <param name="endpoint">Number of the node as an endpoint.</param>
    /// <param name="revision">One that was never used.</param>
    public EndpointPolicy Confirmed(ushort endpoint, uint revision) => new(endpoint, revision)
    {
        IngressEnforced = IngressEnforced,
        EgressEnforced = EgressEnforced,
        Audit = Audit,
        Entries = PolicyMapEntryCollection.Of(Entries.Select(e => e.Restore())),
    };
}

/// <summary>One entry of the policy map.</summary>
internal sealed record SavedPolicyEntry(
    byte Direction, uint Identity, byte Protocol, ushort Port, byte PortBits, bool Deny, uint Precedence, uint Cookie)
{
    public PolicyMapEntry Restore()
        => new(new PolicyMapKey((TrafficDirection)Direction, new SecurityIdentity(Identity), (L4Protocol)Protocol, Port, PortBits))
        {
            Deny = Deny,
            Precedence = Precedence,
            Cookie = Cookie,
        };
}

/// <summary>What was rolled back and why.</summary>
/// <param name="Policies">Names of the objects whose change was on trial.</param>
/// <param name="Reasons">What did not work.</param>
/// <param name="From">When the version came into force.</param>
/// <param name="Until">When the confirmed version came back, and with it what did not work.</param>
internal sealed record RollBack(ImmutableArray<string> Policies, ImmutableArray<string> Reasons, DateTimeOffset From, DateTimeOffset Until)
{
    public override string ToString()
        => $"rolled back to the confirmed policy at {Until:yyyy-MM-ddTHH:mm:ssZ}: under the last version of {string.Join(", ", Policies)}, which was in force since {From:yyyy-MM-ddTHH:mm:ssZ}, {string.Join("; ", Reasons)}";
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(SavedHostPolicy))]
internal sealed partial class HostPolicyJson : JsonSerializerContext;
