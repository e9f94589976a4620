// SPDX-License-Identifier: Apache-2.0
using System.Security.Cryptography;
using System.Text;
using Axoneme.AgentApi;
using Axoneme.Network;
using Axoneme.Policy;

namespace Axoneme.Agent.Api;

/// <summary>Identities as the policy engine knows them: reserved, cluster-wide, and this node's own for address blocks.</summary>
internal sealed class IdentityViews(ApiSources sources)
{
    public IReadOnlyList<IdentityModel> All()
    {
        PolicyIdentity[] identities = sources.Control.Policies.Read(engine => engine.Identities.ToArray());
        return [.. identities.OrderBy(i => i.Id).Select(i => Model(i.Id, i.Labels))];
    }

    public IdentityModel Get(string text)
    {
        if (!uint.TryParse(text, out uint number))
            throw ApiException.BadRequest($"'{text}' is not an identity: it must be a number");
        var id = new SecurityIdentity(number);
        PolicyIdentity? identity = sources.Control.Policies.Read(engine => engine.FindIdentity(id));
        return identity is null ? throw ApiException.NotFound($"there is no identity {number}") : Model(id, identity.Labels);
    }

    public IReadOnlyList<IdentityInUse> InUse() =>
    [
        .. (sources.Running?.Endpoints.Endpoints.Snapshot().Values ?? [])
            .GroupBy(endpoint => endpoint.Identity)
            .OrderBy(group => group.Key)
            .Select(group => new IdentityInUse(Model(group.Key, group.First().Labels), group.Count())),
    ];

    public static IdentityModel Model(SecurityIdentity id, LabelSet labels)
        => new(id.Value, [.. labels.Select(label => label.ToString())], Hash(labels));

    // Each label with its end marked, so that two sets do not run together into the same text.
    private static string Hash(LabelSet labels)
    {
        var text = new StringBuilder();
        foreach (Label label in labels)
            text.Append(label.Source).Append(':').Append(label.Key).Append('=').Append(label.Value).Append(';');
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())));
    }
}
