// SPDX-License-Identifier: Apache-2.0
using System.Text;
using System.Text.Json.Nodes;
using Axoneme.EmbeddedApi.Objects;

namespace Axoneme.EmbeddedApi.Http;

/// <summary>
/// The OpenAPI v2 document in the protobuf form that kubectl asks for (messages of openapi.v2, of which it reads paths, parameters,
/// definitions and extensions). Numbers are field numbers of those messages.
/// </summary>
internal static class OpenApiProtobuf
{
    public static byte[] Encode(JsonObject document)
    {
        var message = new Message();
        message.Text(1, document.Text("swagger"));
        message.Nested(2, info =>
        {
            info.Text(1, document.Text("info", "title"));
            info.Text(2, document.Text("info", "version"));
        });
        message.Nested(8, paths =>
        {
            foreach ((string name, JsonNode? path) in document.Map("paths") ?? [])
                paths.Nested(2, named =>
                {
                    named.Text(1, name);
                    named.Nested(2, item => PathItem(item, (JsonObject)path!));
                });
        });
        message.Nested(9, definitions =>
        {
            foreach ((string name, JsonNode? schema) in document.Map("definitions") ?? [])
                definitions.Nested(1, named => NamedSchema(named, name, (JsonObject)schema!));
        });
        return message.ToArray();
    }

    private static void PathItem(Message item, JsonObject path)
    {
        foreach ((string method, int number) in ((string, int)[])[("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("patch", 8)])
            if (path.Map(method) is { } operation)
                item.Nested(number, o => Operation(o, operation));
    }

    private static void Operation(Message message, JsonObject operation)
    {
        message.Text(5, operation.Text("operationId"));
        foreach (JsonObject parameter in operation.Objects("parameters"))
            message.Nested(8, item => item.Nested(1, p => p.Nested(2, nonBody => nonBody.Nested(3, query =>
            {
                query.Text(2, "query");
                query.Text(4, parameter.Text("name"));
                query.Text(6, parameter.Text("type"));
            }))));
        Extensions(message, operation, 13);
    }

    private static void NamedSchema(Message named, string name, JsonObject schema)
    {
        named.Text(1, name);
        named.Nested(2, value => Schema(value, schema));
    }

    private static void Schema(Message message, JsonObject schema)
    {
        message.Text(1, schema.Text("$ref"));
        message.Text(2, schema.Text("format"));
        message.Text(4, schema.Text("description"));
        foreach (string required in schema.Texts("required"))
            message.Text(19, required);
        if (schema.Map("additionalProperties") is { } additional)
            message.Nested(21, item => item.Nested(1, value => Schema(value, additional)));
        if (schema.Text("type") is { } type)
            message.Nested(22, item => item.Text(1, type));
        if (schema.Map("items") is { } items)
            message.Nested(23, list => list.Nested(1, value => Schema(value, items)));
        if (schema.Map("properties") is { } properties)
            message.Nested(25, all =>
            {
                foreach ((string name, JsonNode? child) in properties)
                    if (child is JsonObject property)
                        all.Nested(1, named => NamedSchema(named, name, property));
            });
        Extensions(message, schema, 31);
    }

    private static void Extensions(Message message, JsonObject owner, int number)
    {
        foreach ((string name, JsonNode? value) in owner)
            if (name.StartsWith("x-", StringComparison.Ordinal))
                message.Nested(number, named =>
                {
                    named.Text(1, name);
                    // JSON is YAML.
                    named.Nested(2, any => any.Text(2, JsonText.ToText(value) + "\n"));
                });
    }

    private sealed class Message
    {
        private readonly System.Buffers.ArrayBufferWriter<byte> _bytes = new(64);

        public void Text(int number, string? text)
        {
            if (text is not null)
                Bytes(number, Encoding.UTF8.GetBytes(text));
        }

        public void Nested(int number, Action<Message> fill)
        {
            var message = new Message();
            fill(message);
            Bytes(number, message.ToArray());
        }

        public byte[] ToArray() => _bytes.WrittenSpan.ToArray();

        private void Bytes(int number, byte[] value)
        {
            Varint((uint)(number << 3 | 2));
            Varint((uint)value.Length);
            System.Buffers.BuffersExtensions.Write(_bytes, value);
        }

        private void Varint(uint value)
        {
            for (; value >= 0x80; value >>= 7)
                Byte((byte)(value | 0x80));
            Byte((byte)value);
        }

        private void Byte(byte value)
        {
            _bytes.GetSpan(1)[0] = value;
            _bytes.Advance(1);
        }
    }
}
