// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Serialization;

namespace Axoneme.AgentApi;

/// <summary>JSON of everything under /v1, for the agent that writes it and the command line that reads it.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.KebabCaseLower,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(StatusResponse))]
[JsonSerializable(typeof(DaemonConfig))]
[JsonSerializable(typeof(DaemonConfigSpec))]
[JsonSerializable(typeof(ClusterNodes))]
[JsonSerializable(typeof(BpfMapList))]
[JsonSerializable(typeof(BpfMapModel))]
[JsonSerializable(typeof(PolicyModel))]
[JsonSerializable(typeof(IReadOnlyList<SelectorModel>))]
[JsonSerializable(typeof(EndpointModel))]
[JsonSerializable(typeof(IReadOnlyList<EndpointModel>))]
[JsonSerializable(typeof(EndpointHealth))]
[JsonSerializable(typeof(EndpointSpec))]
[JsonSerializable(typeof(EndpointConfigStatus))]
[JsonSerializable(typeof(LabelConfiguration))]
[JsonSerializable(typeof(IReadOnlyList<NodeIdModel>))]
[JsonSerializable(typeof(IdentityModel))]
[JsonSerializable(typeof(IReadOnlyList<IdentityModel>))]
[JsonSerializable(typeof(IReadOnlyList<IdentityInUse>))]
[JsonSerializable(typeof(IReadOnlyList<IpEntry>))]
[JsonSerializable(typeof(IReadOnlyList<ServiceModel>))]
[JsonSerializable(typeof(IReadOnlyList<RedirectPolicyModel>))]
[JsonSerializable(typeof(IReadOnlyList<MetricSeries>))]
[JsonSerializable(typeof(IReadOnlyList<TableSummary>))]
[JsonSerializable(typeof(TableContents))]
[JsonSerializable(typeof(PolicyInputs))]
[JsonSerializable(typeof(IReadOnlyList<NameLookup>))]
[JsonSerializable(typeof(NamePolicies))]
[JsonSerializable(typeof(ApiError))]
public sealed partial class AgentJson : JsonSerializerContext;
