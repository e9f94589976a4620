// SPDX-License-Identifier: Apache-2.0
using Axoneme.Hosting;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Operator.Endpoints;
using Axoneme.Operator.Identities;
using Axoneme.Operator.Slices;
using Microsoft.Extensions.Logging;

namespace Axoneme.Operator;

/// <summary>One of the cluster's operators: serves its pages always, and works while it holds the lease.</summary>
internal sealed class OperatorProcess(OperatorOptions options, KubernetesClient client, ILoggerFactory loggers)
{
    /// <summary>Upstream's name of the lease.</summary>
    public const string LeaseName = "cilium-operator-resource-lock";

    private readonly ILogger<OperatorProcess> _log = loggers.CreateLogger<OperatorProcess>();

    public OperatorMetrics Metrics { get; } = new();

    public async Task RunAsync(CancellationToken cancellation)
    {
        using HttpResponder? health = options.ApiAddress is { } api ? HttpResponder.Listen(api, Healthz, _log) : null;
        using HttpResponder? page = options.MetricsAddress is { } address ? HttpResponder.Listen(address, Metrics.Answer, _log) : null;
        var elector = new LeaderElector(client.Of(Kinds.Leases), new LeaderElectionOptions(new ResourceName(options.Namespace, LeaseName), options.Identity)
        {
            LeaseDuration = options.LeaseDuration,
            RenewDeadline = options.RenewDeadline,
            RetryPeriod = options.RetryPeriod,
        });
        _log.LogInformation("{Identity} waits for the lease {Namespace}/{Lease}", options.Identity, options.Namespace, LeaseName);
        await elector.RunAsync(LeadAsync, cancellation);
    }

    // Everything is built anew for each term: what an earlier one knew is out of date.
    private async Task LeadAsync(CancellationToken term)
    {
        _log.LogInformation("{Identity} leads", options.Identity);
        var modules = new Modules(TimeProvider.System, loggers.CreateLogger<Modules>());
        var cluster = new ClusterObjects(client, loggers.CreateLogger<ClusterObjects>());
        modules.Start("api-watches", cluster.RunAsync, term);
        if (options.IdentityInterval > TimeSpan.Zero)
        {
            var identities = new IdentityCollection(client, cluster, options, Metrics, TimeProvider.System, loggers.CreateLogger<IdentityCollection>());
            modules.Start("identity-collection", identities.RunAsync, term);
        }

        if (options.EndpointInterval > TimeSpan.Zero)
        {
            var endpoints = new EndpointCollection(client, cluster, options, Metrics, TimeProvider.System, loggers.CreateLogger<EndpointCollection>());
            modules.Start("endpoint-collection", endpoints.RunAsync, term);
        }

        if (options.EndpointSlices)
        {
            var slices = new SlicePublisher(client, cluster, options, Metrics, TimeProvider.System, loggers.CreateLogger<SlicePublisher>());
            modules.Start("endpoint-slices", slices.RunAsync, term);
        }

        await Task.Delay(Timeout.Infinite, term).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await modules.WhenStoppedAsync();
        _log.LogInformation("{Identity} leads no longer", options.Identity);
    }

    // A candidate that waits is as well as one that leads.
    private static HttpAnswer Healthz(string target)
        => target.Split('?')[0] is "/healthz" or "/v1/healthz" ? HttpAnswer.Text(200, "ok") : HttpAnswer.Text(404, "only /healthz is served here\n");
}
