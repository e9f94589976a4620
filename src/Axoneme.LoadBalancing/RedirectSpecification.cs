// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.LoadBalancing;

/// <summary>A port of a redirect policy; the name is in lower case, and empty when there is none.</summary>
internal readonly record struct RedirectPortNumber(ushort Port, L4Protocol Protocol, string Name);

/// <summary>A local redirect policy after validation. One that has problems redirects nothing.</summary>
internal sealed record RedirectSpecification
{
    /// <summary>The address that is taken; null with a service.</summary>
    public IpAddress? Address { get; private init; }

    /// <summary>The service whose cluster addresses are taken; null with an address.</summary>
    public ResourceName? Service { get; private init; }

    /// <summary>Empty: every port of the service.</summary>
    public ImmutableArray<RedirectPortNumber> FrontendPorts { get; private init; } = [];

    public ImmutableArray<RedirectPortNumber> BackendPorts { get; private init; } = [];

    public LabelSelector Pods { get; private init; } = LabelSelector.Everything;

    public bool SkipsBackends { get; private init; }

    public ImmutableArray<string> Problems { get; private init; } = [];

    public bool IsValid => Problems.IsEmpty;

    public static RedirectSpecification From(CiliumLocalRedirectPolicy policy, CatalogOptions options)
    {
        var reader = new Reader(policy, options);
        RedirectBackend backend = policy.Spec.RedirectBackend;
        IpAddress? address = reader.Address();
        ResourceName? service = reader.Service();
        RedirectFrontend frontend = policy.Spec.RedirectFrontend;
        bool isAddress = frontend.AddressMatcher is not null;
        string path = isAddress ? "spec.redirectFrontend.addressMatcher" : "spec.redirectFrontend.serviceMatcher";
        ImmutableArray<RedirectPortNumber> frontendPorts = reader.Ports(
            path, isAddress ? frontend.AddressMatcher!.ToPorts : frontend.ServiceMatcher?.ToPorts, isNeeded: isAddress);
        ImmutableArray<RedirectPortNumber> backendPorts = reader.Ports("spec.redirectBackend", backend.ToPorts, isNeeded: true);
        if (backend.LocalEndpointSelector is null)
            reader.Problems.Add("spec.redirectBackend.localEndpointSelector: is missing");
        reader.CheckNames(frontendPorts, backendPorts);
        return new RedirectSpecification
        {
            Address = address,
            Service = service,
            FrontendPorts = frontendPorts,
            BackendPorts = backendPorts,
            Pods = backend.LocalEndpointSelector ?? LabelSelector.Everything,
            SkipsBackends = policy.Spec.SkipRedirectFromBackend ?? false,
            Problems = [.. reader.Problems],
        };
    }

    /// <summary>The port of the pods that a port of the frontend goes to; null when the policy leaves that port alone.</summary>
    public RedirectPortNumber? TargetOf(ushort servicePort, L4Protocol protocol, string portName)
    {
        if (!FrontendPorts.IsEmpty)
        {
            int listed = FrontendPorts.AsSpan().IndexOfPort(servicePort, protocol);
            if (listed < 0)
                return null;
            if (FrontendPorts[listed].Name.Length > 0)
                portName = FrontendPorts[listed].Name;
        }

        if (BackendPorts is [var single])
            return single.Protocol == protocol ? single : null;
        foreach (RedirectPortNumber port in BackendPorts)
        {
            if (port.Protocol == protocol && port.Name.Equals(portName, StringComparison.OrdinalIgnoreCase))
                return port;
        }

        return null;
    }

    private sealed class Reader(CiliumLocalRedirectPolicy policy, CatalogOptions options)
    {
        private readonly RedirectFrontend _frontend = policy.Spec.RedirectFrontend;

        public List<string> Problems { get; } = [];

