// SPDX-License-Identifier: Apache-2.0
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Axoneme.Kubernetes;

/// <summary>
/// Reads the configuration file of kubectl. Relative paths in it are relative to the file; files that it names are read again when they are
/// rotated. Proxy settings are not used: the API is reached directly.
/// </summary>
public static class Kubeconfig
{
    /// <param name="context">Which context; null for the current one.</param>
    /// <exception cref="KubernetesConfigException">Names file and field.</exception>
    public static KubernetesConfig Load(string path, string? context = null, TimeProvider? time = null)
        => Parse(ReadText(path), path, context, time);

    /// <param name="path">For messages and relative paths.</param>
    internal static KubernetesConfig Parse(string text, string path, string? context = null, TimeProvider? time = null)
    {
        var file = new ConfigNode(path, "", ReadRoot(text, path));
        string name = context ?? file.Text("current-context") ?? throw file.Error("current-context", "not set, and no context given");
        ConfigNode chosen = file.Named("contexts", name, "context");
        ConfigNode cluster = file.Named("clusters", chosen.Required("cluster"), "cluster");
        ConfigNode? user = chosen.Text("user") is { Length: > 0 } userName ? file.Named("users", userName, "user") : null;
        return new ConfigReader(path, time ?? TimeProvider.System).Read(cluster, user, chosen.Text("namespace"));
    }

