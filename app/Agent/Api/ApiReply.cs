// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Axoneme.AgentApi;
using Microsoft.AspNetCore.Http;

namespace Axoneme.Agent.Api;

/// <summary>The request cannot be served; <paramref name="status"/> and message are the answer.</summary>
internal sealed class ApiException(int status, string message) : Exception(message)
{
    public int Status { get; } = status;

    public static ApiException BadRequest(string message) => new(StatusCodes.Status400BadRequest, message);

    public static ApiException NotFound(string message) => new(StatusCodes.Status404NotFound, message);
}

/// <summary>One complete answer. It is serialised before the head goes out, so a failure becomes an error and never half a body.</summary>
internal readonly record struct ApiReply(int Status, byte[] Body)
{
    public static ApiReply Of<T>(T value, JsonTypeInfo<T> type) => new(StatusCodes.Status200OK, JsonSerializer.SerializeToUtf8Bytes(value, type));

    public static ApiReply Error(int status, string message)
        => new(status, JsonSerializer.SerializeToUtf8Bytes(new ApiError(message), AgentJson.Default.ApiError));

    public async Task WriteAsync(HttpResponse response)
    {
        response.StatusCode = Status;
        response.ContentType = "application/json";
        response.ContentLength = Body.Length;
        await response.Body.WriteAsync(Body);
    }
}
