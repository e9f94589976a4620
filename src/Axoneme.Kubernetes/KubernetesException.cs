// SPDX-License-Identifier: Apache-2.0
using System.Net;
using Axoneme.Kubernetes.Resources;

namespace Axoneme.Kubernetes;

/// <summary>The API refused a request. <see cref="Status"/> is what it said about it.</summary>
public sealed class KubernetesException : Exception
{
    public KubernetesException(string operation, HttpStatusCode code, Status? status, TimeSpan? retryAfter = null)
        : base(Describe(operation, code, status))
    {
        Code = code;
        Status = status;
        RetryAfter = retryAfter;
    }

    public HttpStatusCode Code { get; }

    public Status? Status { get; }

    /// <summary>The API's word for what is wrong, such as NotFound, AlreadyExists, Conflict, Invalid, Expired; empty when it gave none.</summary>
    public string Reason => Status?.Reason ?? "";

    /// <summary>When the server wants to be asked again.</summary>
    public TimeSpan? RetryAfter { get; }

    public bool IsNotFound => Code == HttpStatusCode.NotFound;

    /// <summary>The object changed since it was read (or, for a creation, exists already).</summary>
    public bool IsConflict => Code == HttpStatusCode.Conflict;

    /// <summary>The requested resource version or continuation is too old: list again.</summary>
    public bool IsGone => Code == HttpStatusCode.Gone;

    private static string Describe(string operation, HttpStatusCode code, Status? status)
    {
        string message = string.IsNullOrEmpty(status?.Message) ? code.ToString() : status.Message;
        return $"{operation}: {message} ({(int)code}{(string.IsNullOrEmpty(status?.Reason) ? "" : " " + status.Reason)})";
    }
}

/// <summary>A kubeconfig or the in-cluster credentials cannot be used; the message names the file and the field.</summary>
public sealed class KubernetesConfigException(string file, string field, string problem, Exception? cause = null)
    : Exception(field.Length == 0 ? $"{file}: {problem}" : $"{file}: {field}: {problem}", cause)
{
    public string File { get; } = file;

    public string Field { get; } = field;
}
