// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;

namespace Axoneme.AgentApi;

/// <summary>What an agent computes policy from (<c>/v1/axoneme/objects</c>).</summary>
/// <param name="Options">Its settings that decide about policy, by their keys in the configuration.</param>
/// <param name="Items">API objects as the agent follows them: pods of its own node only, CiliumEndpoints of all.</param>
/// <param name="Addresses">Blocks outside the cluster with an identity of this node.</param>
public sealed record PolicyInputs(
    IReadOnlyDictionary<string, string> Options, IReadOnlyList<JsonElement> Items, IReadOnlyList<LocalAddress> Addresses);

/// <summary>An address block outside the cluster and its identity on the node.</summary>
public sealed record LocalAddress(string Prefix, uint Identity, IReadOnlyList<string> Labels);
