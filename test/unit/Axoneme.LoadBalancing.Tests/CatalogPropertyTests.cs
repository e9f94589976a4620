// SPDX-License-Identifier: Apache-2.0
using System.Collections.Frozen;
using System.Collections.Immutable;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;

namespace Axoneme.LoadBalancing.Tests;

/// <summary>Random sequences of events: what the catalogue published, added up, is what the objects mean.</summary>
public sealed class CatalogPropertyTests
{
    [Fact]
    public void Changes_add_up_to_what_the_objects_mean()
    {
        int frontends = 0;
        int exemptions = 0;
        for (int seed = 0; seed < 60; seed++)
        {
            var run = new Run(seed);
            for (int step = 0; step < 120; step++)
            {
                run.Step();
                (frontends, exemptions) = (frontends + run.FrontendCount, exemptions + run.ExemptionCount);
            }
        }

        Assert.True(frontends > 50_000 && exemptions > 500, $"only {frontends} frontends and {exemptions} exemptions were compared");
    }

    private sealed class Run
    {
        private const string Zone = "here";
        private static readonly string[] Names = ["a", "b", "c", "d"];
        private static readonly string[] Addresses = ["10.96.0.1", "10.96.0.2", "198.51.100.1", "172.30.0.11", "172.30.0.12"];
        private static readonly string[] NodeAddresses = ["172.30.0.11", "192.0.2.11"];
        private static readonly int[] PortNumbers = [80, 81, 8000];

        private readonly Random _random;
        private readonly ServiceCatalog _catalog = new(new CatalogOptions
        {
            NodeName = "one",
            ServiceTopology = true,
            LocalRedirectPolicies = true,
            NodePortMinimum = 30000,
        });

        private readonly NaiveCatalog _model = new("one", Zone);
        private readonly Dictionary<L4Address, Frontend> _frontends = [];
        private readonly HashSet<IpAddress> _guarded = [];
        private readonly HashSet<RedirectExemption> _exemptions = [];
        private int _policies;

        public Run(int seed)
        {
            _random = new Random(seed);
            SetNode();
        }

        public int FrontendCount => _frontends.Count;

        public int ExemptionCount => _exemptions.Count;

        public void Step()
        {
            // Several events before a commit: those in between are never seen.
            for (int i = _random.Next(1, 4); i > 0; i--)
                Event();
            Apply(_catalog.Commit());
            Assert.Equal(_model.Frontends(), _frontends.Values.Select(Describe).ToHashSet());
            Assert.Equal(_model.GuardedAddresses(), _guarded.Select(a => a.ToString()).ToHashSet());
            Assert.Equal(_model.Exemptions(), _exemptions.Select(e => $"{e.Pod.Name} {e.Frontend}").ToHashSet());
            Assert.True(_catalog.Commit().IsEmpty);
            Assert.Equal(_frontends.Count, _catalog.Frontends.Count());
        }

        private void Event()
        {
            string name = Pick(Names);
            var service = new ResourceName("shop", name);
            var slice = new ResourceName("shop", $"{name}-{_random.Next(3)}");
            switch (_random.Next(16))
            {
                case 0:
                    _model.Services.Remove(service);
                    _catalog.DeleteService(service);
                    break;
                case 1:
                    _model.Slices.Remove(slice);
                    _catalog.DeleteSlice(slice);
                    break;
                case 2 or 3 or 4:
                    _catalog.Upsert(_model.Services[service] = RandomService(name));
                    break;
                case 5 or 6 or 7 or 8:
                    // Now and then a slice goes over to another service.
                    string owner = _random.Next(10) == 0 ? Pick(Names) : name;
                    _catalog.Upsert(_model.Slices[slice] = RandomSlice(slice, owner));
                    break;
                case 9 or 10:
                    _catalog.Upsert(_model.Pods[service] = RandomPod(service));
                    break;
                case 11:
                    _model.Pods.Remove(service);
                    _catalog.DeletePod(service);
                    break;
                case 12 or 13:
                    ChangePolicy(service);
                    break;
                case 14:
                    SetListener();
                    break;
                default:
                    SetNode();
                    break;
            }
        }

