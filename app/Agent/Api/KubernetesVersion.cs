// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using Axoneme.Kubernetes;

namespace Axoneme.Agent.Api;

/// <summary>The version of the API server, asked for once. While it cannot be had, somebody who wants it waits a moment at most.</summary>
internal sealed class KubernetesVersion(KubernetesClient client)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan AttemptTimeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(5);

    private readonly Lock _gate = new();
    private Task? _attempt;
    private long _lastAttempt;

    /// <summary>Such as <c>1.33 (v1.33.4) [linux/amd64]</c>; null while it is not known.</summary>
    public string? Text { get; private set; }

    /// <summary>Why it is not known; null when it is, or before the first answer.</summary>
    public string? Problem { get; private set; }

    public async Task RefreshAsync(CancellationToken cancellation)
    {
        if (Text is not null)
            return;
        try
        {
            await Attempt().WaitAsync(Patience, client.Options.Time, cancellation);
        }
        catch (TimeoutException)
        {
            // It goes on, and the next one to ask sees the result.
        }
    }

    private Task Attempt()
    {
        lock (_gate)
        {
            TimeProvider time = client.Options.Time;
            if (_attempt is null || (_attempt.IsCompleted && time.GetElapsedTime(_lastAttempt) >= RetryDelay))
            {
                _lastAttempt = time.GetTimestamp();
                _attempt = AskAsync();
            }

            return _attempt;
        }
    }

    private async Task AskAsync()
    {
        using var limit = new CancellationTokenSource(AttemptTimeout, client.Options.Time);
        try
        {
            using HttpResponseMessage response = await client.SendAsync(HttpMethod.Get, "/version", null, limit.Token);
            await using Stream body = await response.Content.ReadAsStreamAsync(limit.Token);
            using JsonDocument version = await JsonDocument.ParseAsync(body, default, limit.Token);
            string Member(string name) => version.RootElement.TryGetProperty(name, out JsonElement value) ? value.ToString() : "?";
            Text = $"{Member("major")}.{Member("minor")} ({Member("gitVersion")}) [{Member("platform")}]";
            Problem = null;
        }
        catch (Exception e) when (e is KubernetesException or HttpRequestException or TimeoutException or IOException or JsonException)
        {
            Problem = e.Message;
        }
        catch (OperationCanceledException)
        {
            Problem = $"GET /version: no answer within {AttemptTimeout.TotalSeconds:0} s";
        }
    }
}
