// SPDX-License-Identifier: Apache-2.0
using System.Security.Cryptography.X509Certificates;

namespace Axoneme.Kubernetes;

/// <summary>Which servers to talk to and how to prove who we are and who they are.</summary>
public sealed record KubernetesConfig
{
    private const string ServiceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount";

    /// <summary>API servers of one cluster, tried in this order; at least one.</summary>
    public required IReadOnlyList<Uri> Servers { get; init; }

    /// <summary>Trusted roots; null for the machine's own. Called for each new connection, so that a rotated file takes effect.</summary>
    public Func<X509Certificate2Collection>? CertificateAuthorities { get; init; }

    /// <summary>Called for each new connection.</summary>
    public Func<X509Certificate2>? ClientCertificate { get; init; }

    public ITokenSource? Token { get; init; }

    /// <summary>User and password for basic authentication.</summary>
    public (string User, string Password)? Basic { get; init; }

    /// <summary>Name that the server's certificate must have, when it is not the host of the URL.</summary>
    public string? TlsServerName { get; init; }

    /// <summary>Accepts any certificate. For tests only; a user asks for it in the kubeconfig.</summary>
    public bool SkipTlsVerification { get; init; }

    /// <summary>Namespace that commands use when none is given.</summary>
    public string Namespace { get; init; } = "default";

    /// <summary>The kubeconfig if a path is given, or else the credentials of the pod that we run in.</summary>
    /// <exception cref="KubernetesConfigException">Names file and field.</exception>
    public static KubernetesConfig Load(string? kubeconfigPath, TimeProvider? time = null)
        => string.IsNullOrEmpty(kubeconfigPath) ? InCluster(time: time) : Kubeconfig.Load(kubeconfigPath, time: time);

    /// <summary>The service account and the addresses that the kubelet gives to every pod.</summary>
    public static KubernetesConfig InCluster(string folder = ServiceAccountFolder, TimeProvider? time = null)
    {
        string? host = Environment.GetEnvironmentVariable("KUBERNETES_SERVICE_HOST");
        string? port = Environment.GetEnvironmentVariable("KUBERNETES_SERVICE_PORT");
        if (string.IsNullOrEmpty(host) || string.IsNullOrEmpty(port))
            throw new KubernetesConfigException("environment", "KUBERNETES_SERVICE_HOST", "not set: not in a pod, and no kubeconfig given");
        if (!Uri.TryCreate($"https://{(host.Contains(':', StringComparison.Ordinal) ? $"[{host}]" : host)}:{port}", UriKind.Absolute, out Uri? server))
            throw new KubernetesConfigException("environment", "KUBERNETES_SERVICE_HOST", $"'{host}' and port '{port}' make no URL");
        time ??= TimeProvider.System;
        var authorities = new FileContent<X509Certificate2Collection>(Path.Combine(folder, "ca.crt"), ParseCertificates, time);
        var token = new FileToken(Path.Combine(folder, "token"), time);
        string namespaceFile = Path.Combine(folder, "namespace");
        try
        {
            authorities.Get();
            token.GetTokenAsync(CancellationToken.None).AsTask().GetAwaiter().GetResult();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or System.Security.Cryptography.CryptographicException)
        {
            throw new KubernetesConfigException(folder, "", $"the service account cannot be read: {e.Message}", e);
        }

        return new KubernetesConfig
        {
            Servers = [server],
            CertificateAuthorities = authorities.Get,
            Token = token,
            Namespace = File.Exists(namespaceFile) ? File.ReadAllText(namespaceFile).Trim() : "default",
        };
    }

    internal static X509Certificate2Collection ParseCertificates(byte[] pem)
    {
        var certificates = new X509Certificate2Collection();
        certificates.ImportFromPem(System.Text.Encoding.ASCII.GetString(pem));
        if (certificates.Count == 0)
            throw new System.Security.Cryptography.CryptographicException("no certificate in it");
        return certificates;
    }
}
