// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;
using Axoneme.Network;

namespace Axoneme.EmbeddedApi.Validation;

/// <summary>Cluster addresses and node ports in use. A node port belongs to one service, which may use it for several protocols.</summary>
internal sealed class ServiceAllocation(EmbeddedApiOptions options)
{
    private readonly Lock _gate = new();
    private readonly HashSet<IpAddress> _addresses = [];
    private readonly HashSet<int> _ports = [];
    private readonly Dictionary<bool, UInt128> _nextOffset = [];
    private int _nextPort = options.FirstNodePort;

    /// <exception cref="ApiException">422: an address or port is taken or outside its range; 500 when a range is used up.</exception>
    public void Reserve(ResourceType type, JsonObject service, JsonObject? old, Reservations reservations)
    {
        JsonObject spec = service.Map("spec")!;
        var errors = new FieldErrors();
        lock (_gate)
        {
            ReserveAddresses(service, spec, old, errors, reservations);
            ReservePorts(service, spec, old, errors, reservations);
        }
        if (errors.Any)
            throw ApiErrors.Invalid(type, service.Text("metadata", "name") ?? "", errors);
        if (old is null)
            return;
        var keptAddresses = Addresses(service).ToHashSet();
        var keptPorts = Ports(service).ToHashSet();
        reservations.OnSuccess(() =>
        {
            lock (_gate)
            {
                _addresses.ExceptWith(Addresses(old).Where(a => !keptAddresses.Contains(a)));
                _ports.ExceptWith(Ports(old).Where(p => !keptPorts.Contains(p)));
            }
        });
    }

    public void Adopt(JsonObject service)
    {
        lock (_gate)
        {
            _addresses.UnionWith(Addresses(service));
            _ports.UnionWith(Ports(service));
        }
    }

    public void Release(JsonObject service)
    {
        lock (_gate)
        {
            _addresses.ExceptWith(Addresses(service));
            _ports.ExceptWith(Ports(service));
        }
    }

    private static IEnumerable<IpAddress> Addresses(JsonObject service)
        => service.Texts("spec", "clusterIPs").Where(t => IpAddress.TryParse(t, out _)).Select(IpAddress.Parse);

    private static IEnumerable<int> Ports(JsonObject service)
        => service.Objects("spec", "ports").Select(p => p.Whole("nodePort")).Append(service.Whole("spec", "healthCheckNodePort"))
            .Where(p => p is > 0).Select(p => (int)p!);

    private void ReserveAddresses(JsonObject service, JsonObject spec, JsonObject? old, FieldErrors errors, Reservations reservations)
    {
        if (ServiceRules.IsHeadless(service) || ServiceRules.IsExternalName(service))
            return;
        var mine = old is null ? [] : Addresses(old).ToHashSet();
        var ips = spec.Texts("clusterIPs").ToList();
        string[] families = [.. spec.Texts("ipFamilies")];
        for (int i = 0; i < families.Length; i++)
        {
            IpPrefix range = options.ServiceCidrs.First(c => ServiceRules.Family(c.IsV6) == families[i]);
            if (i >= ips.Count)
            {
                IpAddress free = FindFree(range);
                ips.Add(free.ToString());
                Take(free, reservations);
                continue;
            }
            IpAddress asked = IpAddress.Parse(ips[i]);
            if (mine.Contains(asked))
                continue;
            if (!range.Contains(asked))
                errors.Invalid("spec.clusterIPs", JsonAccess.ToArray(ips),
                    $"failed to allocate IP {asked}: the provided IP ({asked}) is not in the valid range. The range of valid IPs is {range}");
            else if (_addresses.Contains(asked))
                errors.Invalid("spec.clusterIPs", JsonAccess.ToArray(ips), $"failed to allocate IP {asked}: provided IP is already allocated");
            else
                Take(asked, reservations);
        }
        spec["clusterIPs"] = JsonAccess.ToArray(ips);
        spec["clusterIP"] = ips[0];
    }

    private void Take(IpAddress address, Reservations reservations)
    {
        _addresses.Add(address);
        reservations.OnFailure(() =>
        {
            lock (_gate)
                _addresses.Remove(address);
        });
    }

