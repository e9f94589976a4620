// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using Axoneme.Hosting;
using Axoneme.Metrics;

namespace Axoneme.Operator;

/// <summary>The operator's metrics, under upstream's names.</summary>
internal sealed class OperatorMetrics
{
    private readonly Gauge _identityEntries;
    private readonly Gauge _identityRuns;
    private readonly Gauge _identityLatency;
    private readonly Counter _endpoints;
    private readonly Counter _slices;
    private readonly Histogram _sliceSizes;

    public OperatorMetrics()
    {
        ProcessMetrics.Register(Registry);
        _identityEntries = Registry.AddGauge("identity_gc_entries", "Identities that the last collection left and deleted", "status", "identity_type");
        _identityRuns = Registry.AddGauge("identity_gc_runs", "Collections of identities", "outcome", "identity_type");
        _identityLatency = Registry.AddGauge("identity_gc_latency", "Seconds that the last collection of identities took", "outcome", "identity_type");
        _endpoints = Registry.AddCounter("endpoint_gc_objects", "CiliumEndpoints without a pod that were, or could not be, deleted", "outcome");
        _slices = Registry.AddCounter("ces_sync_total", "Writes of CiliumEndpointSlices", "outcome");
        _sliceSizes = Registry.AddHistogram("number_of_ceps_per_ces", "Endpoints in a CiliumEndpointSlice when it is written", [1, 10, 25, 50, 100, 200, 500, 1000]);
    }

    public MetricRegistry Registry { get; } = new("cilium_operator_");

    public void NoteIdentities(int alive, int deleted, bool isComplete, TimeSpan duration)
    {
        const string Type = "crd";
        string outcome = isComplete ? "success" : "fail";
        _identityEntries.With("alive", Type).Value = alive;
        _identityEntries.With("deleted", Type).Value = deleted;
        _identityRuns.With(outcome, Type).Increment();
        _identityLatency.With(outcome, Type).Value = duration.TotalSeconds;
    }

    public void NoteEndpoint(string outcome) => _endpoints.With(outcome).Increment();

    /// <param name="endpoints">How many the slice has now; null: it has gone, or could not be written.</param>
    public void NoteSlice(string outcome, int? endpoints)
    {
        _slices.With(outcome).Increment();
        if (endpoints is { } count)
            _sliceSizes.With().Observe(count);
    }

    /// <summary>The page at <paramref name="target"/>.</summary>
    public HttpAnswer Answer(string target)
    {
        if (target.Split('?')[0] != "/metrics")
            return HttpAnswer.Text(404, "only /metrics is served here\n");
        var buffer = new ArrayBufferWriter<byte>(16 << 10);
        PrometheusText.Write(Registry, buffer);
        return new HttpAnswer(200, PrometheusText.ContentType, buffer.WrittenMemory);
    }
}
