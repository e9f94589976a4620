// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Hosting;

/// <summary>A setting that a CiliumNodeConfig gives to nodes with certain labels.</summary>
/// <param name="Key">Of the config map.</param>
/// <param name="Value">As written.</param>
/// <param name="Source">The object, for messages.</param>
public sealed record ConfigOverride(string Key, string Value, string Source);
