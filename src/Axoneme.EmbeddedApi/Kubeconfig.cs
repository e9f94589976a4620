// SPDX-License-Identifier: Apache-2.0
using System.Text;

namespace Axoneme.EmbeddedApi;

/// <summary>The text of a kubeconfig with one cluster, one user and one context.</summary>
internal static class Kubeconfig
{
    public static string ForToken(string clusterName, Uri server, string caPem, string userName, string token)
        => Compose(clusterName, server, caPem, userName, $"    token: {token}\n");

    public static string ForCertificate(
        string clusterName, Uri server, string caPem, string userName, (string Certificate, string Key) pem)
        => Compose(clusterName, server, caPem, userName,
            $"    client-certificate-data: {Base64(pem.Certificate)}\n    client-key-data: {Base64(pem.Key)}\n");

    private static string Compose(string clusterName, Uri server, string caPem, string userName, string credentials) => $"""
        apiVersion: v1
        kind: Config
        clusters:
        - name: {clusterName}
          cluster:
            server: {server.GetLeftPart(UriPartial.Authority)}
            certificate-authority-data: {Base64(caPem)}
        users:
        - name: {userName}
          user:

        """ + credentials + $"""
        contexts:
        - name: {clusterName}
          context:
            cluster: {clusterName}
            user: {userName}
        current-context: {clusterName}

        """;

    private static string Base64(string text) => Convert.ToBase64String(Encoding.UTF8.GetBytes(text));
}