    private static string ReadText(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new KubernetesConfigException(path, "", $"the kubeconfig cannot be read: {e.Message}", e);
        }
    }

    private static YamlMappingNode ReadRoot(string text, string path)
    {
        try
        {
            var stream = new YamlStream();
            stream.Load(new StringReader(text));
            if (stream.Documents is [{ RootNode: YamlMappingNode root }, ..])
                return root;
        }
        catch (YamlException e)
        {
            throw new KubernetesConfigException(path, $"line {e.Start.Line}", $"not valid YAML: {e.Message}", e);
        }
        catch (InvalidOperationException e)
        {
            // The parser's way of saying that the text ends too early.
            throw new KubernetesConfigException(path, "", "not valid YAML: it ends within a list or mapping", e);
        }

        throw new KubernetesConfigException(path, "", "not a kubeconfig: the top level is no mapping");
    }

    private sealed class ConfigReader(string path, TimeProvider time)
    {
        private readonly string _folder = Path.GetDirectoryName(Path.GetFullPath(path))!;

        public KubernetesConfig Read(ConfigNode cluster, ConfigNode? user, string? ns)
        {
            string address = cluster.Required("server");
            if (!Uri.TryCreate(address, UriKind.Absolute, out Uri? server) || server.Scheme is not ("https" or "http"))
                throw cluster.Error("server", $"'{address}' is no http or https URL");
            string? userName = user?.Text("username");
            return new KubernetesConfig
            {
                Servers = [server],
                CertificateAuthorities = Loaded(cluster, "certificate-authority", KubernetesConfig.ParseCertificates),
                TlsServerName = cluster.Text("tls-server-name"),
                SkipTlsVerification = cluster.Flag("insecure-skip-tls-verify"),
                ClientCertificate = user is null ? null : Certificate(user),
                Token = user is null ? null : Token(user),
                Basic = string.IsNullOrEmpty(userName) ? null : (userName, user!.Text("password") ?? ""),
                Namespace = string.IsNullOrEmpty(ns) ? "default" : ns,
            };
        }

        private ITokenSource? Token(ConfigNode user)
        {
            if (user.Text("tokenFile") is { Length: > 0 } tokenFile)
            {
                var token = new FileToken(Resolve(tokenFile), time);
                Try(user, "tokenFile", () => token.GetTokenAsync(CancellationToken.None).AsTask().GetAwaiter().GetResult());
                return token;
            }

            if (user.Text("token") is { Length: > 0 } text)
                return new StaticToken(text);
            if (user.Child("exec") is not { } exec)
                return user.Has("auth-provider") ? throw user.Error("auth-provider", "not supported; use exec") : null;
            string command = exec.Required("command");
            if (command.Contains('/', StringComparison.Ordinal))
                command = Resolve(command);
            return new ExecToken(
                (path, exec.Field), command, exec.Texts("args"), exec.Pairs("env"), exec.Required("apiVersion"), time);
        }

        private Func<X509Certificate2>? Certificate(ConfigNode user)
        {
            Func<byte[]>? certificate = Bytes(user, "client-certificate");
            Func<byte[]>? key = Bytes(user, "client-key");
            if (certificate is null && key is null)
                return null;
            if (certificate is null || key is null)
                throw user.Error(certificate is null ? "client-certificate" : "client-key", "missing, but its counterpart is given");
            Try(user, "client-certificate", Load);
            return Load;

            X509Certificate2 Load()
            {
                using X509Certificate2 pem = X509Certificate2.CreateFromPem(
                    Encoding.ASCII.GetString(certificate()), Encoding.ASCII.GetString(key()));
                // The TLS stack wants a certificate whose key is not tied to the PEM object.
                return X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), null);
            }
        }

        /// <summary>The field's content: inline (<c>NAME-data</c>, base64) or from the file that it names.</summary>
        private Func<byte[]>? Bytes(ConfigNode node, string field) => Loaded(node, field, bytes => bytes);

        private Func<T>? Loaded<T>(ConfigNode node, string field, Func<byte[], T> parse)
            where T : class
        {
            string dataField = field + "-data";
            if (node.Text(dataField) is { Length: > 0 } data)
            {
                T value = Try(node, dataField, () => parse(Convert.FromBase64String(data)));
                return () => value;
            }

            if (node.Text(field) is not { Length: > 0 } name)
                return null;
            var file = new FileContent<T>(Resolve(name), parse, time);
            Try(node, field, file.Get);
            return file.Get;
        }

        private string Resolve(string name) => Path.Combine(_folder, name);

        private static T Try<T>(ConfigNode node, string field, Func<T> read)
        {
            try
            {
                return read();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException or CryptographicException)
            {
                throw node.Error(field, e.Message, e);
            }
        }
    }

    /// <summary>A mapping of the file, with the path that leads to it.</summary>
    private sealed record ConfigNode(string File, string Field, YamlMappingNode Mapping)
    {
        public KubernetesConfigException Error(string field, string problem, Exception? cause = null)
            => new(File, Join(field), problem, cause);

        public bool Has(string field) => Mapping.Children.ContainsKey(new YamlScalarNode(field));

        public string? Text(string field) => Find(field) switch
        {
            null => null,
            YamlScalarNode scalar => scalar.Value is "null" or "~" && scalar.Style == ScalarStyle.Plain ? null : scalar.Value,
            _ => throw Error(field, "must be a text"),
        };

        public string Required(string field) => Text(field) is { Length: > 0 } text ? text : throw Error(field, "missing");

        public bool Flag(string field) => Text(field) switch
        {
            null or "" or "false" => false,
            "true" => true,
            var other => throw Error(field, $"'{other}' is neither true nor false"),
        };

        public ConfigNode? Child(string field) => Find(field) switch
        {
            null => null,
            YamlScalarNode { Value: "" or "null" or "~" } => null,
            YamlMappingNode mapping => new ConfigNode(File, Join(field), mapping),
            _ => throw Error(field, "must be a mapping"),
        };

        /// <summary>The entry of a named list, such as the cluster below <c>clusters: [{name, cluster}]</c>.</summary>
        public ConfigNode Named(string list, string name, string member)
        {
            int i = 0;
            foreach (YamlNode item in List(list))
            {
                var entry = new ConfigNode(File, $"{Join(list)}[{i}]", item as YamlMappingNode ?? throw Error($"{list}[{i}]", "must be a mapping"));
                if (entry.Text("name") == name)
                    return entry.Child(member) ?? throw entry.Error(member, "missing");
                i++;
            }

            throw Error(list, $"there is no {member} named '{name}'");
        }

        public IReadOnlyList<string> Texts(string list)
            => [.. List(list).Select(n => (n as YamlScalarNode)?.Value ?? throw Error(list, "must be a list of texts"))];

        /// <summary>A list of <c>{name, value}</c>.</summary>
        public Dictionary<string, string> Pairs(string list)
            => List(list)
                .Select(n => new ConfigNode(File, Join(list), n as YamlMappingNode ?? throw Error(list, "must be a list of mappings")))
                .ToDictionary(n => n.Required("name"), n => n.Text("value") ?? "");

        private IEnumerable<YamlNode> List(string field) => Find(field) switch
        {
            null => [],
            YamlScalarNode { Value: "" or "null" or "~" } => [],
            YamlSequenceNode sequence => sequence.Children,
            _ => throw Error(field, "must be a list"),
        };

        private YamlNode? Find(string field) => Mapping.Children.TryGetValue(new YamlScalarNode(field), out YamlNode? node) ? node : null;

        private string Join(string field) => Field.Length == 0 ? field : $"{Field}.{field}";
    }
}
