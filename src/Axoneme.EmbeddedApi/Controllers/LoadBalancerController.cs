// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;
using Axoneme.EmbeddedApi.Validation;
using Axoneme.Network;

namespace Axoneme.EmbeddedApi.Controllers;

/// <summary>
/// What a cloud does for services of type LoadBalancer: an address of each of their families, kept as long as they want one. Services that
/// name a class belong to somebody else.
/// </summary>
internal sealed class LoadBalancerController(ApiMachinery machinery, EmbeddedApiOptions options) : Controller(machinery, options.Log)
{
    // Until somebody gives an address back.
    private static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(1);

    protected override IEnumerable<(string, Func<StoredObject, IEnumerable<string>>)> Sources
        => options.LoadBalancerCidrs.Count == 0 ? [] : [("services", o => Concerns(o) ? [KeyOf(o)] : [])];

    private static bool Concerns(StoredObject service)
        => ExternalServiceRules.IsLoadBalancer(service.Value) || service.Value.Objects("status", "loadBalancer", "ingress").Any();

    protected override void Reconcile(string key)
    {
        (string ns, string name) = Split(key);
        if (Store.Get(Type("services"), ns, name) is not { IsDeleting: false } service || service.Value.Text("spec", "loadBalancerClass") is not null)
            return;
        var present = service.Value.Objects("status", "loadBalancer", "ingress").Select(i => i.Text("ip") ?? "").ToList();
        List<string> wanted = ExternalServiceRules.IsLoadBalancer(service.Value) ? [.. Addresses(service, present)] : [];
        if (wanted.Count == 0 && ExternalServiceRules.IsLoadBalancer(service.Value))
            EnqueueAfter(key, RetryDelay);
        if (wanted.SequenceEqual(present))
            return;
        Machinery.Modify(Type("services"), ns, name, WriteContext.Internal with { Subresource = "status" }, live =>
        {
            JsonObject balancer = live.Ensure("status", "loadBalancer");
            // What somebody else added to an address that stays, such as its mode, stays with it.
            var kept = balancer.Objects("ingress").ToDictionary(i => i.Text("ip") ?? "", i => i.Copy());
            balancer["ingress"] = JsonAccess.ToArray(wanted.Select(ip => kept.GetValueOrDefault(ip) ?? new JsonObject { ["ip"] = ip }));
            if (wanted.Count == 0)
                balancer.Remove("ingress");
            return live;
        });
    }

    private IEnumerable<string> Addresses(StoredObject service, List<string> present)
    {
        // Looks through all services, so only where an address is needed.
        var taken = new Lazy<HashSet<IpAddress>>(() => Taken(service));
        IpAddress[] held = [.. present.Where(t => IpAddress.TryParse(t, out _)).Select(IpAddress.Parse)];
        foreach (string family in service.Value.Texts("spec", "ipFamilies"))
        {
            if (options.LoadBalancerCidrs.FirstOrDefault(p => ServiceRules.Family(p.IsV6) == family) is not { Length: > 0 } pool)
                continue;
            bool named = IpAddress.TryParse(service.Value.Text("spec", "loadBalancerIP"), out IpAddress wish) && pool.Contains(wish);
            IpAddress[] kept = [.. held.Where(a => pool.Contains(a) && (!named || a == wish))];
            IpAddress? address = kept is [var own, ..] ? own
                : !named ? FindFree(pool, taken.Value)
                // An address that another service holds is waited for.
                : taken.Value.Contains(wish) ? null : wish;
            if (address is { } given)
                yield return given.ToString();
        }
    }

    private HashSet<IpAddress> Taken(StoredObject service)
        => [.. Store.Snapshot(Type("services")).All.Where(s => s.Uid != service.Uid)
            .SelectMany(s => s.Value.Objects("status", "loadBalancer", "ingress"))
            .Select(i => i.Text("ip")).Where(t => IpAddress.TryParse(t, out _)).Select(t => IpAddress.Parse(t!))];

    private static IpAddress? FindFree(IpPrefix pool, HashSet<IpAddress> taken)
    {
        UInt128 size = UInt128.One << (pool.Address.BitCount - pool.Length);
        for (UInt128 i = 1; i < size - 1; i++)
            if (!taken.Contains(pool.Address.Add(i)))
                return pool.Address.Add(i);
        return null;
    }
}
