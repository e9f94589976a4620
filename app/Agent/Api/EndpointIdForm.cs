// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using Axoneme.Agent.Cni;
using Axoneme.Agent.Endpoints;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.Agent.Api;

/// <summary>The ways to name an endpoint: a number, or <c>PREFIX:VALUE</c>.</summary>
internal static class EndpointIdForm
{
    private const string Forms = "a number, cilium-local:, container-id:, container-name:, pod-name:, cep-name:, cni-attachment-id:, ipv4: or ipv6:";

    /// <exception cref="ApiException">No form fits; the message says what is wrong.</exception>
    public static Func<Endpoint, bool> Parse(string id)
    {
        int colon = id.IndexOf(':');
        if (colon < 0)
            return ByNumber(id);
        string value = id[(colon + 1)..];
        if (value.Length == 0)
            throw ApiException.BadRequest($"endpoint id '{id}': nothing follows the prefix");
        return id[..colon] switch
        {
            "cilium-local" => ByNumber(value),
            "container-id" => endpoint => endpoint.Attachment.ContainerId == value,
            // Runtimes do not tell a plugin the names of containers, so nothing has one.
            "container-name" => static _ => false,
            "pod-name" or "cep-name" => ByPod(value),
            "cni-attachment-id" => ByAttachment(value),
            "ipv4" => ByAddress(value, isV6: false),
            "ipv6" => ByAddress(value, isV6: true),
            string prefix => throw ApiException.BadRequest($"endpoint id '{id}': the prefix '{prefix}' is unknown; use {Forms}"),
        };
    }

    private static Func<Endpoint, bool> ByNumber(string text)
    {
        if (!ushort.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ushort number) || number == 0)
            throw ApiException.BadRequest($"endpoint id '{text}' is not a number from 1 to {ushort.MaxValue}; an id is {Forms}");
        return endpoint => endpoint.Id == number;
    }

    private static Func<Endpoint, bool> ByPod(string text)
    {
        if (text.Split('/') is not [{ Length: > 0 } space, { Length: > 0 } name])
            throw ApiException.BadRequest($"'{text}' is not a pod: NAMESPACE/NAME");
        var pod = new ResourceName(space, name);
        return endpoint => endpoint.Pod == pod;
    }

    private static Func<Endpoint, bool> ByAttachment(string text)
    {
        if (text.Split(':') is not [{ Length: > 0 } container, { Length: > 0 } device])
            throw ApiException.BadRequest($"'{text}' is not an attachment: CONTAINER:INTERFACE");
        var attachment = new CniAttachmentId(container, device);
        return endpoint => endpoint.Attachment == attachment;
    }

    private static Func<Endpoint, bool> ByAddress(string text, bool isV6)
    {
        if (!IpAddress.TryParse(text, out IpAddress address) || address.IsV6 != isV6)
            throw ApiException.BadRequest($"'{text}' is not an {(isV6 ? "IPv6" : "IPv4")} address");
        return endpoint => (isV6 ? endpoint.IPv6 : endpoint.IPv4) == address;
    }
}
