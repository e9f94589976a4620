// SPDX-License-Identifier: Apache-2.0
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Axoneme.Grpc;

namespace Axoneme.Cli.Hubble;

/// <summary>Which server to ask and how: flags, then the environment (HUBBLE_SERVER ...), then the default.</summary>
internal sealed class ServerFlags
{
    private const string LocalSocket = "/var/run/cilium/hubble.sock";

    private string? _server = Setting("server");
    private bool _tls = Setting("tls") is "true" or "1";
    private bool _tlsAllowInsecure = Setting("tls-allow-insecure") is "true" or "1";
    private List<string> _caFiles = [.. Setting("tls-ca-cert-files")?.Split(',') ?? []];
    private string? _certificateFile = Setting("tls-client-cert-file");
    private string? _keyFile = Setting("tls-client-key-file");
    private string? _serverName = Setting("tls-server-name");
    private string? _user = Setting("basic-auth-username");
    private string? _password = Setting("basic-auth-password");

    /// <summary>Of unary calls.</summary>
    public TimeSpan RequestTimeout { get; private set; } = TimeSpan.FromSeconds(12);

    public bool Debug { get; private set; } = Setting("debug") is "true" or "1";

    /// <summary>The given server, else the agent of this node if there is one, else a forwarded relay.</summary>
    public string Server => _server ?? (File.Exists(LocalSocket) ? $"unix://{LocalSocket}" : "localhost:4245");

    public void AddTo(FlagSet flags)
    {
        flags.Value("server", v => _server = v, "ADDRESS", "host:port, tls://host:port or unix:///path")
            .Duration("timeout", _ => { }, "kept for scripts; connecting has no limit of its own")
            .Duration("request-timeout", v => RequestTimeout = v, "deadline of a single request")
            .Switch("tls", v => _tls = v, "use TLS")
            .Switch("tls-allow-insecure", v => _tlsAllowInsecure = v, "do not verify the server's certificate")
            .List("tls-ca-cert-files", v => _caFiles.Add(v), "FILES", "authorities of the server's certificate (PEM)")
            .Value("tls-client-cert-file", v => _certificateFile = v, "FILE", "certificate of the client (PEM)")
            .Value("tls-client-key-file", v => _keyFile = v, "FILE", "key of the client (PEM)")
            .Value("tls-server-name", v => _serverName = v, "NAME", "name in the server's certificate")
            .Value("basic-auth-username", v => _user = v, "NAME", "user for basic authentication")
            .Value("basic-auth-password", v => _password = v, "TEXT", "password for basic authentication")
            .Value("config", _ => { }, "FILE", "kept for scripts; settings come from flags and the environment")
            .Switch("debug", v => Debug = v, "print events of nodes too", 'D');
    }

    /// <exception cref="UserErrorException">Flags contradict each other, or a file cannot be read.</exception>
    public GrpcChannel Connect()
    {
        bool isTls = _tls || Server.StartsWith("tls://", StringComparison.Ordinal);
        if (_certificateFile is null != _keyFile is null)
            throw new UserErrorException("invalid flag(s): --tls-client-cert-file and --tls-client-key-file go together");
        if (_certificateFile is not null && !isTls)
            throw new UserErrorException("invalid flag(s): transport layer security required for a client certificate");
        if (_user is null != _password is null)
            throw new UserErrorException("invalid flag(s): --basic-auth-username and --basic-auth-password go together");
        if (_user is not null && !isTls)
            throw new UserErrorException("invalid flag(s): transport layer security required for basic authentication");
        try
        {
            return new GrpcChannel(new GrpcChannelOptions
            {
                Target = Server,
                Tls = isTls ? Tls() : null,
                Metadata = _user is null ? [] : [new("authorization", $"Basic {Convert.ToBase64String(Encoding.UTF8.GetBytes($"{_user}:{_password}"))}")],
            });
        }
        catch (Exception e) when (e is FormatException or IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new UserErrorException(e.Message);
        }
    }

    private SslClientAuthenticationOptions Tls()
    {
        var options = new SslClientAuthenticationOptions { TargetHost = _serverName };
        if (_tlsAllowInsecure)
        {
#pragma warning disable CA5359 // Asked for by name.
            options.RemoteCertificateValidationCallback = (_, _, _, _) => true;
#pragma warning restore CA5359
        }

        if (_caFiles.Count > 0)
        {
            options.CertificateChainPolicy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                RevocationMode = X509RevocationMode.NoCheck,
            };
            foreach (string file in _caFiles)
                options.CertificateChainPolicy.CustomTrustStore.ImportFromPemFile(file);
        }

        if (_certificateFile is not null)
            options.ClientCertificates = [X509Certificate2.CreateFromPemFile(_certificateFile, _keyFile)];
        return options;
    }

    private static string? Setting(string flag)
        => Environment.GetEnvironmentVariable($"HUBBLE_{flag.ToUpperInvariant().Replace('-', '_')}") is { Length: > 0 } value ? value : null;
}