    // The upper part is handed out in turn, so that an address rests before it is used again; users pick from the lower part.
    private IpAddress FindFree(IpPrefix range)
    {
        int hostBits = range.Address.BitCount - range.Length;
        UInt128 size = hostBits >= 64 ? ulong.MaxValue : UInt128.One << hostBits;
        UInt128 reserved = UInt128.Min(UInt128.Max(size / 16, 16), 256);
        UInt128 first = size > reserved * 2 ? reserved : 1, count = size - first - 1;
        UInt128 start = _nextOffset.GetValueOrDefault(range.IsV6);
        for (UInt128 i = 0; i < count; i++)
        {
            UInt128 offset = (start + i) % count;
            IpAddress candidate = range.Address.Add(first + offset);
            if (_addresses.Contains(candidate))
                continue;
            _nextOffset[range.IsV6] = offset + 1;
            return candidate;
        }
        throw new ApiException(500, "InternalError", $"Internal error occurred: failed to allocate a serviceIP: range {range} is full", null);
    }

    private void ReservePorts(JsonObject service, JsonObject spec, JsonObject? old, FieldErrors errors, Reservations reservations)
    {
        var mine = old is null ? [] : Ports(old).ToHashSet();
        if (ServiceRules.HasNodePorts(service))
            ReserveNodePorts(spec, mine, errors, reservations);
        if (ExternalServiceRules.NeedsHealthCheck(service))
            ReserveHealthCheckPort(spec, mine, reservations);
    }

    private void ReserveNodePorts(JsonObject spec, HashSet<int> mine, FieldErrors errors, Reservations reservations)
    {
        // One port number with several protocols has one node port.
        var ofPort = new Dictionary<long, int>();
        foreach (JsonObject port in spec.Objects("ports").Where(p => p.Whole("nodePort") is > 0))
            ofPort.TryAdd(port.Whole("port") ?? 0, (int)port.Whole("nodePort")!);
        int i = 0;
        foreach (JsonObject port in spec.Objects("ports"))
        {
            string path = $"spec.ports[{i++}].nodePort";
            int asked = (int)(port.Whole("nodePort") ?? 0);
            if (asked == 0)
            {
                if (!ofPort.TryGetValue(port.Whole("port") ?? 0, out asked))
                    ofPort[port.Whole("port") ?? 0] = asked = FindFreePort();
                port["nodePort"] = asked;
            }

            if (mine.Contains(asked))
                continue;
            if (asked < options.FirstNodePort || asked > options.LastNodePort)
                errors.Invalid(path, asked, OutsideRange);
            else if (!_ports.Add(asked))
                errors.Invalid(path, asked, "provided port is already allocated");
            else
            {
                mine.Add(asked);
                reservations.OnFailure(() => GiveBack(asked));
            }
        }
    }

    private string OutsideRange => $"provided port is not in the valid range. The range of valid ports is {options.FirstNodePort}-{options.LastNodePort}";

    private void ReserveHealthCheckPort(JsonObject spec, HashSet<int> mine, Reservations reservations)
    {
        int asked = (int)(spec.Whole("healthCheckNodePort") ?? 0);
        if (asked == 0)
            spec["healthCheckNodePort"] = asked = FindFreePort();
        if (mine.Contains(asked))
            return;
        string? problem = asked < options.FirstNodePort || asked > options.LastNodePort ? OutsideRange
            : !_ports.Add(asked) ? "provided port is already allocated" : null;
        if (problem is not null)
            throw new ApiException(500, "InternalError",
                $"Internal error occurred: failed to allocate requested HealthCheck NodePort {asked}: {problem}", null);
        reservations.OnFailure(() => GiveBack(asked));
    }

    private void GiveBack(int port)
    {
        lock (_gate)
            _ports.Remove(port);
    }

    private int FindFreePort()
    {
        int count = options.LastNodePort - options.FirstNodePort + 1;
        for (int i = 0; i < count; i++)
        {
            int candidate = options.FirstNodePort + (_nextPort - options.FirstNodePort + i) % count;
            if (_ports.Contains(candidate))
                continue;
            _nextPort = candidate + 1;
            return candidate;
        }
        throw new ApiException(500, "InternalError", "Internal error occurred: failed to allocate a nodePort: range is full", null);
    }
}
