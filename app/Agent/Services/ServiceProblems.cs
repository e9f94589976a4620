// SPDX-License-Identifier: Apache-2.0
using System.Collections.Immutable;
using Axoneme.Agent.Cluster;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.LoadBalancing;
using Axoneme.Tables;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Services;

/// <summary>Tells people what is wrong with services, host ports and redirect policies: in a table, the log, and as events of the objects.</summary>
internal sealed class ServiceProblems(ClusterState cluster, EventRecorder events, ILogger log)
{
    private const string Reason = "FrontendProblem";

    public Table<CatalogObject, CatalogProblems> Table { get; } = new(
        "service-problems",
        problems => problems.About,
        columns: [new("Object", p => p.About.ToString()), new("Problems", p => string.Join("; ", p.Texts))]);

    public void Report(ImmutableArray<CatalogProblems> changed)
    {
        if (changed.IsEmpty)
            return;
        TableSnapshot<CatalogObject, CatalogProblems> before = Table.Snapshot();
        Table.Write(writer =>
        {
            foreach (CatalogProblems problems in changed)
            {
                if (problems.Texts.IsEmpty)
                    writer.Remove(problems.About);
                else
                    writer.Upsert(problems);
            }
        });
        foreach (CatalogProblems problems in changed)
        {
            ImmutableArray<string> known = before.Find(problems.About)?.Texts ?? [];
            foreach (string text in problems.Texts.Except(known))
                Announce(problems.About, text);
        }
    }

    private void Announce(CatalogObject about, string text)
    {
        log.LogWarning("{Object}: {Problem}", about, text);
        Resource? resource = about.Kind switch
        {
            CatalogObjectKind.Service => cluster.Services.Snapshot().Find(about.Name),
            CatalogObjectKind.Pod => cluster.Pods.Snapshot().Find(about.Name),
            _ => cluster.CiliumLocalRedirectPolicies.Snapshot().Find(about.Name),
        };
        // Pods are this node's own; what is wrong with the other objects is as wrong on every node.
        if (resource is not null && about.Kind == CatalogObjectKind.Pod)
            events.Warning(resource, Reason, text);
        else if (resource is not null)
            events.WarningOnce(resource, Reason, text);
    }
}
