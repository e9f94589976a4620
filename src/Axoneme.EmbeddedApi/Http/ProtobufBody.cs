// SPDX-License-Identifier: Apache-2.0
using System.Collections.Frozen;
using System.Text;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;

namespace Axoneme.EmbeddedApi.Http;

/// <summary>
/// Bodies in Kubernetes' protobuf, which newer kubectls send for what "create KIND" makes. Only those kinds are read; a field that is
/// not listed refuses the body rather than being lost.
/// </summary>
internal static class ProtobufBody
{
    private const int MaxDepth = 32;

    // Number, name, type. s text, i number (zero is absent), p number (zero counts), b flag, y bytes, x number or text, - ignored,
    // ms and my maps of texts and bytes, anything else a message; [] repeats.
    private static readonly FrozenDictionary<string, FrozenDictionary<int, (string Name, string Type)>> Messages = new Dictionary<string, string>
    {
        ["ObjectMeta"] = "1 name s,2 generateName s,3 namespace s,4 selfLink -,5 uid s,6 resourceVersion s,7 generation -,8 creationTimestamp -,11 labels ms,12 annotations ms,14 finalizers []s",
        ["ConfigMap"] = "1 metadata ObjectMeta,2 data ms,3 binaryData my,4 immutable b",
        ["Secret"] = "1 metadata ObjectMeta,2 data my,3 type s,4 stringData ms,5 immutable b",
        ["ServiceAccount"] = "1 metadata ObjectMeta,4 automountServiceAccountToken b",
        ["Namespace"] = "1 metadata ObjectMeta,2 spec -,3 status -",
        ["Service"] = "1 metadata ObjectMeta,2 spec ServiceSpec,3 status -",
        ["ServiceSpec"] = "1 ports []ServicePort,2 selector ms,3 clusterIP s,4 type s,5 externalIPs []s,7 sessionAffinity s,8 loadBalancerIP s,9 loadBalancerSourceRanges []s,10 externalName s,11 externalTrafficPolicy s,12 healthCheckNodePort i,13 publishNotReadyAddresses b,17 ipFamilyPolicy s,18 clusterIPs []s,19 ipFamilies []s,22 internalTrafficPolicy s",
        ["ServicePort"] = "1 name s,2 protocol s,3 port i,4 targetPort x,5 nodePort i,6 appProtocol s",
        ["Deployment"] = "1 metadata ObjectMeta,2 spec DeploymentSpec,3 status -",
        ["DeploymentSpec"] = "1 replicas p,2 selector LabelSelector,3 template PodTemplateSpec,4 strategy DeploymentStrategy,5 minReadySeconds i,6 revisionHistoryLimit p,7 paused b,9 progressDeadlineSeconds i",
        ["DeploymentStrategy"] = "1 type s",
        ["LabelSelector"] = "1 matchLabels ms",
        ["PodTemplateSpec"] = "1 metadata ObjectMeta,2 spec PodSpec",
        ["PodSpec"] = "2 containers []Container,3 restartPolicy s,6 dnsPolicy s,8 serviceAccountName s,9 serviceAccount s,10 nodeName s,11 hostNetwork b,12 hostPID b,13 hostIPC b,16 hostname s,17 subdomain s,19 schedulerName s,24 priorityClassName s",
        ["Container"] = "1 name s,2 image s,3 command []s,4 args []s,5 workingDir s,6 ports []ContainerPort,7 env []EnvVar,8 resources -,13 terminationMessagePath s,14 imagePullPolicy s,16 stdin b,17 stdinOnce b,18 tty b,20 terminationMessagePolicy s",
        ["ContainerPort"] = "1 name s,2 hostPort i,3 containerPort i,4 protocol s,5 hostIP s",
        ["EnvVar"] = "1 name s,2 value s",
        ["SelfSubjectAccessReview"] = "1 metadata ObjectMeta,2 spec AccessReviewSpec,3 status -",
        ["AccessReviewSpec"] = "1 resourceAttributes ResourceAttributes,2 nonResourceAttributes NonResourceAttributes",
        ["ResourceAttributes"] = "1 namespace s,2 verb s,3 group s,4 version s,5 resource s,6 subresource s,7 name s,8 fieldSelector -,9 labelSelector -",
        ["NonResourceAttributes"] = "1 path s,2 verb s",
        ["SelfSubjectRulesReview"] = "1 metadata ObjectMeta,2 spec RulesReviewSpec,3 status -",
        ["RulesReviewSpec"] = "1 namespace s",
        ["SelfSubjectReview"] = "1 metadata ObjectMeta,2 status -",
        ["DeleteOptions"] = "1 gracePeriodSeconds p,2 preconditions Preconditions,3 orphanDependents b,4 propagationPolicy s,5 dryRun []s",
        ["Preconditions"] = "1 uid s,2 resourceVersion s",
        ["TokenRequest"] = "1 metadata ObjectMeta,2 spec TokenRequestSpec,3 status -",
        ["TokenRequestSpec"] = "1 audiences []s,4 expirationSeconds p",
        ["TypeMeta"] = "1 apiVersion s,2 kind s",
    }.ToFrozenDictionary(m => m.Key, m => m.Value.Split(',').Select(f => f.Split(' ')).ToFrozenDictionary(f => int.Parse(f[0]), f => (f[1], f[2])));

    public static bool Is(string? contentType) => contentType?.StartsWith("application/vnd.kubernetes.protobuf", StringComparison.Ordinal) == true;

