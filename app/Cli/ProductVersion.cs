// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Cli;

/// <summary>The version that this program was built as.</summary>
internal static class ProductVersion
{
    public static string Text { get; } = typeof(ProductVersion).Assembly.GetName().Version?.ToString(3) ?? "0.0.0";
}
