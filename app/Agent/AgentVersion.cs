// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Agent;

internal static class AgentVersion
{
    /// <summary>Semantic version without a leading v.</summary>
    public static string Text { get; } = typeof(AgentVersion).Assembly.GetName().Version!.ToString(3);
}