        private Service RandomService(string name)
        {
            string address = Pick(Addresses);
            return new Service
            {
                Metadata = new ObjectMeta { Namespace = "shop", Name = name, CreationTimestamp = RandomTime() },
                Spec = new ServiceSpec
                {
                    Type = Pick("ClusterIP", "NodePort", "LoadBalancer"),
                    ClusterIP = address,
                    ClusterIPs = [address],
                    ExternalIPs = _random.Next(3) == 0 ? [Pick(Addresses)] : null,
                    InternalTrafficPolicy = Pick("Cluster", "Cluster", "Local"),
                    ExternalTrafficPolicy = Pick("Cluster", "Local"),
                    Ports =
                    [
                        .. PortNumbers[..(1 + _random.Next(2))].Select(p => new ServicePort
                        {
                            Name = $"p{p}", Port = p, Protocol = Pick("TCP", "TCP", "UDP"), NodePort = _random.Next(3) == 0 ? 8000 : p + 30000,
                        }).DistinctBy(p => (p.NodePort, p.Protocol)),
                    ],
                },
                Status = new ServiceStatus
                {
                    LoadBalancer = new LoadBalancerStatus
                    {
                        Ingress = [new LoadBalancerIngress { Ip = Pick(Addresses), IpMode = Pick("VIP", "VIP", "Proxy") }],
                    },
                },
            };
        }

        private EndpointSlice RandomSlice(ResourceName name, string service) => new()
        {
            Metadata = new ObjectMeta
            {
                Namespace = name.Namespace,
                Name = name.Name,
                Labels = new Dictionary<string, string> { ["kubernetes.io/service-name"] = service },
                Annotations = _random.Next(4) == 0
                    ? new Dictionary<string, string> { ["service.cilium.io/weight"] = Pick("0", "50") } : null,
            },
            AddressType = "IPv4",
            Ports = [.. PortNumbers[..2].Select(p => new SlicePort { Name = $"p{p}", Port = p + 1000 + _random.Next(2), Protocol = Pick("TCP", "UDP") })],
            Endpoints = [.. Enumerable.Range(0, _random.Next(4)).Select(_ => RandomEndpoint())],
        };

        private SliceEndpoint RandomEndpoint() => new()
        {
            Addresses = [$"10.0.0.{_random.Next(6)}"],
            NodeName = Pick("one", "two"),
            Conditions = new SliceEndpointConditions
            {
                Ready = _random.Next(2) == 0,
                Serving = _random.Next(2) == 0,
                Terminating = _random.Next(2) == 0,
            },
            Hints = _random.Next(3) == 0 ? null : new SliceEndpointHints { ForZones = [new SliceZoneHint { Name = Pick(Zone, "there") }] },
        };

        private LocalPod RandomPod(ResourceName name) => new()
        {
            Name = name,
            Created = RandomTime(),
            Labels = new Dictionary<string, string> { ["app"] = Pick("dns", "web") },
            Addresses = _random.Next(5) == 0 ? [] : [IpAddress.Parse($"10.0.1.{_random.Next(4)}")],
            IsReady = _random.Next(4) > 0,
            IsTerminating = _random.Next(4) == 0,
            UsesHostNetwork = _random.Next(6) == 0,
            HostPorts = _random.Next(2) == 0 ? [] : [new PodHostPort(Pick(80, 8000), 53, Pick("TCP", "UDP"), Pick("", "", "127.0.0.1", "172.30.0.11"))],
        };

