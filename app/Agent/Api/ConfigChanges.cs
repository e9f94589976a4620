// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Axoneme.AgentApi;
using Axoneme.Policy;
using Microsoft.AspNetCore.Http;

namespace Axoneme.Agent.Api;

/// <summary>Settings that can be changed while the agent runs. They last until it ends.</summary>
internal sealed class ConfigChanges(ApiSources sources)
{
    public const string AuditMode = "PolicyAuditMode";
    public const string Enforcement = "PolicyEnforcement";

    private readonly EndpointViews _endpoints = new(sources);

    /// <summary>PATCH /config.</summary>
    public async Task<ApiReply> NodeAsync(HttpRequest request)
    {
        DaemonConfigSpec change = await ReadAsync(request, AgentJson.Default.DaemonConfigSpec);
        bool? audit = null;
        EnforcementMode? mode = string.IsNullOrEmpty(change.PolicyEnforcement) ? null : Mode("policy-enforcement", change.PolicyEnforcement);
        foreach ((string key, string value) in change.Options ?? new Dictionary<string, string>())
        {
            if (Is(key, AuditMode))
                audit = Switch(key, value);
            else if (Is(key, Enforcement))
                mode = Mode(key, value);
            else
                throw ApiException.BadRequest($"{key}: cannot be changed while the agent runs; {AuditMode} and {Enforcement} can");
        }

        // Nothing is changed unless all of it can be.
        if (mode is { } chosen)
            await WhenRunningAsync(sources.Control.Policies.ChangeAsync(engine => engine.SetEnforcement(chosen)));
        if (audit is { } on)
            await WhenRunningAsync(sources.Control.Policies.SetAuditAsync(on));
        return ApiReply.Of(ConfigView.Of(sources), AgentJson.Default.DaemonConfig);
    }

    /// <summary>PATCH /endpoint/{id}/config.</summary>
    public async Task<ApiReply> EndpointAsync(string id, HttpRequest request)
    {
        EndpointSpec change = await ReadAsync(request, AgentJson.Default.EndpointSpec);
        ushort endpoint = (ushort)_endpoints.Get(id).Id;
        bool? audit = null;
        foreach ((string key, string value) in change.Options ?? new Dictionary<string, string>())
        {
            if (!Is(key, AuditMode))
                throw ApiException.BadRequest($"{key}: cannot be changed for an endpoint; {AuditMode} can");
            audit = Switch(key, value);
        }

        if (audit is { } on)
            await WhenRunningAsync(sources.Control.Policies.SetAuditAsync(endpoint, on));
        return Endpoint(id);
    }

    /// <summary>GET /endpoint/{id}/config.</summary>
    public ApiReply Endpoint(string id)
    {
        ushort endpoint = (ushort)_endpoints.Get(id).Id;
        var options = new Dictionary<string, string> { [AuditMode] = Text(sources.Control.Policies.Audits(endpoint)) };
        return ApiReply.Of(new EndpointConfigStatus(new EndpointSpec(options), new Dictionary<string, string>()), AgentJson.Default.EndpointConfigStatus);
    }

    // An agent that still waits for its policies takes changes over with them, which may be a long time.
    private Task WhenRunningAsync(Task changed) => sources.Control.Policies.IsReleased ? changed : Task.CompletedTask;

    /// <summary>What <see cref="NodeAsync"/> can change, as it is now.</summary>
    public static Dictionary<string, string> Now(ControlPlane control) => new()
    {
        [AuditMode] = Text(control.Policies.AuditsAll),
        [Enforcement] = EnforcementNow(control),
    };

    public static string EnforcementNow(ControlPlane control)
        => control.Policies.Read(engine => engine.Options.Enforcement).ToString().ToLowerInvariant();

    private static string Text(bool isOn) => isOn ? "Enabled" : "Disabled";

    private static bool Is(string key, string name) => string.Equals(key, name, StringComparison.OrdinalIgnoreCase);

    private static bool Switch(string key, string value) => value.ToLowerInvariant() switch
    {
        "enabled" or "enable" or "true" or "on" or "1" => true,
        "disabled" or "disable" or "false" or "off" or "0" => false,
        _ => throw ApiException.BadRequest($"{key}: '{value}' is neither Enabled nor Disabled"),
    };

    private static EnforcementMode Mode(string key, string value)
        => Enum.TryParse(value, ignoreCase: true, out EnforcementMode mode) && Enum.IsDefined(mode) && !char.IsAsciiDigit(value[0])
            ? mode
            : throw ApiException.BadRequest($"{key}: '{value}' is not one of default, always, never");

    private static async Task<T> ReadAsync<T>(HttpRequest request, JsonTypeInfo<T> type)
    {
        try
        {
            using var body = new MemoryStream();
            byte[] buffer = new byte[4096];
            int read;
            while ((read = await request.Body.ReadAsync(buffer)) > 0)
            {
                if (body.Length + read > ApiServer.MaximalBodyBytes)
                    throw new ApiException(StatusCodes.Status413PayloadTooLarge, $"{request.Method} {request.Path}: the body is too large");
                body.Write(buffer, 0, read);
            }

            return JsonSerializer.Deserialize(body.ToArray(), type) ?? throw ApiException.BadRequest($"{request.Method} {request.Path}: the body is null");
        }
        catch (JsonException e)
        {
            throw ApiException.BadRequest($"{request.Method} {request.Path}: the body is not what it should be: {e.Message}");
        }
    }
}
