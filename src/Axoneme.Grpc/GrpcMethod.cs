// SPDX-License-Identifier: Apache-2.0
using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace Axoneme.Grpc;

/// <summary>One method of a service: its path on the wire and how to read both messages.</summary>
public sealed record GrpcMethod<TRequest, TResponse>(
    string Service, string Name, MessageParser<TRequest> RequestParser, MessageParser<TResponse> ResponseParser)
    where TRequest : class, IMessage<TRequest>
    where TResponse : class, IMessage<TResponse>
{
    public string Path { get; } = $"/{Service}/{Name}";
}

public static class GrpcMethod
{
    /// <summary>From the service's descriptor, which makes a wrong name or message type an error at start.</summary>
    public static GrpcMethod<TRequest, TResponse> Of<TRequest, TResponse>(ServiceDescriptor service, string name)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>
    {
        MethodDescriptor method = service.FindMethodByName(name)
            ?? throw new ArgumentException($"{service.FullName} has no method {name}.", nameof(name));
        if (method.InputType.ClrType != typeof(TRequest) || method.OutputType.ClrType != typeof(TResponse))
            throw new ArgumentException($"{method.FullName} takes {method.InputType.FullName} and returns {method.OutputType.FullName}.", nameof(name));
        return new GrpcMethod<TRequest, TResponse>(
            service.FullName, name, (MessageParser<TRequest>)method.InputType.Parser, (MessageParser<TResponse>)method.OutputType.Parser);
    }
}
