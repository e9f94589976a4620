// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Axoneme.Grpc.Health;

namespace Axoneme.Grpc.Tests;

public sealed class CallTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Unary_call_returns_what_the_handler_returned()
    {
        await using TestServer server = await TestServer.StartAsync();
        using GrpcChannel channel = server.Connect();
        HealthCheckRequest answer = await channel.UnaryAsync(TestServer.Echo, new HealthCheckRequest { Service = "häl%lo" }, cancellation: Stop);
        Assert.Equal("häl%lo", answer.Service);
    }

    [Fact]
    public async Task Stream_delivers_every_message_in_order()
    {
        await using TestServer server = await TestServer.StartAsync();
        using GrpcChannel channel = server.Connect();
        await using var stream = await channel.ServerStreamAsync(TestServer.Count, new HealthCheckRequest { Service = "20000" }, cancellation: Stop);
        int expected = 0;
        await foreach (HealthCheckRequest message in stream.ReadAllAsync(Stop))
            Assert.Equal((expected++).ToString(), message.Service);
        Assert.Equal(20000, expected);
    }

    [Fact]
    public async Task Many_calls_share_a_channel()
    {
        await using TestServer server = await TestServer.StartAsync();
        using GrpcChannel channel = server.Connect();
        var calls = Enumerable.Range(0, 200).Select(async i =>
            (i, (await channel.UnaryAsync(TestServer.Echo, new HealthCheckRequest { Service = $"{i}" }, cancellation: Stop)).Service));
        foreach ((int i, string text) in await Task.WhenAll(calls))
            Assert.Equal(i.ToString(), text);
    }

    [Theory]
    [InlineData("plain")]
    [InlineData("100 % ünïcode \n second line")]
    public async Task Status_message_survives_the_wire(string detail)
    {
        await using TestServer server = await TestServer.StartAsync();
        using GrpcChannel channel = server.Connect();
        var error = await Assert.ThrowsAsync<GrpcException>(
            () => channel.UnaryAsync(TestServer.Fail, new HealthCheckRequest { Service = detail }, cancellation: Stop));
        Assert.Equal(GrpcStatus.FailedPrecondition, error.Status);
        Assert.Equal(detail, error.Detail);
    }

    [Fact]
    public async Task Handler_that_throws_ends_the_call_as_unknown_and_not_the_server()
    {
        await using TestServer server = await TestServer.StartAsync();
        using GrpcChannel channel = server.Connect();
        var error = await Assert.ThrowsAsync<GrpcException>(() => channel.UnaryAsync(TestServer.Fail, new HealthCheckRequest(), cancellation: Stop));
        Assert.Equal(GrpcStatus.Unknown, error.Status);
        Assert.Equal("broken", error.Detail);
        Assert.Equal("x", (await channel.UnaryAsync(TestServer.Echo, new HealthCheckRequest { Service = "x" }, cancellation: Stop)).Service);
    }

    [Fact]
    public async Task Deadline_ends_the_call_on_both_sides()
    {
        await using TestServer server = await TestServer.StartAsync();
        using GrpcChannel channel = server.Connect();
        await using var stream = await channel.ServerStreamAsync(
            TestServer.Wait, new HealthCheckRequest(), deadline: TimeSpan.FromMilliseconds(500), cancellation: Stop);
        var error = await Assert.ThrowsAsync<GrpcException>(async () =>
        {
            while (await stream.ReadAsync() is not null)
            {
            }
        });
        Assert.Equal(GrpcStatus.DeadlineExceeded, error.Status);
        await server.WaitEnded.Task.WaitAsync(Stop);
    }

    [Fact]
    public async Task Disposing_a_stream_cancels_the_handler()
    {
        await using TestServer server = await TestServer.StartAsync();
        using GrpcChannel channel = server.Connect();
        var stream = await channel.ServerStreamAsync(TestServer.Wait, new HealthCheckRequest(), cancellation: Stop);
        Assert.Equal("waiting", (await stream.ReadAsync())?.Service);
        await stream.DisposeAsync();
        await server.WaitEnded.Task.WaitAsync(Stop);
    }

    [Fact]
    public async Task Request_beyond_the_limit_is_refused_as_resource_exhausted()
    {
        await using TestServer server = await TestServer.StartAsync();
        using GrpcChannel channel = server.Connect();
        var error = await Assert.ThrowsAsync<GrpcException>(
            () => channel.UnaryAsync(TestServer.Echo, new HealthCheckRequest { Service = new string('x', 100_001) }, cancellation: Stop));
        Assert.Equal(GrpcStatus.ResourceExhausted, error.Status);
    }

    [Fact]
    public async Task Response_beyond_the_limit_is_refused_by_the_client()
    {
        await using TestServer server = await TestServer.StartAsync();
        using GrpcChannel channel = server.Connect(maximalMessageLength: 100);
        var error = await Assert.ThrowsAsync<GrpcException>(
            () => channel.UnaryAsync(TestServer.Echo, new HealthCheckRequest { Service = new string('x', 200) }, cancellation: Stop));
        Assert.Equal(GrpcStatus.ResourceExhausted, error.Status);
    }

    [Fact]
    public async Task Missing_server_is_unavailable()
    {
        using var channel = new GrpcChannel(new GrpcChannelOptions { Target = "unix:///nonexistent/x.sock" });
        var error = await Assert.ThrowsAsync<GrpcException>(() => channel.UnaryAsync(TestServer.Echo, new HealthCheckRequest(), cancellation: Stop));
        Assert.Equal(GrpcStatus.Unavailable, error.Status);
        Assert.Contains("/nonexistent/x.sock", error.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Plain_tcp_speaks_http2_with_prior_knowledge()
    {
        await using TestServer server = await TestServer.StartAsync(new GrpcEndpoint(new IPEndPoint(IPAddress.Loopback, 0)));
        using var channel = new GrpcChannel(new GrpcChannelOptions { Target = new Uri(server.TcpAddress).Authority });
        Assert.Equal("tcp", (await channel.UnaryAsync(TestServer.Echo, new HealthCheckRequest { Service = "tcp" }, cancellation: Stop)).Service);
    }

    [Fact]
    public async Task Mutual_tls_admits_only_clients_of_the_authority()
    {
        using X509Certificate2 authority = Authority("CN=test authority");
        using X509Certificate2 stranger = Authority("CN=another authority");
        using X509Certificate2 serverCertificate = Issue(authority, "localhost");
        using X509Certificate2 clientCertificate = Issue(authority, "client");
        using X509Certificate2 strangeCertificate = Issue(stranger, "client");
        var tls = new GrpcServerTls(serverCertificate, [authority]);
        await using TestServer server = await TestServer.StartAsync(new GrpcEndpoint(new IPEndPoint(IPAddress.Loopback, 0), tls));

        using GrpcChannel good = Connect(server, authority, clientCertificate);
        Assert.Equal("tls", (await good.UnaryAsync(TestServer.Echo, new HealthCheckRequest { Service = "tls" }, cancellation: Stop)).Service);
        using GrpcChannel bad = Connect(server, authority, strangeCertificate);
        var error = await Assert.ThrowsAsync<GrpcException>(() => bad.UnaryAsync(TestServer.Echo, new HealthCheckRequest(), cancellation: Stop));
        Assert.Equal(GrpcStatus.Unavailable, error.Status);
    }

    [Theory]
    [InlineData("http://x:1")]
    [InlineData("a b")]
    [InlineData("host:99999")]
    public void Target_of_another_form_is_refused(string target)
        => Assert.Throws<FormatException>(() => new GrpcChannel(new GrpcChannelOptions { Target = target }));

    private static GrpcChannel Connect(TestServer server, X509Certificate2 authority, X509Certificate2 certificate)
        => new(new GrpcChannelOptions
        {
            Target = $"tls://{new Uri(server.TcpAddress).Authority}",
            Tls = new SslClientAuthenticationOptions
            {
                TargetHost = "localhost",
                ClientCertificates = [certificate],
                CertificateChainPolicy = new X509ChainPolicy
                {
                    TrustMode = X509ChainTrustMode.CustomRootTrust,
                    CustomTrustStore = { authority },
                    RevocationMode = X509RevocationMode.NoCheck,
                },
            },
        });

    private static X509Certificate2 Authority(string name)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(name, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
    }

    private static X509Certificate2 Issue(X509Certificate2 authority, string name)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(name);
        request.CertificateExtensions.Add(names.Build());
        using X509Certificate2 bare = request.Create(
            authority, DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(1), RandomNumberGenerator.GetBytes(8));
        using X509Certificate2 withKey = bare.CopyWithPrivateKey(key);
        return X509CertificateLoader.LoadPkcs12(withKey.Export(X509ContentType.Pfx), null);
    }
}
