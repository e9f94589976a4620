// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Linux;

namespace Axoneme.Cli;

/// <summary>Commands that are programs of their own, published next to this one, so that this one stays small.</summary>
internal static partial class SiblingProgram
{
    /// <summary>A verb that becomes <c>../folder/program</c>: same process, so signals, terminal and exit status are the program's.</summary>
    public static Func<string[], Task<int>> Run(string folder, string program) => arguments =>
    {
        string path = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", folder, program));
        if (!File.Exists(path))
            throw new UserErrorException($"{path} is missing; run ./axoneme at the repository root, which builds it");
        _ = Execute(path, [path, .. arguments, null]);
        throw SystemCallException.FromLastError($"execute {path}");
    };

    [LibraryImport("libc", EntryPoint = "execv", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Execute(string path, string?[] arguments);
}
