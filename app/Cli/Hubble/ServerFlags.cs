// SPDX-License-Identifier: Apache-2.0
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Axoneme.Grpc;

namespace Axoneme.Cli.Hubble;

/// <summary>Which server to ask and how: flags, then <see cref="HubbleSettings"/>, then the default.</summary>
internal sealed class ServerFlags
{
    private const string LocalSocket = "/var/run/cilium/hubble.sock";

    private readonly Func<string, string?> _environment = Environment.GetEnvironmentVariable;
    private readonly Dictionary<string, string> _given = [];
    private readonly List<string> _caFiles = [];
    private HubbleSettings? _settings;
    private string? _configFile;

    /// <summary>Of unary calls.</summary>
    public TimeSpan RequestTimeout
        => TimeText.TryParseDuration(Value("request-timeout") ?? "12s", out TimeSpan timeout)
            ? timeout : throw new UserErrorException($"request-timeout is no duration: \"{Value("request-timeout")}\"");

    public bool Debug => IsTrue("debug");

    /// <summary>Nobody said which server, and this node has none.</summary>
    public bool IsAnywhere => Value("server") is null && !File.Exists(LocalSocket);

    public string? Kubeconfig => Value("kubeconfig");

    /// <summary>The given server, else the agent of this node if there is one, else a forwarded relay.</summary>
    public string Server => Value("server") ?? (File.Exists(LocalSocket) ? $"unix://{LocalSocket}" : "localhost:4245");

    private HubbleSettings Settings => _settings ??= new HubbleSettings(_configFile, _environment);

    public void AddTo(FlagSet flags)
    {
        Given(flags, "server", "ADDRESS", "host:port, tls://host:port or unix:///path");
        flags.Duration("timeout", _ => { }, "kept for scripts; connecting has no limit of its own")
            .Duration("request-timeout", v => _given["request-timeout"] = TimeText.Format(v), "deadline of a single request (12s)")
            .List("tls-ca-cert-files", _caFiles.Add, "FILES", "authorities of the server's certificate (PEM)")
            .Value("config", v => _configFile = v, "FILE", "settings, a \"name: value\" a line");
        Given(flags, "tls", "use TLS");
        Given(flags, "tls-allow-insecure", "do not verify the server's certificate");
        Given(flags, "tls-client-cert-file", "FILE", "certificate of the client (PEM)");
        Given(flags, "tls-client-key-file", "FILE", "key of the client (PEM)");
        Given(flags, "tls-server-name", "NAME", "name in the server's certificate");
        Given(flags, "basic-auth-username", "NAME", "user for basic authentication");
        Given(flags, "basic-auth-password", "TEXT", "password for basic authentication");
        Given(flags, "debug", "print events of nodes too", 'D');
        Given(flags, "port-forward", "not done here: says how kubectl does it", 'P');
        Given(flags, "port-forward-port", "PORT", "local port of the forwarding (4245)");
        Given(flags, "kubeconfig", "FILE", "only for the forwarding");
        Given(flags, "kube-context", "NAME", "only for the forwarding");
        Given(flags, "kube-namespace", "NAME", "only for the forwarding (kube-system)");
    }

    /// <exception cref="UserErrorException">Flags contradict each other, or a file cannot be read.</exception>
    public GrpcChannel Connect() => Connect(Server);

    /// <exception cref="UserErrorException">Flags contradict each other, or a file cannot be read.</exception>
    public GrpcChannel Connect(string server)
    {
        if (IsTrue("port-forward"))
            throw new UserErrorException(ForwardingHint());
        bool isTls = IsTrue("tls") || server.StartsWith("tls://", StringComparison.Ordinal);
        (string? user, string? password) = (Value("basic-auth-username"), Value("basic-auth-password"));
        (string? certificate, string? key) = (Value("tls-client-cert-file"), Value("tls-client-key-file"));
        if (certificate is null != key is null)
            throw new UserErrorException("invalid flag(s): --tls-client-cert-file and --tls-client-key-file go together");
        if (certificate is not null && !isTls)
            throw new UserErrorException("invalid flag(s): transport layer security required for a client certificate");
        if (user is null != password is null)
            throw new UserErrorException("invalid flag(s): --basic-auth-username and --basic-auth-password go together");
        if (user is not null && !isTls)
            throw new UserErrorException("invalid flag(s): transport layer security required for basic authentication");
        try
        {
            return new GrpcChannel(new GrpcChannelOptions
            {
                Target = server,
                Tls = isTls ? Tls(certificate, key) : null,
                Metadata = user is null ? [] : [new("authorization", $"Basic {Convert.ToBase64String(Encoding.UTF8.GetBytes($"{user}:{password}"))}")],
            });
        }
        catch (Exception e) when (e is FormatException or IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new UserErrorException(e.Message);
        }
    }

    // The API server's forwarding is kubectl's business, which has the credentials and their plugins.
    private string ForwardingHint()
    {
        string cluster = string.Concat(
            Value("kubeconfig") is { } file ? $" --kubeconfig {file}" : "", Value("kube-context") is { } context ? $" --context {context}" : "");
        string port = Value("port-forward-port") ?? "4245";
        return $"-P is not done here; run \"kubectl{cluster} -n {Value("kube-namespace") ?? "kube-system"} port-forward service/hubble-relay {port}:80\" "
            + $"in another terminal, and this command with --server localhost:{port}";
    }

    private SslClientAuthenticationOptions Tls(string? certificate, string? key)
    {
        var options = new SslClientAuthenticationOptions { TargetHost = Value("tls-server-name") };
        if (IsTrue("tls-allow-insecure"))
        {
#pragma warning disable CA5359 // Asked for by name.
            options.RemoteCertificateValidationCallback = (_, _, _, _) => true;
#pragma warning restore CA5359
        }

        string[] authorities = _caFiles.Count > 0 ? [.. _caFiles] : Settings.Find("tls-ca-cert-files")?.Split(',') ?? [];
        if (authorities.Length > 0)
        {
            options.CertificateChainPolicy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                RevocationMode = X509RevocationMode.NoCheck,
            };
            foreach (string file in authorities)
                options.CertificateChainPolicy.CustomTrustStore.ImportFromPemFile(file);
        }

        if (certificate is not null)
            options.ClientCertificates = [X509Certificate2.CreateFromPemFile(certificate, key)];
        return options;
    }

    private void Given(FlagSet flags, string name, string valueName, string help) => flags.Value(name, v => _given[name] = v, valueName, help);

    private void Given(FlagSet flags, string name, string help, char? shortName = null)
        => flags.Switch(name, v => _given[name] = v ? "true" : "false", help, shortName);

    private string? Value(string name) => _given.GetValueOrDefault(name) is { Length: > 0 } value ? value : Settings.Find(name);

    private bool IsTrue(string name) => Value(name) is "true" or "1";
}
