// SPDX-License-Identifier: Apache-2.0
using Axoneme.Grpc.Health;
using Axoneme.Grpc.Reflection;
using Google.Protobuf.Reflection;
using static Axoneme.Grpc.Health.HealthCheckResponse.Types;

namespace Axoneme.Grpc.Tests;

public sealed class ServiceTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Health_of_an_unknown_service_is_not_found_and_of_a_known_one_its_status()
    {
        await using TestServer server = await TestServer.StartAsync();
        using GrpcChannel channel = server.Connect();
        var request = new HealthCheckRequest { Service = "x.Y" };
        var error = await Assert.ThrowsAsync<GrpcException>(() => channel.UnaryAsync(HealthService.CheckMethod, request, cancellation: Stop));
        Assert.Equal(GrpcStatus.NotFound, error.Status);
        server.Health.Set("x.Y", isServing: true);
        Assert.Equal(ServingStatus.Serving, (await channel.UnaryAsync(HealthService.CheckMethod, request, cancellation: Stop)).Status);
    }

    [Fact]
    public async Task Health_watch_follows_changes()
    {
        await using TestServer server = await TestServer.StartAsync();
        using GrpcChannel channel = server.Connect();
        await using var stream = await channel.ServerStreamAsync(
            HealthService.WatchMethod, new HealthCheckRequest { Service = "x.Y" }, cancellation: Stop);
        Assert.Equal(ServingStatus.ServiceUnknown, (await stream.ReadAsync())?.Status);
        server.Health.Set("x.Y", isServing: false);
        Assert.Equal(ServingStatus.NotServing, (await stream.ReadAsync())?.Status);
        server.Health.Set("x.Y", isServing: true);
        Assert.Equal(ServingStatus.Serving, (await stream.ReadAsync())?.Status);
    }

    [Theory]
    [InlineData("grpc.reflection.v1alpha.ServerReflection")]
    [InlineData("grpc.reflection.v1.ServerReflection")]
    public async Task Reflection_lists_services_and_hands_out_their_files(string service)
    {
        await using TestServer server = await TestServer.StartAsync();
        using GrpcChannel channel = server.Connect();
        var method = new GrpcMethod<ServerReflectionRequest, ServerReflectionResponse>(
            service, "ServerReflectionInfo", ServerReflectionRequest.Parser, ServerReflectionResponse.Parser);
        ServerReflectionResponse list = await channel.UnaryAsync(method, new ServerReflectionRequest { ListServices = "*" }, cancellation: Stop);
        Assert.Contains("grpc.health.v1.Health", list.ListServicesResponse.Service.Select(s => s.Name));
        ServerReflectionResponse file = await channel.UnaryAsync(
            method, new ServerReflectionRequest { FileContainingSymbol = "grpc.health.v1.Health" }, cancellation: Stop);
        FileDescriptorProto proto = FileDescriptorProto.Parser.ParseFrom(file.FileDescriptorResponse.FileDescriptorProto[0]);
        Assert.Equal("grpc/health/v1/health.proto", proto.Name);
        ServerReflectionResponse missing = await channel.UnaryAsync(method, new ServerReflectionRequest { FileByFilename = "x" }, cancellation: Stop);
        Assert.Equal((int)GrpcStatus.NotFound, missing.ErrorResponse.ErrorCode);
    }
}
