// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Axoneme.Kubernetes.Resources;
using Axoneme.Network;
using static Axoneme.LoadBalancing.Tests.Objects;

namespace Axoneme.LoadBalancing.Tests;

/// <summary>Random events; after each, what the changes add up to must be what the objects mean when read at once.</summary>
public sealed class CatalogPropertyTests
{
    private static readonly string[] Names = ["a", "b", "c", "d"];
    private static readonly string[] Addresses = ["10.96.0.1", "10.96.0.2", "10.96.0.3"];

    [Fact]
    public void Changes_add_up_to_what_the_objects_mean()
    {
        int frontends = 0;
        for (int seed = 0; seed < 60; seed++)
        {
            var run = new Run(seed);
            for (int step = 0; step < 150; step++)
                frontends += run.Step();
        }

        Assert.True(frontends > 10_000, $"only {frontends} frontends were compared");
    }

    [Fact]
    public void Change_among_1000_services_reports_its_cost()
    {
        var catalog = new Recorder(new CatalogOptions { NodeName = "one" });
        EndpointSlice Numbered(int i, int pod) => Slice(
            $"s{i}", "x", 8080, Enumerable.Range(0, 10).Select(j => Endpoint($"10.{(i >> 8) + (j == 0 ? pod : 0)}.{i & 255}.{j + 1}")));
        for (int i = 0; i < 1000; i++)
        {
            catalog.Upsert(Service($"s{i}", $"10.96.{i >> 8}.{i & 255}", Port(80)));
            catalog.Upsert(Numbered(i, 0));
        }

        var samples = new List<double>();
        for (int i = 0; i < 501; i++)
        {
            EndpointSlice slice = Numbered(i, 100);
            long start = Stopwatch.GetTimestamp();
            CatalogChange change = catalog.Upsert(slice);
            samples.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
            Assert.Single(change.Upserts);
        }

        samples.Sort();
        TestContext.Current.TestOutputHelper!.WriteLine($"1000 services of 10 backends: slice change {samples[250]:F0} us (p99 {samples[495]:F0} us)");
    }

    private sealed class Run(int seed)
    {
        private readonly Random _random = new(seed);
        private readonly Recorder _catalog = new(new CatalogOptions { NodeName = "one" });
        private readonly Dictionary<ResourceName, Service> _services = [];
        private readonly Dictionary<ResourceName, EndpointSlice> _slices = [];
        private readonly Dictionary<L4Address, Frontend> _frontends = [];

        public int Step()
        {
            Apply(Event());
            Assert.Equal(Expected().Order(StringComparer.Ordinal), _frontends.Values.Select(Describe).Order(StringComparer.Ordinal));
            return _frontends.Count;
        }

        private CatalogChange Event()
        {
            string name = Names[_random.Next(Names.Length)];
            var service = new ResourceName("shop", name);
            var slice = new ResourceName("shop", $"{name}-{_random.Next(3)}");
            switch (_random.Next(6))
            {
                case 0:
                    _services.Remove(service);
                    return _catalog.DeleteService(service);
                case 1:
                    _slices.Remove(slice);
                    return _catalog.DeleteSlice(slice);
                case 2 or 3:
                    _services[service] = RandomService(name);
                    return _catalog.Upsert(_services[service]);
                default:
                    // Now and then a slice goes over to another service.
                    string owner = _random.Next(10) == 0 ? Names[_random.Next(Names.Length)] : name;
                    EndpointSlice random = RandomSlice(owner);
                    _slices[slice] = random with { Metadata = random.Metadata with { Name = slice.Name } };
                    return _catalog.Upsert(_slices[slice]);
            }
        }

        private Service RandomService(string name)
        {
            Service service = Service(name, Addresses[_random.Next(Addresses.Length)], Enumerable.Range(80, 1 + _random.Next(2)).Select(p => Port(p)));
            return service with
            {
                Metadata = service.Metadata with { CreationTimestamp = DateTimeOffset.UnixEpoch.AddSeconds(_random.Next(3)) },
                Spec = service.Spec with { InternalTrafficPolicy = _random.Next(3) == 0 ? "Local" : null },
            };
        }

        private EndpointSlice RandomSlice(string service)
            => Slice(service, "x", 8080 + _random.Next(2), Enumerable.Range(0, _random.Next(4)).Select(_ => Endpoint(
                $"10.0.0.{_random.Next(6)}", "one", ready: _random.Next(2) == 0, serving: _random.Next(2) == 0, terminating: _random.Next(2) == 0)));

        private void Apply(CatalogChange change)
        {
            foreach (Frontend frontend in change.Upserts)
                _frontends[frontend.Address] = frontend;
            foreach (Frontend frontend in change.Deletes)
                Assert.True(_frontends.Remove(frontend.Address));
        }

        private IEnumerable<string> Expected()
        {
            var wanted = _services.Values.SelectMany(s => s.Spec.Ports!.Select(p => (Service: s, Address: $"{s.Spec.ClusterIP}:{p.Port}/TCP")));
            foreach (var claims in wanted.GroupBy(w => w.Address))
            {
                Service owner = claims.Select(c => c.Service).OrderBy(s => s.Metadata.CreationTimestamp).ThenBy(s => s.Metadata.Name, StringComparer.Ordinal).First();
                yield return $"{claims.Key} {owner.Metadata.Name}: {Backends(owner)}";
            }
        }

        private string Backends(Service service)
        {
            var all = from slice in _slices.Values
                      where slice.Metadata.Labels!["kubernetes.io/service-name"] == service.Metadata.Name
                      from endpoint in slice.Endpoints!
                      let c = endpoint.Conditions!
                      let rank = c.Ready == true ? 0 : c.Terminating != true ? 3 : c.Serving == true ? 1 : 2
                      select (Address: IpAddress.Parse(endpoint.Addresses![0]), Port: slice.Ports![0].Port!.Value, Rank: rank);
            var ranked = all.GroupBy(b => (b.Address, b.Port)).Select(g => (g.Key.Address, g.Key.Port, Rank: g.Min(b => b.Rank)))
                .ToList();
            int usable = ranked.Exists(r => r.Rank == 0) ? 0 : 1;
            var ordered = ranked.OrderBy(b => b.Rank == usable ? 0 : b.Rank == 3 ? 2 : 1).ThenBy(b => b.Address).ThenBy(b => b.Port);
            return $"{ranked.Count(b => b.Rank == usable)} of {string.Join(' ', ordered.Select(b => $"{b.Address}:{b.Port}{(b.Rank == 0 ? "" : "-")}"))}";
        }

        private static string Describe(Frontend f)
            => $"{f.Address} {f.Service.Name}: {f.Inside.UsableCount} of "
                + string.Join(' ', f.Inside.Backends.Select(b => $"{b.Address.Address}:{b.Address.Port}{(b.State == BackendState.Active ? "" : "-")}"));
    }
}
