// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using Axoneme.Agent.Cni;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using Axoneme.Policy;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Endpoints;

/// <summary>
/// What the agent must know about an endpoint after a restart, before the API answers: <c>state/ID/ep_config.json</c>. Written
/// by rename, so a killed agent leaves the old file or the new one.
/// </summary>
internal sealed class EndpointStateFile(string stateDirectory, ILogger<EndpointStateFile> log)
{
    private const string FileName = "ep_config.json";

    private readonly string _root = Path.Combine(stateDirectory, "state");

    public void Save(Endpoint endpoint)
    {
        string directory = Path.Combine(_root, endpoint.Id.ToString());
        Directory.CreateDirectory(directory);
        string temporary = Path.Combine(directory, "." + FileName);
        using (var file = new FileStream(temporary, FileMode.Create, FileAccess.Write))
        {
            JsonSerializer.Serialize(file, SavedEndpoint.From(endpoint), EndpointStateJson.Default.SavedEndpoint);
            file.Flush(flushToDisk: false);
        }

        File.Move(temporary, Path.Combine(directory, FileName), overwrite: true);
    }

    public void Delete(ushort id)
    {
        string directory = Path.Combine(_root, id.ToString());
        if (Directory.Exists(directory))
            Directory.Delete(directory, recursive: true);
    }

    /// <summary>All saved endpoints. A file that cannot be read is reported and left for a person to look at.</summary>
    public ImmutableArray<Endpoint> LoadAll()
    {
        if (!Directory.Exists(_root))
            return [];
        var endpoints = ImmutableArray.CreateBuilder<Endpoint>();
        foreach (string directory in Directory.GetDirectories(_root))
        {
            string file = Path.Combine(directory, FileName);
            if (!ushort.TryParse(Path.GetFileName(directory), out ushort id) || !File.Exists(file))
                continue;
            try
            {
                using FileStream content = File.OpenRead(file);
                SavedEndpoint saved = JsonSerializer.Deserialize(content, EndpointStateJson.Default.SavedEndpoint)
                    ?? throw new JsonException("the file is empty");
                endpoints.Add(saved.Restore(id));
            }
            catch (Exception e) when (e is JsonException or FormatException or IOException)
            {
                log.LogError("Endpoint {Id} is not restored: {File} cannot be used: {Reason}", id, file, e.Message);
            }
        }

        return endpoints.ToImmutable();
    }
}

internal sealed record SavedPort(string Name, ushort Port, byte Protocol);

internal sealed record SavedEndpoint(
    string ContainerId,
    string InterfaceName,
    string NetworkNamespace,
    string PodNamespace,
    string PodName,
    string PodUid,
    string HostInterface,
    string HostMac,
    string PodMac,
    string? IPv4,
    string? IPv6,
    string[] Labels,
    uint Identity,
    SavedPort[] NamedPorts,
    ulong NetworkNamespaceCookie = 0)
{
    public static SavedEndpoint From(Endpoint endpoint) => new(
        endpoint.Attachment.ContainerId,
        endpoint.Attachment.InterfaceName,
        endpoint.NetworkNamespace,
        endpoint.Pod.Namespace,
        endpoint.Pod.Name,
        endpoint.PodUid,
        endpoint.HostInterface,
        endpoint.HostMac.ToString(),
        endpoint.PodMac.ToString(),
        endpoint.IPv4?.ToString(),
        endpoint.IPv6?.ToString(),
        [.. endpoint.Labels.Select(label => label.ToString())],
        endpoint.Identity.Value,
        [.. endpoint.NamedPorts.Ports.Select(port => new SavedPort(port.Name, port.Port, (byte)port.Protocol))],
        endpoint.NetworkNamespaceCookie);

    /// <exception cref="FormatException">An address is malformed.</exception>
    public Endpoint Restore(ushort id) => new()
    {
        Id = id,
        Attachment = new CniAttachmentId(ContainerId, InterfaceName),
        NetworkNamespace = NetworkNamespace,
        NetworkNamespaceCookie = NetworkNamespaceCookie,
        Pod = new ResourceName(PodNamespace, PodName),
        PodUid = PodUid,
        HostInterface = HostInterface,
        HostMac = MacAddress.Parse(HostMac),
        PodMac = MacAddress.Parse(PodMac),
        IPv4 = IPv4 is null ? null : IpAddress.Parse(IPv4),
        IPv6 = IPv6 is null ? null : IpAddress.Parse(IPv6),
        Labels = LabelSet.Parse(Labels),
        Identity = new SecurityIdentity(Identity),
        NamedPorts = Policy.NamedPorts.From(NamedPorts.Select(port => new NamedPort(port.Name, (L4Protocol)port.Protocol, port.Port))),
        State = EndpointState.Restoring,
    };
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(SavedEndpoint))]
internal sealed partial class EndpointStateJson : JsonSerializerContext;
