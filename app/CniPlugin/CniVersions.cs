// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.CniPlugin;

/// <summary>The versions of the CNI specification that results can be written in.</summary>
internal static class CniVersions
{
    private const string Newest = "1.1.0";

    public static string Answer(string config)
        => $$"""
            {"cniVersion":"{{Of(config)}}","supportedVersions":["0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}

            """;

    /// <summary>
    /// The configuration's <c>cniVersion</c>, found by search: this is for answers that the plugin gives alone, and a JSON
    /// reader would be the largest part of the process. The agent parses the configuration properly.
    /// </summary>
    public static string Of(string config)
    {
        int name = config.IndexOf("\"cniVersion\"", StringComparison.Ordinal);
        int open = name < 0 ? -1 : config.IndexOf('"', name + "\"cniVersion\"".Length);
        int close = open < 0 ? -1 : config.IndexOf('"', open + 1);
        if (close < 0)
            return Newest;
        string version = config[(open + 1)..close];
        return version.All(c => char.IsAsciiDigit(c) || c == '.') ? version : Newest;
    }
}
