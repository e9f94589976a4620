// SPDX-License-Identifier: Apache-2.0
using Axoneme.AgentApi;
using Axoneme.Network;

namespace Axoneme.Cli.Cilium;

/// <summary>Labels of identities as far as they are known here: reserved ones always, others while the agent answers.</summary>
internal sealed class IdentityNames
{
    // A convenience must not hold up a command that works without it.
    private static readonly TimeSpan AgentTimeout = TimeSpan.FromSeconds(2);

    private readonly Dictionary<uint, IReadOnlyList<string>> _labels = [];

    public IdentityNames(IEnumerable<IdentityModel> identities)
    {
        foreach ((uint number, string name) in SecurityIdentity.ReservedNames.Concat(SecurityIdentity.AggregateNames))
            _labels[number] = [$"{Label.Reserved}:{name}"];
        foreach (IdentityModel identity in identities.Where(i => i.Labels.Count > 0))
            _labels[(uint)identity.Id] = identity.Labels;
    }

    public static async Task<IdentityNames> FromAgentAsync(AgentFlags flags, CancellationToken cancellation)
    {
        using AgentClient agent = flags.Connect();
        agent.Timeout = AgentTimeout;
        try
        {
            return new IdentityNames(await agent.GetIdentitiesAsync(cancellation).ConfigureAwait(false));
        }
        catch (AgentException)
        {
            // The maps are read just when the agent is down; numbers are what there is then.
            return new IdentityNames([]);
        }
    }

    public IReadOnlyList<string>? Find(SecurityIdentity identity) => _labels.GetValueOrDefault(identity.Value);
}
