// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Axoneme.EmbeddedApi;

/// <summary>The cluster's certificate authority: one P-256 key that signs the serving certificate and client certificates.</summary>
internal sealed class CertificateAuthority : IDisposable
{
    private static readonly TimeSpan Validity = TimeSpan.FromDays(3650);
    private readonly X509Certificate2 _certificate;

    private CertificateAuthority(X509Certificate2 certificate) => _certificate = certificate;

    public string CertificatePem => _certificate.ExportCertificatePem() + "\n";

    public X509Certificate2 Certificate => _certificate;

    /// <summary>Loads the authority of <paramref name="folder"/>, or makes a new one and keeps it there.</summary>
    public static CertificateAuthority Open(string? folder, DateTimeOffset now)
    {
        string? certificateFile = folder is null ? null : Path.Combine(folder, "ca.crt");
        string? keyFile = folder is null ? null : Path.Combine(folder, "ca.key");
        if (certificateFile is not null && File.Exists(certificateFile) && File.Exists(keyFile))
            return new(X509Certificate2.CreateFromPemFile(certificateFile, keyFile));
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=axoneme-lab-ca", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(
            X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign | X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        var authority = new CertificateAuthority(request.CreateSelfSigned(now.AddHours(-1), now + Validity));
        if (certificateFile is not null)
        {
            Directory.CreateDirectory(folder!);
            File.WriteAllText(certificateFile, authority.CertificatePem);
            using FileStream file = new(keyFile!, new FileStreamOptions
            {
                Mode = FileMode.Create,
                Access = FileAccess.Write,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            });
            file.Write(System.Text.Encoding.ASCII.GetBytes(key.ExportPkcs8PrivateKeyPem()));
        }
        return authority;
    }

    public X509Certificate2 IssueServing(IEnumerable<string> names, DateTimeOffset now)
    {
        var alternatives = new SubjectAlternativeNameBuilder();
        foreach (string name in names.Distinct(StringComparer.OrdinalIgnoreCase))
        {
            if (IPAddress.TryParse(name, out IPAddress? address))
                alternatives.AddIpAddress(address);
            else
                alternatives.AddDnsName(name);
        }
        return Issue("CN=kube-apiserver", "1.3.6.1.5.5.7.3.1", alternatives.Build(), now);
    }

    public X509Certificate2 IssueClient(ApiUser user, DateTimeOffset now)
    {
        var subject = new X500DistinguishedNameBuilder();
        foreach (string group in user.Groups)
            subject.AddOrganizationName(group);
        subject.AddCommonName(user.Name);
        return Issue(subject.Build().Name, "1.3.6.1.5.5.7.3.2", null, now);
    }

    /// <summary>The user of a certificate that this authority signed, or null.</summary>
    public ApiUser? Identify(X509Certificate2 client)
    {
        if (!Signed(client))
            return null;
        var groups = new List<string>();
        string? name = null;
        foreach (X500RelativeDistinguishedName part in client.SubjectName.EnumerateRelativeDistinguishedNames())
        {
            if (part.HasMultipleElements)
                continue;
            if (part.GetSingleElementType().Value == "2.5.4.10" && part.GetSingleElementValue() is { } group)
                groups.Add(group);
            else if (part.GetSingleElementType().Value == "2.5.4.3")
                name = part.GetSingleElementValue();
        }
        return name is null ? null : new ApiUser(name, groups);
    }

    public void Dispose() => _certificate.Dispose();

    private bool Signed(X509Certificate2 client)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(_certificate);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid("1.3.6.1.5.5.7.3.2"));
        return chain.Build(client);
    }

    private X509Certificate2 Issue(string subject, string usage, X509Extension? alternatives, DateTimeOffset now)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(new X500DistinguishedName(subject), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(usage)], false));
        if (alternatives is not null)
            request.CertificateExtensions.Add(alternatives);
        byte[] serial = RandomNumberGenerator.GetBytes(16);
        serial[0] &= 0x7f;
        DateTimeOffset end = _certificate.NotAfter;
        using X509Certificate2 signed = request.Create(_certificate, now.AddHours(-1), end, serial);
        return signed.CopyWithPrivateKey(key);
    }
}
