// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Axoneme.Kubernetes.Resources;

public sealed record CustomResourceDefinition : Resource
{
    [JsonIgnore]
    public override ResourceKind Definition => Kinds.CustomResourceDefinitions;

    public CustomResourceDefinitionSpec Spec { get => field ?? new(); init; }

    public CustomResourceDefinitionStatus? Status { get; init; }
}

public sealed record CustomResourceDefinitionSpec
{
    public string Group { get => field ?? ""; init; }

    public CustomResourceDefinitionNames Names { get => field ?? new(); init; }

    /// <summary>Namespaced or Cluster.</summary>
    public string Scope { get => field ?? ""; init; }

    public IReadOnlyList<CustomResourceDefinitionVersion>? Versions { get; init; }

    /// <summary>Kept as sent.</summary>
    public JsonElement? Conversion { get; init; }

    public bool? PreserveUnknownFields { get; init; }
}

public sealed record CustomResourceDefinitionNames
{
    public string Plural { get => field ?? ""; init; }

    public string? Singular { get; init; }

    public string Kind { get => field ?? ""; init; }

    public string? ListKind { get; init; }

    public IReadOnlyList<string>? ShortNames { get; init; }

    public IReadOnlyList<string>? Categories { get; init; }
}

public sealed record CustomResourceDefinitionVersion
{
    public string Name { get => field ?? ""; init; }

    public bool Served { get; init; }

    public bool Storage { get; init; }

    public bool? Deprecated { get; init; }

    public CustomResourceValidation? Schema { get; init; }

    public CustomResourceSubresources? Subresources { get; init; }

    public IReadOnlyList<PrinterColumn>? AdditionalPrinterColumns { get; init; }
}

public sealed record CustomResourceValidation
{
    public JsonElement? OpenAPIV3Schema { get; init; }
}

public sealed record CustomResourceSubresources
{
    /// <summary>Present (an empty object) when the kind has a status subresource.</summary>
    public JsonElement? Status { get; init; }

    public JsonElement? Scale { get; init; }
}

public sealed record PrinterColumn
{
    public string Name { get => field ?? ""; init; }

    public string Type { get => field ?? ""; init; }

    public string? Format { get; init; }

    public string? Description { get; init; }

    public int? Priority { get; init; }

    public string JsonPath { get => field ?? ""; init; }
}

public sealed record CustomResourceDefinitionStatus
{
    public IReadOnlyList<Condition>? Conditions { get; init; }

    public CustomResourceDefinitionNames? AcceptedNames { get; init; }

    public IReadOnlyList<string>? StoredVersions { get; init; }
}
