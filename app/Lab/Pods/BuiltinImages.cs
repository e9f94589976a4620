// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Lab.Pods;

/// <summary>
/// The lab pulls no images: a pod's command runs as a process of this machine. These few image names bring a command of their own.
/// </summary>
internal static class BuiltinImages
{
    private static readonly Dictionary<string, string> Verbs = new()
    {
        ["axoneme.io/echo"] = "echo",
        ["axoneme.io/client"] = "idle",
        ["axoneme.io/dns"] = "dns",
        ["axoneme.io/http"] = "http",
    };

    public static IEnumerable<string> Names => Verbs.Keys;

    /// <summary>The command line of a container, or null when neither its command nor its image says what to run.</summary>
    public static IReadOnlyList<string>? CommandLine(Container container)
    {
        if (container.Command is { Count: > 0 } command)
            return [.. command, .. container.Args ?? []];
        string image = (container.Image ?? "").Split('@')[0];
        int tag = image.LastIndexOf(':');
        if (tag > image.LastIndexOf('/'))
            image = image[..tag];
        return Verbs.TryGetValue(image, out string? verb) ? [Artifacts.Workload, verb, .. container.Args ?? []] : null;
    }
}
