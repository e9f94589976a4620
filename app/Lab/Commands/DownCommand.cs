// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Lab.Commands;

/// <summary><c>lab down</c>.</summary>
internal static class DownCommand
{
    public static async Task<int> RunAsync(LabPaths paths, ArgumentList arguments)
    {
        arguments.RequireEmpty();
        using UpDownLock held = UpDownLock.Take(paths);
        Console.WriteLine(await Teardown.RunAsync(paths) ? "the lab is removed" : "no lab was there");
        return 0;
    }
}