        // A policy is never changed, only deleted and made anew, and every one has a uid of its own.
        private void ChangePolicy(ResourceName name)
        {
            if (_model.Policies.Remove(name))
                _catalog.DeleteRedirectPolicy(name);
            if (_random.Next(3) == 0)
                return;
            var port = new RedirectPort { Port = "80", Protocol = Pick("TCP", "UDP") };
            var policy = new CiliumLocalRedirectPolicy
            {
                Metadata = new ObjectMeta { Namespace = "shop", Name = name.Name, Uid = $"{_policies++}", CreationTimestamp = RandomTime() },
                Spec = new CiliumLocalRedirectPolicySpec
                {
                    RedirectFrontend = _random.Next(2) == 0
                        ? new RedirectFrontend { ServiceMatcher = new RedirectService { ServiceName = Pick(Names), Namespace = "shop" } }
                        : new RedirectFrontend { AddressMatcher = new RedirectAddress { Ip = Pick(Addresses), ToPorts = [port] } },
                    RedirectBackend = new RedirectBackend
                    {
                        LocalEndpointSelector = new LabelSelector { MatchLabels = new Dictionary<string, string> { ["app"] = Pick("dns", "web") } },
                        ToPorts = [port with { Port = "5353" }],
                    },
                    SkipRedirectFromBackend = _random.Next(2) == 0,
                },
            };
            _catalog.Upsert(_model.Policies[name] = policy);
        }

        private void SetListener()
        {
            var listener = new L4Address(IpAddress.Parse(Pick("0.0.0.0", "172.30.0.11", "10.96.0.1")), (ushort)Pick(80, 8000, 30080), L4Protocol.Tcp);
            bool isThere = _model.Listeners.Add(listener.ToString());
            if (!isThere)
                _model.Listeners.Remove(listener.ToString());
            _catalog.SetListener(listener, isThere);
        }

        private void SetNode()
        {
            _model.NodePortAddresses = [.. NodeAddresses[..(1 + _random.Next(2))]];
            _model.OtherNodes = _random.Next(2) == 0 ? ["172.30.0.12"] : [];
            ImmutableArray<IpAddress> own = [.. _model.NodePortAddresses.Select(IpAddress.Parse)];
            _catalog.SetOtherNodes(_model.OtherNodes.Select(IpAddress.Parse));
            _catalog.SetNode(new NodeFacts
            {
                NodePortAddresses = own,
                Addresses = own.ToFrozenSet(),
                Labels = new Dictionary<string, string> { ["topology.kubernetes.io/zone"] = Zone }.ToFrozenDictionary(),
            });
        }

        private void Apply(CatalogChange change)
        {
            foreach (Frontend frontend in change.Deletes)
                Assert.True(_frontends.Remove(frontend.Address, out Frontend? was) && was.Equals(frontend));
            foreach (Frontend frontend in change.Upserts)
            {
                Assert.False(frontend.Equals(_frontends.GetValueOrDefault(frontend.Address)));
                _frontends[frontend.Address] = frontend;
            }

            Assert.All(change.ReleasedAddresses, a => Assert.True(_guarded.Remove(a)));
            Assert.All(change.GuardedAddresses, a => Assert.True(_guarded.Add(a)));
            Assert.All(change.EndedExemptions, e => Assert.True(_exemptions.Remove(e)));
            Assert.All(change.NewExemptions, e => Assert.True(_exemptions.Add(e)));
        }

        private DateTimeOffset RandomTime() => DateTimeOffset.UnixEpoch.AddSeconds(_random.Next(3));

        private T Pick<T>(params ReadOnlySpan<T> choices) => choices[_random.Next(choices.Length)];

        private static string Describe(Frontend f)
        {
            Assert.Equal(f.Inside.Equals(f.Outside), ReferenceEquals(f.Inside, f.Outside));
            return $"{f.Address} {f.Type} {f.Service.Name} redirect={f.RedirectPolicy?.Name} in {Describe(f.Inside)} out {Describe(f.Outside)}";
        }

        private static string Describe(BackendSet set)
            => $"{set.UsableCount} of {string.Join(',', set.Backends.Select(b => $"{b.Address.Address}:{b.Address.Port}:{b.State}"))}";
    }
}
