// SPDX-License-Identifier: Apache-2.0
using Axoneme.Grpc.Reflection;
using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace Axoneme.Grpc;

/// <summary>Server reflection, so that generic clients can list and call services without our .proto files.</summary>
public sealed class ReflectionService
{
    // The final version of the protocol has the same messages under another package name.
    private const string FinalName = "grpc.reflection.v1.ServerReflection";

    private readonly IReadOnlyList<ServiceDescriptor> _services;
    private readonly Dictionary<string, FileDescriptor> _files = [];
    private readonly Dictionary<string, FileDescriptor> _symbols = [];

    private ReflectionService(IReadOnlyList<ServiceDescriptor> services)
    {
        _services = services;
        foreach (ServiceDescriptor service in services)
            Index(service.File);
    }

    /// <summary>Adds the reflection methods for all services announced so far.</summary>
    public static void AddTo(GrpcServerBuilder server)
    {
        ServiceDescriptor self = ReflectionReflection.Descriptor.Services[0];
        server.Announce(self);
        var reflection = new ReflectionService([.. server.Services]);
        var alpha = GrpcMethod.Of<ServerReflectionRequest, ServerReflectionResponse>(self, "ServerReflectionInfo");
        var final = new GrpcMethod<ServerReflectionRequest, ServerReflectionResponse>(
            FinalName, alpha.Name, alpha.RequestParser, alpha.ResponseParser);
        server.Duplex(alpha, reflection.AnswerAllAsync).Duplex(final, reflection.AnswerAllAsync);
    }

    private async Task AnswerAllAsync(
        IAsyncEnumerable<ServerReflectionRequest> requests, GrpcStreamWriter<ServerReflectionResponse> responses, GrpcServerCall call)
    {
        await foreach (ServerReflectionRequest request in requests.ConfigureAwait(false))
        {
            ServerReflectionResponse response = Answer(request);
            response.ValidHost = request.Host;
            response.OriginalRequest = request;
            await responses.WriteAsync(response).ConfigureAwait(false);
        }
    }

    private ServerReflectionResponse Answer(ServerReflectionRequest request)
    {
        switch (request.MessageRequestCase)
        {
            case ServerReflectionRequest.MessageRequestOneofCase.ListServices:
                var list = new ListServiceResponse();
                list.Service.AddRange(_services.Select(s => new ServiceResponse { Name = s.FullName }));
                return new ServerReflectionResponse { ListServicesResponse = list };
            case ServerReflectionRequest.MessageRequestOneofCase.FileByFilename:
                return File(_files.GetValueOrDefault(request.FileByFilename), request.FileByFilename);
            case ServerReflectionRequest.MessageRequestOneofCase.FileContainingSymbol:
                return File(_symbols.GetValueOrDefault(request.FileContainingSymbol), request.FileContainingSymbol);
            case ServerReflectionRequest.MessageRequestOneofCase.AllExtensionNumbersOfType:
                return new ServerReflectionResponse
                {
                    AllExtensionNumbersResponse = new ExtensionNumberResponse { BaseTypeName = request.AllExtensionNumbersOfType },
                };
            default:
                return Error(GrpcStatus.NotFound, "there are no extensions");
        }
    }

    private static ServerReflectionResponse File(FileDescriptor? file, string name)
    {
        if (file is null)
            return Error(GrpcStatus.NotFound, $"{name} is not known");
        // With its imports, so that the client need not ask for each.
        var answer = new FileDescriptorResponse();
        var seen = new HashSet<string>();
        AddWithImports(file, seen, answer);
        return new ServerReflectionResponse { FileDescriptorResponse = answer };
    }

    private static void AddWithImports(FileDescriptor file, HashSet<string> seen, FileDescriptorResponse answer)
    {
        if (!seen.Add(file.Name))
            return;
        answer.FileDescriptorProto.Add(file.SerializedData);
        foreach (FileDescriptor import in file.Dependencies)
            AddWithImports(import, seen, answer);
    }

    private static ServerReflectionResponse Error(GrpcStatus status, string message)
        => new() { ErrorResponse = new ErrorResponse { ErrorCode = (int)status, ErrorMessage = message } };

    private void Index(FileDescriptor file)
    {
        if (!_files.TryAdd(file.Name, file))
            return;
        foreach (MessageDescriptor message in file.MessageTypes)
            Index(message);
        foreach (EnumDescriptor type in file.EnumTypes)
            _symbols[type.FullName] = file;
        foreach (ServiceDescriptor service in file.Services)
        {
            _symbols[service.FullName] = file;
            foreach (MethodDescriptor method in service.Methods)
                _symbols[method.FullName] = file;
        }

        foreach (FileDescriptor import in file.Dependencies)
            Index(import);
    }

    private void Index(MessageDescriptor message)
    {
        _symbols[message.FullName] = message.File;
        foreach (MessageDescriptor nested in message.NestedTypes)
            Index(nested);
        foreach (EnumDescriptor type in message.EnumTypes)
            _symbols[type.FullName] = message.File;
    }
}
