// SPDX-License-Identifier: Apache-2.0
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Kubernetes.Tests;

/// <summary>JSON as servers send it.</summary>
internal static class Samples
{
    public static string Service(string name, int version, int port = 80)
        => $$$$"""{"apiVersion":"v1","kind":"Service","metadata":{"name":"{{{{name}}}}","namespace":"default","uid":"u-{{{{name}}}}","resourceVersion":"{{{{version}}}}","managedFields":[{"manager":"kubectl","fieldsV1":{"f:spec":{}}}]},"spec":{"clusterIP":"10.96.0.9","ports":[{"port":{{{{port}}}},"protocol":"TCP","targetPort":"http"}],"futureField":[1]}}""";

    /// <summary>A service whose port is a text.</summary>
    public static string BadService(string name, int version)
        => Service(name, version).Replace("\"port\":80", "\"port\":\"eighty\"", StringComparison.Ordinal);

    public static string List(int version, params string[] items) => ListPage(version, "", items);

    public static string ListPage(int version, string next, params string[] items)
        => "{\"kind\":\"ServiceList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" + version + "\",\"continue\":\"" + next
            + "\"},\"items\":[" + string.Join(',', items) + "]}";

    public static string Event(string type, string json) => "{\"type\":\"" + type + "\",\"object\":" + json + "}";

    public static string Bookmark(int version)
        => Event("BOOKMARK", "{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" + version + "\"}}");

    public static string Status(int code, string reason, string message)
        => $$$"""{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"{{{message}}}","reason":"{{{reason}}}","code":{{{code}}}}""";

    public static KubernetesClient Client(params ScriptedApi[] servers) => Client(new KubernetesClientOptions { Qps = 0 }, servers);

    public static KubernetesClient Client(KubernetesClientOptions options, params ScriptedApi[] servers)
        => new(new KubernetesConfig { Servers = [.. servers.Select(s => s.Address)] }, options);

    public static ResourceName Name(string name) => new("default", name);
}
