// SPDX-License-Identifier: Apache-2.0
using System.Security.Cryptography.X509Certificates;

namespace Axoneme.Kubernetes.Tests;

public sealed class KubeconfigTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("axoneme-kubeconfig-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private const string Valid = """
        apiVersion: v1
        kind: Config
        current-context: lab
        contexts:
        - name: other
          context: {cluster: other, user: other}
        - name: lab
          context: {cluster: lab, user: admin, namespace: demo}
        clusters:
        - name: lab
          cluster: {server: "https://127.0.0.1:6443", insecure-skip-tls-verify: true, tls-server-name: api}
        - name: other
          cluster: {server: "http://127.0.0.1:1"}
        users:
        - name: admin
          user: {token: secret}
        - name: other
          user: {username: u, password: p}
        """;

    [Fact]
    public async Task The_current_context_or_the_one_asked_for_is_used()
    {
        KubernetesConfig lab = Load(Valid);
        Assert.Equal(new Uri("https://127.0.0.1:6443"), Assert.Single(lab.Servers));
        Assert.Equal(("demo", true, "api"), (lab.Namespace, lab.SkipTlsVerification, lab.TlsServerName));
        Assert.Equal("secret", await lab.Token!.GetTokenAsync(TestContext.Current.CancellationToken));
        KubernetesConfig other = Kubeconfig.Parse(Valid, Path.Combine(_folder, "config"), "other");
        Assert.Equal((("u", "p"), "default", (ITokenSource?)null), (other.Basic, other.Namespace, other.Token));
    }

    [Theory]
    [InlineData("current-context: lab", "current-context: gone", "contexts", "there is no context named 'gone'")]
    [InlineData("current-context: lab", "", "current-context", "not set")]
    [InlineData("{cluster: lab, user: admin", "{cluster: gone, user: admin", "clusters", "there is no cluster named 'gone'")]
    [InlineData("{cluster: lab, user: admin", "{cluster: lab, user: gone", "users", "there is no user named 'gone'")]
    [InlineData("https://127.0.0.1:6443", "127.0.0.1", "clusters[0].cluster.server", "is no http or https URL")]
    [InlineData("insecure-skip-tls-verify: true", "insecure-skip-tls-verify: maybe", "clusters[0].cluster.insecure-skip-tls-verify", "neither true nor false")]
    [InlineData("tls-server-name: api", "certificate-authority-data: '!'", "clusters[0].cluster.certificate-authority-data", "Base-64")]
    [InlineData("tls-server-name: api", "certificate-authority-data: Zm9v", "clusters[0].cluster.certificate-authority-data", "no certificate in it")]
    [InlineData("tls-server-name: api", "certificate-authority: gone.crt", "clusters[0].cluster.certificate-authority", "gone.crt")]
    [InlineData("{token: secret}", "{tokenFile: gone}", "users[0].user.tokenFile", "gone")]
    [InlineData("{token: secret}", "{client-certificate-data: Zm9v}", "users[0].user.client-key", "missing")]
    [InlineData("{token: secret}", "{auth-provider: {name: gcp}}", "users[0].user.auth-provider", "use exec")]
    [InlineData("{token: secret}", "{token: [a]}", "users[0].user.token", "must be a text")]
    [InlineData("{token: secret}", "{exec: {apiVersion: v1}}", "users[0].user.exec.command", "missing")]
    [InlineData("kind: Config", "kind: [", "", "not valid YAML")]
    [InlineData("kind: Config", "kind: \"x", "line", "not valid YAML")]
    public void A_fault_is_reported_with_file_and_field(string good, string bad, string field, string problem)
    {
        Assert.Contains(good, Valid, StringComparison.Ordinal);
        var fault = Assert.Throws<KubernetesConfigException>(() => Load(Valid.Replace(good, bad, StringComparison.Ordinal)));
        Assert.StartsWith(Path.Combine(_folder, "config"), fault.Message, StringComparison.Ordinal);
        Assert.StartsWith(field, fault.Field, StringComparison.Ordinal);
        Assert.Contains(problem, fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_unreadable_file_is_named()
    {
        var fault = Assert.Throws<KubernetesConfigException>(() => Kubeconfig.Load(Path.Combine(_folder, "gone")));
        Assert.Contains(Path.Combine(_folder, "gone"), fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Certificates_are_read_inline_and_from_files_beside_the_kubeconfig()
    {
        using X509Certificate2 certificate = ScriptedApi.NewCertificate();
        string pem = certificate.ExportCertificatePem();
        string key = certificate.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem();
        File.WriteAllText(Path.Combine(_folder, "ca.crt"), pem);
        File.WriteAllText(Path.Combine(_folder, "client.key"), key);
        KubernetesConfig config = Load(Valid
            .Replace("tls-server-name: api", "certificate-authority: ca.crt", StringComparison.Ordinal)
            .Replace("{token: secret}", $"{{client-certificate-data: {Convert.ToBase64String(System.Text.Encoding.ASCII.GetBytes(pem))}, client-key: client.key}}", StringComparison.Ordinal));
        Assert.Equal(certificate.Thumbprint, Assert.Single(config.CertificateAuthorities!()).Thumbprint);
        using X509Certificate2 client = config.ClientCertificate!();
        Assert.True(client.HasPrivateKey);
    }

    [Fact]
    public async Task A_program_can_provide_the_token()
    {
        KubernetesConfig config = Load(Valid.Replace("{token: secret}", """
            {exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, args: [-c, 'echo "{\"status\":{\"token\":\"$NAME-token\"}}"'], env: [{name: NAME, value: exec}]}}
            """, StringComparison.Ordinal));
        Assert.Equal("exec-token", await config.Token!.GetTokenAsync(TestContext.Current.CancellationToken));
        KubernetesConfig broken = Load(Valid.Replace("{token: secret}", "{exec: {apiVersion: v1, command: sh, args: [-c, 'echo no >&2; exit 3']}}", StringComparison.Ordinal));
        var fault = await Assert.ThrowsAsync<KubernetesConfigException>(async () => await broken.Token!.GetTokenAsync(TestContext.Current.CancellationToken));
        Assert.Contains("users[0].user.exec: 'sh' ended with 3: no", fault.Message, StringComparison.Ordinal);
    }

    private KubernetesConfig Load(string text)
    {
        string path = Path.Combine(_folder, "config");
        File.WriteAllText(path, text);
        return Kubeconfig.Load(path);
    }
}
