// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;

namespace Axoneme.EmbeddedApi.Printing;

/// <summary>Pod columns that sum up several fields.</summary>
internal static class PodCells
{
    public static string Ready(JsonObject pod)
        => $"{pod.Objects("status", "containerStatuses").Count(c => c.Flag("ready"))}/{pod.Objects("spec", "containers").Count()}";

    public static long Restarts(JsonObject pod) => pod.Objects("status", "containerStatuses").Sum(c => c.Whole("restartCount") ?? 0);

    /// <summary>The most telling word: what a container waits for or ended with, else the phase.</summary>
    public static string Status(JsonObject pod)
    {
        string status = pod.Text("status", "reason") ?? pod.Text("status", "phase") ?? "Unknown";
        JsonObject[] initial = [.. pod.Objects("status", "initContainerStatuses")];
        for (int i = 0; i < initial.Length; i++)
        {
            if (initial[i].Map("state", "terminated") is { } ended && ended.Whole("exitCode") == 0)
                continue;
            string? reason = initial[i].Text("state", "terminated", "reason") ?? initial[i].Text("state", "waiting", "reason");
            return Deleting(pod, reason is null or "PodInitializing" ? $"Init:{i}/{pod.Objects("spec", "initContainers").Count()}" : "Init:" + reason);
        }
        bool running = false;
        foreach (JsonObject container in pod.Objects("status", "containerStatuses").Reverse())
        {
            if (container.Text("state", "waiting", "reason") is { Length: > 0 } waiting)
                status = waiting;
            else if (container.Map("state", "terminated") is { } terminated)
                status = terminated.Text("reason") is { Length: > 0 } reason ? reason
                    : terminated.Whole("signal") is > 0 and var signal ? $"Signal:{signal}" : $"ExitCode:{terminated.Whole("exitCode")}";
            else if (container.Flag("ready") && container.Map("state", "running") is not null)
                running = true;
        }
        if (status == "Completed" && running)
            status = pod.Objects("status", "conditions").Any(c => c.Text("type") == "Ready" && c.Text("status") == "True") ? "Running" : "NotReady";
        return Deleting(pod, status);
    }

    private static string Deleting(JsonObject pod, string status)
        => pod.Text("metadata", "deletionTimestamp") is null ? status : pod.Text("status", "reason") == "NodeLost" ? "Unknown" : "Terminating";
}

/// <summary>Service and endpoint columns.</summary>
internal static class EndpointCells
{
    private const string None = "<none>";

    public static string ExternalIp(JsonObject service)
    {
        IEnumerable<string> external = service.Texts("spec", "externalIPs");
        switch (service.Text("spec", "type"))
        {
            case "ExternalName":
                return service.Text("spec", "externalName") ?? None;
            case "LoadBalancer":
                string[] all = [.. service.Objects("status", "loadBalancer", "ingress").Select(i => i.Text("ip") ?? i.Text("hostname") ?? ""), .. external];
                return all.Length == 0 ? "<pending>" : string.Join(",", all);
            default:
                return external.Any() ? string.Join(",", external) : None;
        }
    }

    public static string Endpoints(JsonObject endpoints)
    {
        string[] all =
        [
            .. endpoints.Objects("subsets").SelectMany(s => s.Objects("ports").DefaultIfEmpty([]).SelectMany(p =>
                s.Objects("addresses").Select(a => p.Whole("port") is { } port ? HostPort(a.Text("ip")!, port) : a.Text("ip")!))),
        ];
        return Shorten(all, ",", n => $" + {n} more...");
    }

    public static string SlicePorts(JsonObject slice)
    {
        string[] ports = [.. slice.Objects("ports").Select(p => p.Whole("port")?.ToString() ?? "*")];
        return ports.Length == 0 ? "<unset>" : Shorten(ports, ",", n => $" + {n} more...");
    }

    public static string SliceAddresses(JsonObject slice)
    {
        string[] addresses = [.. slice.Objects("endpoints").SelectMany(e => e.Texts("addresses"))];
        return addresses.Length == 0 ? "<unset>" : Shorten(addresses, ",", n => $" + {n} more...");
    }

    private static string Shorten(string[] all, string separator, Func<int, string> more)
        => all.Length == 0 ? None
            : all.Length <= 3 ? string.Join(separator, all)
            : string.Join(separator, all[..3]) + more(all.Length - 3);

    private static string HostPort(string ip, long port) => ip.Contains(':') ? $"[{ip}]:{port}" : $"{ip}:{port}";
}
