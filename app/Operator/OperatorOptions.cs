// SPDX-License-Identifier: Apache-2.0
using Axoneme.Hosting;
using Axoneme.Operator.Slices;

namespace Axoneme.Operator;

/// <summary>Validated settings of the operator; each names its key of the config map.</summary>
internal sealed record OperatorOptions
{
    /// <summary>Namespace of the lease and of the agents.</summary>
    public required string Namespace { get; init; }

    /// <summary>Who this process is among the candidates for the lease: host and a random end, as a restarted one is another.</summary>
    public required string Identity { get; init; }

    /// <summary>k8s-kubeconfig-path; null: the pod's service account.</summary>
    public string? KubeConfigPath { get; init; }

    public bool Debug { get; init; }

    /// <summary>operator-api-serve-addr: where /healthz is served.</summary>
    public ListenAddress? ApiAddress { get; init; }

    /// <summary>operator-prometheus-serve-addr: where /metrics is served; null: nowhere.</summary>
    public ListenAddress? MetricsAddress { get; init; }

    /// <summary>identity-gc-interval; zero: identities are not collected.</summary>
    public TimeSpan IdentityInterval { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>identity-heartbeat-timeout: how long an identity that nobody uses is kept for those who may want it again.</summary>
    public TimeSpan IdentityTimeout { get; init; } = TimeSpan.FromMinutes(30);

    /// <summary>identity-gc-rate-limit: how many are deleted in one <see cref="IdentityRateInterval"/>.</summary>
    public int IdentityRateLimit { get; init; } = 2500;

    /// <summary>identity-gc-rate-interval.</summary>
    public TimeSpan IdentityRateInterval { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>cilium-endpoint-gc-interval; zero: CiliumEndpoints are not collected.</summary>
    public TimeSpan EndpointInterval { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>enable-cilium-endpoint-slice: CiliumEndpoints are packed into slices for the agents.</summary>
    public bool EndpointSlices { get; init; }

    /// <summary>ces-max-cilium-endpoints-per-ces.</summary>
    public int SliceCapacity { get; init; } = 100;

    /// <summary>ces-rate-limits.</summary>
    public SliceLimits SliceLimits { get; init; } = SliceLimits.Default;

    /// <summary>leader-election-lease-duration.</summary>
    public TimeSpan LeaseDuration { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>leader-election-renew-deadline.</summary>
    public TimeSpan RenewDeadline { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>leader-election-retry-period.</summary>
    public TimeSpan RetryPeriod { get; init; } = TimeSpan.FromSeconds(2);

    /// <exception cref="ConfigException">Some settings cannot be used; all of them are named.</exception>
    public static OperatorOptions Bind(RawConfig raw, string host, string? @namespace)
    {
        var reader = new OptionReader(raw);
        var options = new OperatorOptions
        {
            Namespace = string.IsNullOrEmpty(@namespace) ? "kube-system" : @namespace,
            Identity = $"{host}-{Guid.NewGuid().ToString("N")[..10]}",
            KubeConfigPath = reader.Text("k8s-kubeconfig-path"),
            Debug = reader.Switch("debug", false),
            ApiAddress = reader.Listen("operator-api-serve-addr"),
            MetricsAddress = reader.Switch("enable-metrics", true) ? reader.Listen("operator-prometheus-serve-addr") : null,
            IdentityInterval = reader.Duration("identity-gc-interval", TimeSpan.FromMinutes(15)),
            IdentityTimeout = reader.Duration("identity-heartbeat-timeout", TimeSpan.FromMinutes(30)),
            IdentityRateLimit = reader.Number("identity-gc-rate-limit", 2500, 1, 1_000_000),
            IdentityRateInterval = reader.Duration("identity-gc-rate-interval", TimeSpan.FromMinutes(1)),
            EndpointInterval = reader.Duration("cilium-endpoint-gc-interval", TimeSpan.FromMinutes(5)),
            EndpointSlices = reader.Switch("enable-cilium-endpoint-slice", false),
            SliceCapacity = reader.Number("ces-max-cilium-endpoints-per-ces", 100, 1, 10_000),
            SliceLimits = ReadLimits(reader),
            LeaseDuration = reader.Duration("leader-election-lease-duration", TimeSpan.FromSeconds(15)),
            RenewDeadline = reader.Duration("leader-election-renew-deadline", TimeSpan.FromSeconds(10)),
            RetryPeriod = reader.Duration("leader-election-retry-period", TimeSpan.FromSeconds(2)),
        };
        if (options.RenewDeadline >= options.LeaseDuration)
            reader.Problem("leader-election-renew-deadline", "must be shorter than leader-election-lease-duration");
        if (options.IdentityRateInterval <= TimeSpan.Zero)
            reader.Problem("identity-gc-rate-interval", "must be longer than zero");
        return reader.Problems.Count == 0 ? options : throw new ConfigException(reader.Problems);
    }

    private static SliceLimits ReadLimits(OptionReader reader)
    {
        try
        {
            return reader.Text("ces-rate-limits") is { } text ? SliceLimits.Parse(text) : SliceLimits.Default;
        }
        catch (FormatException e)
        {
            reader.Problem("ces-rate-limits", e.Message);
            return SliceLimits.Default;
        }
    }
}
