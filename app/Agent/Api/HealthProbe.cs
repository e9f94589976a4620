// SPDX-License-Identifier: Apache-2.0
using Axoneme.AgentApi;
using Microsoft.AspNetCore.Http;

namespace Axoneme.Agent.Api;

/// <summary>Answers the kubelet: whether pods of this node can be served. One object that fails does not make the agent unhealthy.</summary>
internal sealed class HealthProbe(StatusReport report)
{
    public async Task HandleAsync(HttpContext context)
    {
        HttpRequest request = context.Request;
        if (request.Path != "/healthz")
        {
            await ApiReply.Error(StatusCodes.Status404NotFound, $"{request.Path}: only /healthz is served here").WriteAsync(context.Response);
            return;
        }

        if (!HttpMethods.IsGet(request.Method))
        {
            context.Response.Headers.Allow = HttpMethods.Get;
            await ApiReply.Error(StatusCodes.Status405MethodNotAllowed, $"{request.Method} /healthz: only GET is possible").WriteAsync(context.Response);
            return;
        }

        string? problem = Problem(request.Headers["require-k8s-connectivity"]);
        context.Response.StatusCode = problem is null ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
        context.Response.ContentType = "text/plain; charset=utf-8";
        await context.Response.WriteAsync(problem ?? "ok");
    }

    // Probes say "false" so that an API server that is away does not restart every agent of the cluster.
    private string? Problem(string? requireKubernetes)
    {
        if (report.NotReadyReason is { } reason)
            return reason;
        bool isRequired = !string.Equals(requireKubernetes, "false", StringComparison.OrdinalIgnoreCase);
        return isRequired && report.KubernetesProblem is { } problem ? $"Kubernetes API: {problem}" : null;
    }
}
