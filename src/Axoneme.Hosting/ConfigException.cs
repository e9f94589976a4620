// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Hosting;

/// <summary>The configuration cannot be used; carries every problem, so that one run shows them all.</summary>
public sealed class ConfigException(IReadOnlyList<string> problems)
    : Exception("invalid configuration:\n" + string.Join('\n', problems.Select(p => "  " + p)))
{
    public IReadOnlyList<string> Problems { get; } = problems;
}
