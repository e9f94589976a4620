// SPDX-License-Identifier: Apache-2.0
using Axoneme.EmbeddedApi.Controllers;
using Axoneme.EmbeddedApi.Http;
using Axoneme.EmbeddedApi.Objects;

namespace Axoneme.EmbeddedApi;

/// <summary>
/// A Kubernetes API with the few controllers that a bare cluster needs, in this process: a store of objects in memory, served over
/// HTTPS. A client cannot tell it from a real one, within the kinds that it knows.
/// </summary>
public sealed class EmbeddedApiHost : IAsyncDisposable
{
    private readonly EmbeddedApiOptions _options;
    private readonly CertificateAuthority _authority;
    private readonly ApiMachinery _machinery;
    private readonly ControllerHost _controllers;
    private readonly ApiServer _server;

    public EmbeddedApiHost(EmbeddedApiOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        _authority = CertificateAuthority.Open(options.DataFolder, options.Clock.GetUtcNow());
        _machinery = new ApiMachinery(options);
        Objects = new ObjectClient(_machinery);
        _controllers = new ControllerHost(_machinery, options, _authority.CertificatePem);
        _server = new ApiServer(_machinery, options, _authority);
    }

    /// <summary>The objects, without HTTP: for seeding and for tests. Usable before <see cref="StartAsync"/>.</summary>
    public ObjectClient Objects { get; }

    /// <summary>The certificate that signs the serving certificate, PEM.</summary>
    public string CaCertificatePem => _authority.CertificatePem;

    /// <summary>Starts controllers and listeners; when it returns, requests are served and the default namespaces exist.</summary>
    public async Task StartAsync(CancellationToken cancellationToken = default)
    {
        _machinery.Load();
        _controllers.Start();
        await _server.StartAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Ends watches and listeners, then controllers, and keeps the objects in the data folder if there is one.</summary>
    public async Task StopAsync()
    {
        await _server.StopAsync().ConfigureAwait(false);
        await _controllers.StopAsync().ConfigureAwait(false);
        _machinery.Save();
    }

    /// <summary>Addresses in use; after <see cref="StartAsync"/>, with the ports that port 0 became.</summary>
    public IReadOnlyList<Uri> Addresses => _server.Addresses;

    /// <summary>A kubeconfig's text for a bearer token of the options.</summary>
    public string KubeconfigForToken(Uri server, string token, string clusterName = "axoneme-lab")
        => Kubeconfig.ForToken(clusterName, server, CaCertificatePem,
            _options.Tokens.TryGetValue(token, out ApiUser? user) ? user.Name : "user", token);

    /// <summary>A kubeconfig's text with a newly signed client certificate.</summary>
    public string KubeconfigForCertificate(Uri server, ApiUser user, string clusterName = "axoneme-lab")
        => Kubeconfig.ForCertificate(clusterName, server, CaCertificatePem, user.Name, IssueClientCertificate(user));

    /// <summary>Signs a client certificate: common name is the user, organisations are the groups.</summary>
    public (string CertificatePem, string KeyPem) IssueClientCertificate(ApiUser user)
    {
        using var certificate = _authority.IssueClient(user, _options.Clock.GetUtcNow());
        using var key = System.Security.Cryptography.X509Certificates.ECDsaCertificateExtensions.GetECDsaPrivateKey(certificate)!;
        return (certificate.ExportCertificatePem() + "\n", key.ExportPkcs8PrivateKeyPem() + "\n");
    }

    /// <summary>Writes a kubeconfig that only the owner can read.</summary>
    public static void WriteKubeconfig(string file, string text)
    {
        using FileStream stream = new(file, new FileStreamOptions
        {
            Mode = FileMode.Create,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        });
        stream.Write(System.Text.Encoding.UTF8.GetBytes(text));
    }

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync().ConfigureAwait(false);
        await _controllers.StopAsync().ConfigureAwait(false);
        _controllers.Dispose();
        _authority.Dispose();
    }
}
