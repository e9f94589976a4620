// SPDX-License-Identifier: Apache-2.0
using Axoneme.Agent.Cluster;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Agent.Tests;

public sealed class TrimmingTests
{
    private static Dictionary<string, string> Pairs(params IEnumerable<string> keys) => keys.ToDictionary(k => new string(k), k => k);

    [Fact]
    public void Slice_keeps_what_services_need_and_shares_what_repeats()
    {
        var trimming = new SliceTrimming();
        EndpointSlice Slice() => trimming.Trim(new EndpointSlice
        {
            Metadata = new ObjectMeta
            {
                Namespace = "shop",
                Name = "web-1",
                Uid = "u",
                ResourceVersion = "7",
                Labels = Pairs("kubernetes.io/service-name", "app"),
                Annotations = Pairs("service.cilium.io/weight", "endpoints.kubernetes.io/last-change-trigger-time"),
            },
            AddressType = "IPv4",
            Ports = [new SlicePort { Name = "http", Port = 80, Protocol = "TCP" }],
            Endpoints =
            [
                new SliceEndpoint
                {
                    Addresses = ["10.0.0.1", "10.0.0.2"],
                    Conditions = new SliceEndpointConditions { Ready = true },
                    NodeName = new string("one"),
                    Zone = new string("a"),
                    Hints = new SliceEndpointHints { ForZones = [new SliceZoneHint { Name = "a" }] },
                    TargetRef = new ObjectReference { Name = "web-0" },
                },
            ],
        });

        EndpointSlice slice = Slice();
        Assert.Equal(("shop", "web-1", "u", "7"), (slice.Metadata.Namespace, slice.Metadata.Name, slice.Metadata.Uid, slice.Metadata.ResourceVersion));
        Assert.Equal(["kubernetes.io/service-name"], slice.Metadata.Labels!.Keys);
        Assert.Equal(["service.cilium.io/weight"], slice.Metadata.Annotations!.Keys);
        SliceEndpoint endpoint = Assert.Single(slice.Endpoints!);
        Assert.Equal("10.0.0.1", Assert.Single(endpoint.Addresses!));
        Assert.Equal(("one", "a", true, "a"), (endpoint.NodeName, endpoint.Zone, endpoint.Conditions!.Ready, endpoint.Hints!.ForZones![0].Name));
        Assert.Null(endpoint.TargetRef);

        SliceEndpoint again = Slice().Endpoints![0];
        Assert.Same(endpoint.NodeName, again.NodeName);
        Assert.Same(endpoint.Conditions, again.Conditions);
        Assert.Same(slice.Ports![0], Slice().Ports![0]);
    }

    [Fact]
    public void Slice_for_all_ports_differs_from_one_for_none()
    {
        var trimming = new SliceTrimming();
        Assert.Null(trimming.Trim(new EndpointSlice { AddressType = "IPv4" }).Ports);
        Assert.Empty(trimming.Trim(new EndpointSlice { AddressType = "IPv4", Ports = [] }).Ports!);
    }

    [Fact]
    public void Service_keeps_its_specification()
    {
        var service = new Service
        {
            Metadata = new ObjectMeta
            {
                Namespace = "shop",
                Name = "web",
                Labels = Pairs("app"),
                Annotations = Pairs("service.cilium.io/type", "kubectl.kubernetes.io/last-applied-configuration"),
            },
            Spec = new ServiceSpec
            {
                Type = "NodePort",
                ClusterIP = "10.96.0.1",
                Selector = new Dictionary<string, string>(),
                SessionAffinity = "ClientIP",
                IpFamilies = ["IPv4"],
                Ports = [new ServicePort { Port = 80, NodePort = 30080, Protocol = "TCP", Name = "http" }],
            },
            Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus() },
        };
        Service trimmed = new ServiceTrimming().Trim(service);
        Assert.Equal(["service.cilium.io/type"], trimmed.Metadata.Annotations!.Keys);
        Assert.Equal(["app"], trimmed.Metadata.Labels!.Keys);
        Assert.Equal(service.Spec.Ports[0], Assert.Single(trimmed.Spec.Ports!));
        Assert.Equal(["IPv4"], trimmed.Spec.IpFamilies!);
        Assert.Empty(trimmed.Spec.Selector!);
        Assert.Equal(
            service.Spec with { Ports = null, IpFamilies = null, Selector = null }, trimmed.Spec with { Ports = null, IpFamilies = null, Selector = null });
        Assert.Same(service.Status, trimmed.Status);
    }
}
