// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using System.Text.Json;
using Axoneme.Cni;
using Axoneme.Network;

namespace Axoneme.Agent.Cni;

/// <summary>What an ADD reports: the two ends of the pair and the pod's addresses.</summary>
internal sealed record CniResult(
    string HostInterface, MacAddress HostMac, MacAddress PodMac, int Mtu, IReadOnlyList<IpAddress> Addresses, IReadOnlyList<IpAddress> Gateways);

/// <summary>Writes results and errors in the form of the version that the configuration asks for (CNI specification 1.1, section 5).</summary>
internal static class CniJson
{
    public static byte[] Result(CniCall call, CniResult result) => Write(call.Version, json =>
    {
        json.WriteStartArray("interfaces");
        WriteInterface(json, result.HostInterface, result.HostMac, result.Mtu, sandbox: null, call.Version);
        WriteInterface(json, call.Attachment.InterfaceName, result.PodMac, result.Mtu, call.NetworkNamespace, call.Version);
        json.WriteEndArray();

        json.WriteStartArray("ips");
        for (int i = 0; i < result.Addresses.Count; i++)
        {
            json.WriteStartObject();
            // Dropped from the specification in 1.0.0.
            if (call.Version.StartsWith('0'))
                json.WriteString("version", result.Addresses[i].IsV6 ? "6" : "4");
            json.WriteNumber("interface", 1);
            json.WriteString("address", IpPrefix.Single(result.Addresses[i]).ToString());
            json.WriteString("gateway", result.Gateways[i].ToString());
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("routes");
        foreach (IpAddress gateway in result.Gateways)
        {
            json.WriteStartObject();
            json.WriteString("dst", gateway.IsV6 ? "::/0" : "0.0.0.0/0");
            json.WriteString("gw", gateway.ToString());
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartObject("dns");
        json.WriteEndObject();
    });

    public static byte[] Error(string version, string command, CniErrorCode code, string details) => Write(version, json =>
    {
        json.WriteNumber("code", (int)code);
        json.WriteString("msg", $"cilium-cni {command} failed");
        json.WriteString("details", details);
    });

    private static void WriteInterface(Utf8JsonWriter json, string name, MacAddress mac, int mtu, string? sandbox, string version)
    {
        json.WriteStartObject();
        json.WriteString("name", name);
        json.WriteString("mac", mac.ToString());
        if (version == "1.1.0")
            json.WriteNumber("mtu", mtu);
        if (sandbox is not null)
            json.WriteString("sandbox", sandbox);
        json.WriteEndObject();
    }

    private static byte[] Write(string version, Action<Utf8JsonWriter> body)
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("cniVersion", version);
            body(json);
            json.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }
}
