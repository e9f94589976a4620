// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Datapath;

/// <summary>The older layouts of maps whose entries a newer agent can read.</summary>
internal static class MapLayouts
{
    /// <summary>None so far: no layout has changed since maps are pinned.</summary>
    public static IReadOnlyList<MapLayoutChange> Changes { get; } = [];
}
