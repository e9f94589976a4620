// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.IO.Compression;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using Axoneme.Grpc.Health;
using Google.Protobuf;

namespace Axoneme.Grpc.Tests;

/// <summary>What other implementations, and broken ones, put on the wire.</summary>
public sealed class WireTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static readonly byte[] Hello = new HealthCheckRequest { Service = "hello" }.ToByteArray();

    public static TheoryData<string, byte[], GrpcStatus> Bodies => new()
    {
        { "one message", Frame(0, Hello), GrpcStatus.OK },
        { "no message", [], GrpcStatus.Internal },
        { "two messages", [.. Frame(0, Hello), .. Frame(0, Hello)], GrpcStatus.Internal },
        { "cut inside the prefix", [0, 0, 0], GrpcStatus.Internal },
        { "cut inside the message", Frame(0, Hello)[..^2], GrpcStatus.Internal },
        { "unknown flags", Frame(0x80, Hello), GrpcStatus.Internal },
        { "compressed without an encoding", Frame(1, Hello), GrpcStatus.Internal },
        { "not a message", Frame(0, [0xff, 0xff, 0xff]), GrpcStatus.Internal },
        { "four gigabytes announced", [0, 0xff, 0xff, 0xff, 0xff, 1, 2], GrpcStatus.ResourceExhausted },
    };

    [Theory]
    [MemberData(nameof(Bodies))]
    public async Task Body_gets_its_status(string what, byte[] body, GrpcStatus expected)
    {
        await using TestServer server = await TestServer.StartAsync();
        using HttpClient http = Http(server);
        Assert.True(expected == await StatusAsync(http, body), what);
    }

    [Fact]
    public async Task Random_bodies_get_a_status_and_leave_the_server_alive()
    {
        await using TestServer server = await TestServer.StartAsync();
        using HttpClient http = Http(server);
        var random = new Random(4711);
        for (int i = 0; i < 500; i++)
        {
            byte[] body = new byte[random.Next(64)];
            random.NextBytes(body);
            if (body.Length > 5 && i % 2 == 0)
                BinaryPrimitives.WriteUInt32BigEndian(body.AsSpan(1), (uint)random.Next(body.Length));
            Assert.InRange((int)await StatusAsync(http, body), 0, 16);
        }

        Assert.Equal(GrpcStatus.OK, await StatusAsync(http, Frame(0, Hello)));
    }

    [Fact]
    public async Task Gzip_request_is_understood_and_a_bomb_is_refused()
    {
        await using TestServer server = await TestServer.StartAsync();
        using HttpClient http = Http(server);
        Assert.Equal(GrpcStatus.OK, await StatusAsync(http, Frame(1, Gzip(Hello)), ("grpc-encoding", "gzip")));
        byte[] bomb = Frame(1, Gzip(new byte[10_000_000]));
        Assert.True(bomb.Length < 100_000);
        Assert.Equal(GrpcStatus.ResourceExhausted, await StatusAsync(http, bomb, ("grpc-encoding", "gzip")));
        Assert.Equal(GrpcStatus.Internal, await StatusAsync(http, Frame(1, Hello), ("grpc-encoding", "gzip")));
        Assert.Equal(GrpcStatus.Unimplemented, await StatusAsync(http, Frame(1, Hello), ("grpc-encoding", "snappy")));
    }

    [Theory]
    [InlineData("1S", GrpcStatus.OK)]
    [InlineData("99999999H", GrpcStatus.OK)]
    [InlineData("100000000S", GrpcStatus.Internal)]
    [InlineData("1", GrpcStatus.Internal)]
    [InlineData("-1S", GrpcStatus.Internal)]
    [InlineData("1x", GrpcStatus.Internal)]
    public async Task Timeout_header_is_read_strictly(string timeout, GrpcStatus expected)
    {
        await using TestServer server = await TestServer.StartAsync();
        using HttpClient http = Http(server);
        Assert.Equal(expected, await StatusAsync(http, Frame(0, Hello), ("grpc-timeout", timeout)));
    }

    [Fact]
    public async Task Unknown_method_is_unimplemented()
    {
        await using TestServer server = await TestServer.StartAsync();
        using GrpcChannel channel = server.Connect();
        var unknown = new GrpcMethod<HealthCheckRequest, HealthCheckRequest>("no.Such", "Method", HealthCheckRequest.Parser, HealthCheckRequest.Parser);
        var error = await Assert.ThrowsAsync<GrpcException>(() => channel.UnaryAsync(unknown, new HealthCheckRequest(), cancellation: Stop));
        Assert.Equal(GrpcStatus.Unimplemented, error.Status);
    }

    [Theory]
    [InlineData("text/plain", HttpStatusCode.UnsupportedMediaType)]
    [InlineData("application/grpc-web", HttpStatusCode.UnsupportedMediaType)]
    [InlineData("application/grpc+proto", HttpStatusCode.OK)]
    public async Task Content_type_decides(string contentType, HttpStatusCode expected)
    {
        await using TestServer server = await TestServer.StartAsync();
        using HttpClient http = Http(server);
        using HttpResponseMessage response = await SendAsync(http, Frame(0, Hello), contentType);
        Assert.Equal(expected, response.StatusCode);
    }

    [Theory]
    [InlineData("a%zzb")]
    [InlineData("%")]
    [InlineData("%e4")]
    public void Broken_escapes_in_a_message_never_throw(string encoded) => Assert.NotNull(GrpcMessageText.Decode(encoded));

    private static byte[] Frame(byte flags, byte[] payload)
    {
        byte[] frame = new byte[5 + payload.Length];
        frame[0] = flags;
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(1), (uint)payload.Length);
        payload.CopyTo(frame, 5);
        return frame;
    }

    private static byte[] Gzip(byte[] plain)
    {
        var output = new MemoryStream();
        using (var gzip = new GZipStream(output, CompressionLevel.Optimal))
            gzip.Write(plain);
        return output.ToArray();
    }

    private static HttpClient Http(TestServer server)
        => new(new SocketsHttpHandler
        {
            ConnectCallback = async (_, cancellation) =>
            {
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(server.SocketPath), cancellation);
                return new NetworkStream(socket, ownsSocket: true);
            },
        })
        {
            BaseAddress = new Uri("http://localhost"),
        };

    private static async Task<HttpResponseMessage> SendAsync(
        HttpClient http, byte[] body, string contentType, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, TestServer.Echo.Path)
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new ByteArrayContent(body),
        };
        request.Content.Headers.ContentType = MediaTypeHeaderValue.Parse(contentType);
        foreach ((string name, string value) in headers)
            request.Headers.TryAddWithoutValidation(name, value);
        HttpResponseMessage response = await http.SendAsync(request, Stop);
        await response.Content.ReadAsByteArrayAsync(Stop);
        return response;
    }

    private static async Task<GrpcStatus> StatusAsync(HttpClient http, byte[] body, params (string Name, string Value)[] headers)
    {
        using HttpResponseMessage response = await SendAsync(http, body, "application/grpc", headers);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        string status = response.TrailingHeaders.TryGetValues("grpc-status", out IEnumerable<string>? trailers)
            ? trailers.Single() : response.Headers.GetValues("grpc-status").Single();
        return (GrpcStatus)int.Parse(status);
    }
}
