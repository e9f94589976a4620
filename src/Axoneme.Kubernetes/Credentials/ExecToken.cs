// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Text.Json;

namespace Axoneme.Kubernetes;

/// <summary>A token that a program prints as an ExecCredential (the <c>exec</c> section of a kubeconfig); kept until it expires.</summary>
/// <param name="owner">Kubeconfig and field, for messages.</param>
public sealed class ExecToken(
    (string File, string Field) owner,
    string command,
    IReadOnlyList<string> arguments,
    IReadOnlyDictionary<string, string> environment,
    string apiVersion,
    TimeProvider time) : ITokenSource, IDisposable
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(60);

    private readonly SemaphoreSlim _gate = new(1);
    private string? _token;
    private DateTimeOffset _expires;

    public async ValueTask<string> GetTokenAsync(CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            if (_token is null || time.GetUtcNow() >= _expires)
                (_token, _expires) = await RunAsync(cancellationToken);
            return _token;
        }
        finally
        {
            _gate.Release();
        }
    }

    public void Invalidate() => _token = null;

    public void Dispose() => _gate.Dispose();

    private async Task<(string Token, DateTimeOffset Expires)> RunAsync(CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo(command) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        foreach ((string name, string value) in environment)
            start.Environment[name] = value;
        start.Environment["KUBERNETES_EXEC_INFO"] =
            "{\"apiVersion\":\"" + apiVersion + "\",\"kind\":\"ExecCredential\",\"spec\":{\"interactive\":false}}";
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(Timeout);
        Process? started = null;
        try
        {
            started = Process.Start(start) ?? throw new KubernetesConfigException(owner.File, owner.Field, $"'{command}' does not start");
            Task<string> errors = started.StandardError.ReadToEndAsync(deadline.Token);
            string output = await started.StandardOutput.ReadToEndAsync(deadline.Token);
            await started.WaitForExitAsync(deadline.Token);
            if (started.ExitCode != 0)
                throw new KubernetesConfigException(owner.File, owner.Field, $"'{command}' ended with {started.ExitCode}: {(await errors).Trim()}");
            return Parse(output);
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new KubernetesConfigException(owner.File, owner.Field, $"'{command}' does not start: {e.Message}", e);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw new KubernetesConfigException(owner.File, owner.Field, $"'{command}' did not end within {Timeout.TotalSeconds} s", e);
        }
        finally
        {
            if (started is { HasExited: false })
                started.Kill(entireProcessTree: true);
            started?.Dispose();
        }
    }

    private (string Token, DateTimeOffset Expires) Parse(string output)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(output);
            JsonElement status = document.RootElement.GetProperty("status");
            DateTimeOffset expires = status.TryGetProperty("expirationTimestamp", out JsonElement time1)
                ? time1.GetDateTimeOffset()
                : DateTimeOffset.MaxValue;
            if (status.TryGetProperty("token", out JsonElement token) && token.GetString() is { Length: > 0 } text)
                return (text, expires);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new KubernetesConfigException(owner.File, owner.Field, $"'{command}' printed no valid ExecCredential", e);
        }

        throw new KubernetesConfigException(owner.File, owner.Field, $"the ExecCredential of '{command}' holds no token");
    }
}