        public IpAddress? Address()
        {
            const string Path = "spec.redirectFrontend.addressMatcher.ip";
            if (_frontend.AddressMatcher is null == _frontend.ServiceMatcher is null)
                Problems.Add("spec.redirectFrontend: exactly one of addressMatcher, serviceMatcher is needed");
            if (_frontend.AddressMatcher is not { } matcher)
                return null;
            if (!IpAddress.TryParse(matcher.Ip, out IpAddress address))
                Problems.Add($"{Path}: '{matcher.Ip}' is not an IP address");
            else if (address.Number == 0 || ServiceFrontends.IsLoopback(address))
                Problems.Add($"{Path}: {address} is not an address that clients could use");
            else if (!options.RedirectableAddresses.IsEmpty && !options.RedirectableAddresses.Any(p => p.Contains(address)))
                Problems.Add($"{Path}: {address} is in none of lrp-address-matcher-cidrs");
            else
                return address;
            return null;
        }

        public ResourceName? Service()
        {
            if (_frontend.ServiceMatcher is not { } matcher)
                return null;
            string own = policy.Metadata.Namespace;
            if (matcher.ServiceName.Length == 0)
                Problems.Add("spec.redirectFrontend.serviceMatcher.serviceName: is missing");
            if (matcher.Namespace != own)
                Problems.Add($"spec.redirectFrontend.serviceMatcher.namespace: '{matcher.Namespace}' is not the policy's namespace '{own}'");
            return new ResourceName(own, matcher.ServiceName);
        }

        public ImmutableArray<RedirectPortNumber> Ports(string path, IReadOnlyList<RedirectPort>? written, bool isNeeded)
        {
            var ports = ImmutableArray.CreateBuilder<RedirectPortNumber>();
            if (written is null or { Count: 0 } && isNeeded)
                Problems.Add($"{path}.toPorts: at least one port is needed");
            for (int i = 0; i < (written?.Count ?? 0); i++)
            {
                RedirectPort port = written![i];
                string name = (port.Name ?? "").ToLowerInvariant();
                if (!ushort.TryParse(port.Port, out ushort number) || number == 0)
                    Problems.Add($"{path}.toPorts[{i}].port: '{port.Port}' is not in the range 1 to {ushort.MaxValue}");
                else if (ProtocolOf(port.Protocol) is not { } protocol)
                    Problems.Add($"{path}.toPorts[{i}].protocol: '{port.Protocol}' is not one of TCP, UDP");
                else if (name.Length == 0 && written.Count > 1)
                    Problems.Add($"{path}.toPorts[{i}].name: is needed where there are several ports");
                else if (ports.Any(p => p.Name == name))
                    Problems.Add($"{path}.toPorts[{i}].name: '{name}' is given twice");
                else
                    ports.Add(new RedirectPortNumber(number, protocol, name));
            }

            return ports.DrainToImmutable();
        }

        // With several ports on both sides, names say which goes where. A service's port may have its name from the service.
        public void CheckNames(ImmutableArray<RedirectPortNumber> frontend, ImmutableArray<RedirectPortNumber> backend)
        {
            foreach (RedirectPortNumber port in frontend)
            {
                if (port.Name.Length == 0 && backend.Length > 1 && _frontend.ServiceMatcher is not null)
                    continue;
                bool hasTarget = backend.Length == 1 ? backend[0].Protocol == port.Protocol
                    : backend.Any(b => b.Name == port.Name && b.Protocol == port.Protocol);
                if (!hasTarget && !backend.IsEmpty)
                    Problems.Add($"spec.redirectBackend.toPorts: none is for {port.Port}/{port.Protocol.ToString().ToUpperInvariant()} of the frontend");
            }
        }

        private static L4Protocol? ProtocolOf(string written) => written.ToUpperInvariant() switch
        {
            "TCP" => L4Protocol.Tcp,
            "UDP" => L4Protocol.Udp,
            _ => null,
        };
    }
}

internal static class RedirectPorts
{
    public static int IndexOfPort(this ReadOnlySpan<RedirectPortNumber> ports, ushort port, L4Protocol protocol)
    {
        for (int i = 0; i < ports.Length; i++)
        {
            if (ports[i].Port == port && ports[i].Protocol == protocol)
                return i;
        }

        return -1;
    }
}
