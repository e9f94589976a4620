// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using System.Threading.Channels;
using Axoneme.Kubernetes;
using Axoneme.Kubernetes.Resources;
using Axoneme.Policy;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Policies;

/// <summary>
/// Tells users at their objects what became of their policies. All agents come to the same judgement: whoever is first writes the condition,
/// and the others see it through their watch.
/// </summary>
internal sealed class PolicyReports(KubernetesClient client, EventRecorder events, ILogger log)
{
    private const string ConditionType = "Valid";
    private const string EventReason = "InvalidPolicy";

    // What is written is the latest, however often a policy changes while the API is slow; a name that waits twice is skipped.
    private readonly ConcurrentDictionary<PolicyObjectKey, Func<CancellationToken, Task>> _latest = new();
    private readonly Channel<PolicyObjectKey> _waiting = Channel.CreateUnbounded<PolicyObjectKey>(new UnboundedChannelOptions { SingleReader = true });

    /// <summary>Writes conditions until cancelled. Policies take effect without waiting for it.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        await foreach (PolicyObjectKey policy in _waiting.Reader.ReadAllAsync(cancellation))
        {
            if (_latest.TryRemove(policy, out Func<CancellationToken, Task>? write))
                await write(cancellation);
        }
    }

    /// <summary>Has the condition written unless it is there already.</summary>
    public void Report<T>(ResourceKind<T> kind, T resource, IReadOnlyList<Condition>? present, PolicyStatus status)
        where T : Resource
    {
        if (IsReported(present, status))
        {
            _latest.TryRemove(status.Policy, out _);
            return;
        }

        _latest[status.Policy] = cancellation => WriteAsync(kind, resource, present, status, cancellation);
        _waiting.Writer.TryWrite(status.Policy);
    }

    /// <summary>An event about a version that cannot be used; one for all agents.</summary>
    public void Announce(Resource resource, PolicyStatus status)
    {
        if (!status.Valid)
            events.WarningOnce(resource, EventReason, $"{Consequence(status)}\n{status.Message}");
    }

    // Agents may differ in what they still have in force, so that part decides nothing: they would overwrite each other for ever.
    private static bool IsReported(IReadOnlyList<Condition>? present, PolicyStatus status)
        => Find(present) is { } condition && condition.Status == Value(status)
            && condition.Message?.StartsWith(Findings(status), StringComparison.Ordinal) == true
            && (status.Valid || condition.ObservedGeneration == status.Generation);

    private static Condition? Find(IReadOnlyList<Condition>? conditions) => conditions?.FirstOrDefault(c => c.Type == ConditionType);

    private static string Value(PolicyStatus status) => status.Valid ? "True" : "False";

    private async Task WriteAsync<T>(
        ResourceKind<T> kind, T resource, IReadOnlyList<Condition>? present, PolicyStatus status, CancellationToken cancellation)
        where T : Resource
    {
        string value = Value(status);
        string findings = Findings(status);
        Condition? condition = Find(present);
        DateTimeOffset? before = condition?.Status == value ? condition.LastTransitionTime : null;
        DateTimeOffset since = before ?? client.Options.Time.GetUtcNow();
        var entry = new Condition
        {
            Type = ConditionType,
            Status = value,
            ObservedGeneration = status.Generation,
            LastTransitionTime = since,
            Reason = status.Valid ? "Valid" : "Invalid",
            Message = status.Valid ? findings : $"{findings}\n{Consequence(status)}",
        };
        // A newer version is not given an old verdict, and conditions of others stay. Where somebody was faster, the watch brings what there is now.
        IEnumerable<Condition> conditions = (present ?? []).Where(c => c.Type != ConditionType).Append(entry);
        try
        {
            await ObjectConditions.TryWriteAsync(client.Of(kind), resource, conditions, cancellation);
        }
        catch (Exception e) when (e is KubernetesException or HttpRequestException or TimeoutException or IOException)
        {
            log.LogWarning("The status of {Policy} cannot be written: {Reason}", status.Policy, e.Message);
        }
    }

    private static string Findings(PolicyStatus status)
    {
        if (!status.Valid)
            return status.Message;
        string verdict = status.Shadow
            ? "Policy validation succeeded; it is on trial: what it would change is reported, nothing is enforced"
            : "Policy validation succeeded";
        return status.Message.Length == 0 ? verdict : status.Shadow ? $"{verdict}\n{status.Message}" : status.Message;
    }

    private static string Consequence(PolicyStatus status) => status.GenerationInForce is { } inForce
        ? $"Generation {status.Generation} cannot be used; generation {inForce} stays in force"
        : $"Generation {status.Generation} cannot be used; no version of the policy is in force";
}
