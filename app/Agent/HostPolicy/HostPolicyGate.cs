// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using Axoneme.Network;
using Axoneme.Policy;

namespace Axoneme.Agent.HostPolicy;

/// <summary>
/// Stands between policy objects and the engine: of each object's rules for the node it hands on those that <see cref="HostPolicyTrial"/> has
/// in force; its rules for pods pass as they are. Not thread-safe: used by whoever owns the engine.
/// </summary>
/// <param name="trial">Decides.</param>
/// <param name="labels">Of the node, as of now.</param>
internal sealed class HostPolicyGate(HostPolicyTrial trial, Func<LabelSet> labels)
{
    private static readonly LabelsSelector Host = new(LabelRequirement.Exists(Label.Reserved, "host"));
    private static readonly LabelsSelector Nobody = new(LabelRequirement.Exists(Label.Reserved, "nobody"));
    private static readonly PolicyObjectKey KeptKey = new(PolicyKind.CiliumClusterwideNetworkPolicy, "", "(confirmed host policy)");

    private readonly Dictionary<string, PolicyDocument> _wanted = [];
    private readonly Dictionary<string, ImmutableArray<NetworkRule>> _confirmed = [];

    /// <summary>False until all objects that exist are known; so far all pass as they are, and nothing is published.</summary>
    public bool IsComplete { get; set; }

    /// <summary>Called when the rules for the node may have changed, before the engine hears of it.</summary>
    public Action Changed { get; set; } = static () => { };

    public static PolicyObjectKey KeyOf(string name) => new(PolicyKind.CiliumClusterwideNetworkPolicy, "", name);

    /// <summary>Takes note of what users want, and gives what the engine is to have. Null: no such object.</summary>
    public PolicyDocument? Amend(PolicyObjectKey key, PolicyDocument? document)
    {
        if (key.Kind != PolicyKind.CiliumClusterwideNetworkPolicy)
            return document;
        if (document is null)
            _wanted.Remove(key.Name);
        else
            _wanted[key.Name] = document;
        trial.Want(key.Name, VersionOf(document));
        if (!IsComplete)
            return document;
        Changed();
        return InForce(key.Name);
    }

    /// <summary>The labels of the node have changed, and with them the objects that are for it.</summary>
    public void Relabelled()
    {
        foreach ((string name, PolicyDocument document) in _wanted)
            trial.Want(name, VersionOf(document));
        if (IsComplete)
            Changed();
    }

    /// <summary>Rules that were confirmed in an earlier run.</summary>
    public void Restore(string name, IEnumerable<NetworkRule> rules) => _confirmed[name] = [.. rules.Where(IsForNodes)];

    /// <summary>Makes the engine have what is in force of every object.</summary>
    public void Apply(PolicyEngine engine)
    {
        foreach (string name in trial.Objects)
        {
            PolicyObjectKey key = KeyOf(name);
            if (InForce(name) is not { } document)
                engine.DeletePolicy(key);
            else if (!(engine.FindPolicy(key)?.MeansTheSameAs(document) ?? false))
                engine.UpsertPolicy(document);
        }
    }

    /// <summary>
    /// While a version is on trial the address blocks of the confirmed one keep their identities: the entries on disk, which an agent that
    /// starts without the API goes back to, speak of these.
    /// </summary>
    public void KeepConfirmed(PolicyEngine engine)
    {
        NetworkRule[] kept = [.. _confirmed.Values.SelectMany(rules => rules).Select(rule => rule with { Subject = Nobody })];
        if (kept.Length == 0)
            engine.DeletePolicy(KeptKey);
        else
            engine.UpsertPolicy(new PolicyDocument(KeptKey, [.. kept]));
    }

    /// <summary>The end of <see cref="KeepConfirmed"/>. What is in force now is what the trial has confirmed.</summary>
    public void Settle(PolicyEngine engine)
    {
        foreach (string name in _confirmed.Keys.Where(name => !trial.Confirmed.ContainsKey(name)).ToList())
            _confirmed.Remove(name);
        foreach (string name in trial.Confirmed.Keys)
        {
            if (!trial.IsHeld(name) && _wanted.TryGetValue(name, out PolicyDocument? document))
                _confirmed[name] = [.. document.Rules.Where(IsForThisNode)];
        }

        engine.DeletePolicy(KeptKey);
    }

    /// <summary>A text that says what the rules for this node are, whatever else the object has; null when there are none.</summary>
    public string? VersionOf(PolicyDocument? document)
    {
        string[] rules = [.. (document?.Rules ?? []).Where(IsForThisNode).Select(Describe).Order(StringComparer.Ordinal)];
        return rules.Length == 0
            ? null
            : Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', rules))))[..16];
    }

    private PolicyDocument? InForce(string name)
    {
        PolicyDocument? wanted = _wanted.GetValueOrDefault(name);
        if (!trial.IsHeld(name))
            return wanted;
        // Whatever labels the node has by now: these rules were the node's when they were confirmed.
        IEnumerable<NetworkRule> held = _confirmed.GetValueOrDefault(name, []).Select(rule => rule with { Subject = Host });
        ImmutableArray<NetworkRule> rules = [.. (wanted?.Rules ?? []).Where(rule => !IsForThisNode(rule)), .. held];
        return wanted is null && rules.IsEmpty ? null : new PolicyDocument(KeyOf(name), rules);
    }

    private bool IsForThisNode(NetworkRule rule)
        => IsForNodes(rule) && rule.Subject.Matches(new PolicyIdentity(SecurityIdentity.Host, labels()));

    // Rules that are only computed cut nobody off.
    private static bool IsForNodes(NetworkRule rule)
        => !rule.Shadow && rule.Subject is LabelsSelector subject
            && subject.Requirements.Any(r => r is { Source: Label.Reserved, Key: "host", Operator: LabelOperator.Exists });

    private static string Describe(NetworkRule rule)
        => string.Join(
            '|', rule.Direction, rule.Action, rule.Tier, rule.Order, rule.DefaultDeny,
            rule.Peers is { } peers ? string.Join(',', peers.Select(p => p.Text).Order(StringComparer.Ordinal)) : "anyone",
            string.Join(',', rule.Ports.Select(p => p.ToString()).Order(StringComparer.Ordinal)), rule.Redirect);
}
