// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Cli.Testing;

/// <summary><c>axoneme test [TIER...]</c>.</summary>
internal static class TestCommand
{
    public static Task<int> RunAsync(string[] arguments) => Task.FromResult(1);
}
