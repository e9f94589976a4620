// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Datapath;

/// <summary>
/// Chooses the backend of every slot of a Maglev table: <paramref name="slots"/> gets indexes into <paramref name="backends"/>. A function of
/// the set of addresses with their weights (not of their order) and of the seed it was made with, so that all nodes choose alike.
/// </summary>
/// <param name="backends">At least one, and at most 65536; one of weight 0 gets no slot unless all weigh 0.</param>
/// <param name="slots">The whole table; its length is the configured size, a prime.</param>
public delegate void MaglevFill(ReadOnlySpan<BackendMapEntry> backends, Span<ushort> slots);
