// SPDX-License-Identifier: Apache-2.0
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;

namespace Axoneme.Kubernetes;

/// <summary>TLS settings from a <see cref="KubernetesConfig"/>.</summary>
internal static class ServerTrust
{
    public static SslClientAuthenticationOptions Options(KubernetesConfig config)
    {
        var options = new SslClientAuthenticationOptions();
        if (config.ClientCertificate is { } certificate)
            options.LocalCertificateSelectionCallback = (_, _, _, _, _) => certificate();
        if (config.SkipTlsVerification)
#pragma warning disable CA5359 // The user wrote insecure-skip-tls-verify.
            options.RemoteCertificateValidationCallback = (_, _, _, _) => true;
#pragma warning restore CA5359
        else if (config.CertificateAuthorities is not null || config.TlsServerName is not null)
            options.RemoteCertificateValidationCallback = (_, server, chain, errors) => Validate(config, server, chain, errors);
        return options;
    }

    private static bool Validate(KubernetesConfig config, X509Certificate? server, X509Chain? sent, SslPolicyErrors errors)
    {
        if (server is not X509Certificate2 certificate)
            return false;
        if (config.TlsServerName is { Length: > 0 } name)
        {
            if (!certificate.MatchesHostname(name))
                return false;
        }
        else if (errors.HasFlag(SslPolicyErrors.RemoteCertificateNameMismatch))
        {
            return false;
        }

        if (config.CertificateAuthorities is not { } authorities)
            return !errors.HasFlag(SslPolicyErrors.RemoteCertificateChainErrors);

        // A chain of its own, because the roots may have been rotated since the handler was made.
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.CustomTrustStore.AddRange(authorities());
        foreach (X509ChainElement element in sent?.ChainElements ?? Enumerable.Empty<X509ChainElement>())
            chain.ChainPolicy.ExtraStore.Add(element.Certificate);
        return chain.Build(certificate);
    }
}
