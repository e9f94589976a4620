// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Axoneme.Kubernetes.Tests;

/// <summary>An API server that does what the test says: each request is answered by the next step of the script, and recorded.</summary>
public sealed class ScriptedApi : IAsyncDisposable
{
    /// <summary>Item of the request's context that holds its body, for scripts.</summary>
    public const string BodyItem = "body";

    private readonly WebApplication _app;
    private readonly ConcurrentQueue<RequestDelegate> _script = new();

    private ScriptedApi(WebApplication app) => _app = app;

    public ConcurrentQueue<RecordedRequest> Requests { get; } = new();

    /// <summary>Answers whatever the script has no step for.</summary>
    public RequestDelegate Otherwise { get; set; } = context =>
    {
        context.Response.StatusCode = 418;
        return Task.CompletedTask;
    };

    public Uri Address { get; private set; } = null!;

    public sealed record RecordedRequest(
        string Method, string Path, Dictionary<string, string> Query, string? Authorization, string? ContentType, string Body, string Protocol);

    public static async Task<ScriptedApi> StartAsync(X509Certificate2? certificate = null)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen =>
        {
            listen.Protocols = certificate is null ? HttpProtocols.Http1 : HttpProtocols.Http1AndHttp2;
            if (certificate is not null)
                listen.UseHttps(certificate);
        }));
        WebApplication app = builder.Build();
        var api = new ScriptedApi(app);
        app.Run(api.AnswerAsync);
        await app.StartAsync();
        string address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        api.Address = new Uri(address);
        return api;
    }

    public ScriptedApi Then(RequestDelegate step)
    {
        _script.Enqueue(step);
        return this;
    }

    /// <summary>Answers with a JSON body.</summary>
    public ScriptedApi Then(int code, string json) => Then(context => ReplyAsync(context, code, json));

    /// <summary>A watch that sends the lines and then stays open until the client goes.</summary>
    public ScriptedApi ThenWatch(params string[] lines) => Then(async context =>
    {
        await SendLinesAsync(context, lines);
        await HangAsync(context);
    });

    /// <summary>A watch that sends the lines and ends.</summary>
    public ScriptedApi ThenShortWatch(params string[] lines) => Then(context => SendLinesAsync(context, lines));

    public static Task ReplyAsync(HttpContext context, int code, string json)
    {
        context.Response.StatusCode = code;
        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync(json, context.RequestAborted);
    }

    public static async Task SendLinesAsync(HttpContext context, IEnumerable<string> lines)
    {
        context.Response.ContentType = "application/json";
        await context.Response.StartAsync();
        foreach (string line in lines)
            await context.Response.WriteAsync(line + "\n", context.RequestAborted);
        await context.Response.Body.FlushAsync(context.RequestAborted);
    }

    public static Task HangAsync(HttpContext context)
    {
        var gone = new TaskCompletionSource();
        context.RequestAborted.Register(() => gone.TrySetResult());
        return gone.Task;
    }

    public async ValueTask DisposeAsync()
    {
        using var now = new CancellationTokenSource();
        await now.CancelAsync();
        await _app.StopAsync(now.Token);
        await _app.DisposeAsync();
    }

    private async Task AnswerAsync(HttpContext context)
    {
        using var reader = new StreamReader(context.Request.Body, Encoding.UTF8);
        string body = await reader.ReadToEndAsync(context.RequestAborted);
        context.Items[BodyItem] = body;
        Requests.Enqueue(new RecordedRequest(
            context.Request.Method, context.Request.Path, context.Request.Query.ToDictionary(q => q.Key, q => q.Value.ToString()), context.Request.Headers.Authorization,
            context.Request.ContentType, body, context.Request.Protocol));
        RequestDelegate step = _script.TryDequeue(out RequestDelegate? next) ? next : Otherwise;
        await step(context);
    }

    /// <summary>A self-signed certificate.</summary>
    public static X509Certificate2 NewCertificate(string name = "127.0.0.1")
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=" + name, key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        if (IPAddress.TryParse(name, out IPAddress? address))
            names.AddIpAddress(address);
        else
            names.AddDnsName(name);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        using X509Certificate2 made = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pkcs12), null);
    }
}