    /// <exception cref="ApiException">400 for what is no such body, 415 for kinds and fields that are not read.</exception>
    public static JsonObject Read(ReadOnlySpan<byte> body)
    {
        if (!body.StartsWith("k8s\0"u8))
            throw ApiErrors.BadRequest("the body is not in Kubernetes' protobuf form");
        try
        {
            ReadOnlySpan<byte> rest = body[4..], raw = [];
            JsonObject type = [];
            while (rest.Length > 0)
            {
                (int number, _, ReadOnlySpan<byte> value, rest) = Field.Next(rest);
                if (number == 1)
                    type = Message("TypeMeta", value, 0);
                else if (number == 2)
                    raw = value;
            }
            JsonObject result = Message(type.Text("kind") ?? "", raw, 0);
            result.Insert(0, "apiVersion", type.Text("apiVersion"));
            result.Insert(1, "kind", type.Text("kind"));
            return result;
        }
        catch (Exception e) when (e is ArgumentOutOfRangeException or OverflowException or FormatException)
        {
            throw ApiErrors.BadRequest($"the body is not in Kubernetes' protobuf form: {e.Message}");
        }
    }

    // A ref struct cannot be a tuple's member, so a field has a type of its own.
    private readonly ref struct Field
    {
        private int Number { get; init; }

        private ulong Scalar { get; init; }

        private ReadOnlySpan<byte> Value { get; init; }

        private ReadOnlySpan<byte> Rest { get; init; }

        public static Field Next(ReadOnlySpan<byte> data)
        {
            ulong key = Varint(ref data), scalar = 0;
            ReadOnlySpan<byte> value = [];
            switch (key & 7)
            {
                case 0:
                    scalar = Varint(ref data);
                    break;
                case 2:
                    int length = checked((int)Varint(ref data));
                    value = data[..length];
                    data = data[length..];
                    break;
                default:
                    throw new FormatException($"wire type {key & 7} is not used");
            }
            return new Field { Number = checked((int)(key >> 3)), Scalar = scalar, Value = value, Rest = data };
        }

        public void Deconstruct(out int number, out ulong scalar, out ReadOnlySpan<byte> value, out ReadOnlySpan<byte> rest)
        {
            number = Number;
            scalar = Scalar;
            value = Value;
            rest = Rest;
        }

        private static ulong Varint(ref ReadOnlySpan<byte> data)
        {
            ulong result = 0;
            for (int i = 0; i < 10; i++)
            {
                if (i >= data.Length)
                    throw new FormatException("a number is cut off");
                result |= (ulong)(data[i] & 0x7f) << (7 * i);
                if (data[i] >= 0x80)
                    continue;
                data = data[(i + 1)..];
                return result;
            }
            throw new FormatException("a number is too long");
        }
    }

    private static JsonObject Message(string type, ReadOnlySpan<byte> data, int depth)
    {
        if (depth > MaxDepth || !Messages.TryGetValue(type, out var fields))
            throw ApiErrors.UnsupportedMediaType($"a body of kind {type} is accepted as application/json or application/yaml only");
        var result = new JsonObject();
        while (data.Length > 0)
        {
            (int number, ulong scalar, ReadOnlySpan<byte> value, data) = Field.Next(data);
            if (!fields.TryGetValue(number, out var field))
                throw ApiErrors.UnsupportedMediaType($"field {number} of {type} is accepted in application/json or application/yaml only");
            if (field.Type is "ms" or "my")
                AddEntry(result.Ensure(field.Name), value, field.Type == "my");
            else if (field.Type.StartsWith("[]", StringComparison.Ordinal))
            {
                if (result[field.Name] is not JsonArray list)
                    result[field.Name] = list = [];
                list.Add(field.Type == "[]s" ? Encoding.UTF8.GetString(value) : (JsonNode)Message(field.Type[2..], value, depth + 1));
            }
            else if (Single(field.Type, scalar, value, depth) is { } single)
                result[field.Name] = single;
        }
        return result;
    }

    private static JsonNode? Single(string type, ulong scalar, ReadOnlySpan<byte> value, int depth) => type switch
    {
        "-" => null,
        "s" => value.Length == 0 ? null : Encoding.UTF8.GetString(value),
        "i" => scalar == 0 ? null : (long)scalar,
        "p" => (long)scalar,
        "b" => scalar == 0 ? null : true,
        "x" => NumberOrText(value),
        _ => Message(type, value, depth + 1),
    };

    private static JsonNode? NumberOrText(ReadOnlySpan<byte> data)
    {
        ulong kind = 0, number = 0;
        string text = "";
        while (data.Length > 0)
        {
            (int field, ulong scalar, ReadOnlySpan<byte> value, data) = Field.Next(data);
            if (field == 1)
                kind = scalar;
            else if (field == 2)
                number = scalar;
            else
                text = Encoding.UTF8.GetString(value);
        }
        return kind == 1 ? text : number == 0 ? null : (long)number;
    }

    private static void AddEntry(JsonObject map, ReadOnlySpan<byte> data, bool bytes)
    {
        string key = "", text = "";
        while (data.Length > 0)
        {
            (int field, _, ReadOnlySpan<byte> value, data) = Field.Next(data);
            if (field == 1)
                key = Encoding.UTF8.GetString(value);
            else
                text = bytes ? Convert.ToBase64String(value) : Encoding.UTF8.GetString(value);
        }
        map[key] = text;
    }
}
