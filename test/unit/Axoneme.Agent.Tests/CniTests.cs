// SPDX-License-Identifier: Apache-2.0
using System.Text;
using System.Text.Json;
using Axoneme.Agent.Cni;
using Axoneme.Cni;
using Axoneme.Linux;
using Microsoft.Extensions.Logging.Abstractions;

namespace Axoneme.Agent.Tests;

public sealed class CniTests : IDisposable
{
    private const string Config = """{"cniVersion":"1.1.0","name":"cilium","type":"cilium-cni"}""";

    private readonly string _directory = Directory.CreateTempSubdirectory("axoneme-cni-").FullName;

    private string SocketPath => Path.Combine(_directory, "cni.sock");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void A_request_survives_its_encoding()
    {
        CniRequest request = Add() with { Args = "K8S_POD_NAME=pöd" };
        Assert.True(CniRequest.TryDecode(request.Encode(), out CniRequest? decoded));
        Assert.Equal(request, decoded);
    }

    [Fact]
    public void Garbage_is_refused_and_never_throws()
    {
        var random = new Random(1);
        byte[] valid = Add().Encode();
        for (int i = 0; i < 100_000; i++)
        {
            byte[] message = valid[..random.Next(valid.Length + 1)];
            for (int flips = random.Next(4); flips > 0 && message.Length > 0; flips--)
                message[random.Next(message.Length)] = (byte)random.Next(256);
            bool isRequest = CniRequest.TryDecode(message, out CniRequest? request);
            Assert.Equal(isRequest, request is not null);
        }

        Assert.False(CniRequest.TryDecode([], out _));
        Assert.False(CniRequest.TryDecode([.. valid, 0], out _));
    }

    [Theory]
    [InlineData("{", CniErrorCode.DecodingFailure, "not JSON")]
    [InlineData("[]", CniErrorCode.DecodingFailure, "not a JSON object")]
    [InlineData("""{"cniVersion":"9.9.9"}""", CniErrorCode.IncompatibleVersion, "9.9.9")]
    [InlineData("""{"cniVersion":1}""", CniErrorCode.InvalidNetworkConfig, "cniVersion")]
    public void A_malformed_configuration_is_named(string config, CniErrorCode code, string mention)
    {
        var failure = Assert.Throws<CniException>(() => CniCall.Parse(Add() with { Config = config }));
        Assert.Equal(code, failure.Code);
        Assert.Contains(mention, failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "eth0", "", "CNI_CONTAINERID")]
    [InlineData("../x", "eth0", "", "CNI_CONTAINERID")]
    [InlineData("c1", "", "", "CNI_IFNAME")]
    [InlineData("c1", "a/b", "", "CNI_IFNAME")]
    [InlineData("c1", "interface-name-too-long", "", "CNI_IFNAME")]
    [InlineData("c1", "eth0", "NOVALUE", "CNI_ARGS")]
    public void A_malformed_environment_is_named(string container, string name, string args, string mention)
    {
        var failure = Assert.Throws<CniException>(() => CniCall.Parse(Add() with { ContainerId = container, InterfaceName = name, Args = args }));
        Assert.Equal(CniErrorCode.InvalidEnvironment, failure.Code);
        Assert.Contains(mention, failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Garbage_collection_names_what_is_valid()
    {
        CniCall call = CniCall.Parse(Add() with
        {
            Command = "GC",
            Config = """{"cniVersion":"1.1.0","cni.dev/valid-attachments":[{"containerID":"a","ifname":"eth0"}]}""",
        });
        Assert.Equal([new CniAttachmentId("a", "eth0")], call.ValidAttachments!.Value);
    }

    [Fact]
    public async Task The_server_answers_a_call_and_outlives_garbage()
    {
        var handler = new RecordingHandler();
        using var stop = new CancellationTokenSource();
        Task server = new CniServer(SocketPath, handler, NullLogger<CniServer>.Instance).RunAsync(stop.Token);

        using (DescriptorSocket garbage = await ConnectAsync())
            garbage.Send(Encoding.UTF8.GetBytes("GET / HTTP/1.1\r\n\r\n"));

        JsonElement answer = await CallAsync(Add() with { Command = "STATUS" }, expectedExit: 1);
        Assert.Equal((int)CniErrorCode.PluginNotAvailable, answer.GetProperty("code").GetInt32());
        Assert.Equal("not yet", answer.GetProperty("details").GetString());

        answer = await CallAsync(Add(), expectedExit: 1);
        Assert.Equal((int)CniErrorCode.InvalidEnvironment, answer.GetProperty("code").GetInt32());
        Assert.Contains("/run/netns/x", answer.GetProperty("details").GetString(), StringComparison.Ordinal);
        await stop.CancelAsync();
        await server;
    }

    [Fact]
    public async Task Queued_deletions_are_carried_out_before_anything_else()
    {
        Directory.CreateDirectory(Path.Combine(_directory, "deleteQueue"));
        string file = Path.Combine(_directory, "deleteQueue", "c1.delete");
        await File.WriteAllBytesAsync(file, (Add() with { Command = "DEL" }).Encode(), TestContext.Current.CancellationToken);
        var handler = new RecordingHandler();
        using var stop = new CancellationTokenSource();
        Task server = new CniServer(SocketPath, handler, NullLogger<CniServer>.Instance).RunAsync(stop.Token);
        using DescriptorSocket connected = await ConnectAsync();

        Assert.Equal([new CniAttachmentId("c1", "eth0")], handler.Deleted);
        Assert.False(File.Exists(file));
        await stop.CancelAsync();
        await server;
    }

    private static CniRequest Add() => new("ADD", "c1", "/run/netns/x", "eth0", "K8S_POD_NAME=p;K8S_POD_NAMESPACE=n", "", Config);

    private async Task<DescriptorSocket> ConnectAsync()
    {
        while (true)
        {
            if (DescriptorSocket.TryConnect(SocketPath) is { } socket)
                return socket;
            await Task.Delay(5, TestContext.Current.CancellationToken);
        }
    }

    private async Task<JsonElement> CallAsync(CniRequest request, int expectedExit)
    {
        using DescriptorSocket socket = await ConnectAsync();
        socket.Send(request.Encode());
        var buffer = new byte[4096];
        int length = socket.Receive(buffer, out _);
        Assert.Equal(expectedExit, buffer[0]);
        return JsonDocument.Parse(buffer.AsMemory(1, length - 1)).RootElement;
    }

    private sealed class RecordingHandler : ICniHandler
    {
        public List<CniAttachmentId> Deleted { get; } = [];

        public string? NotReadyReason => "not yet";

        public Task<CniResult> AddAsync(CniCall call, NetworkNamespace podNamespace, CancellationToken cancellation)
            => throw new InvalidOperationException("no call of these tests carries a namespace");

        public Task DeleteAsync(CniAttachmentId attachment, CancellationToken cancellation)
        {
            Deleted.Add(attachment);
            return Task.CompletedTask;
        }

        public Task CheckAsync(CniCall call, NetworkNamespace podNamespace, CancellationToken cancellation) => Task.CompletedTask;

        public Task CollectGarbageAsync(IReadOnlyCollection<CniAttachmentId> valid, CancellationToken cancellation) => Task.CompletedTask;
    }
}
