// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using System.Buffers.Binary;
using System.IO.Compression;
using System.IO.Pipelines;
using Google.Protobuf;

namespace Axoneme.Grpc;

/// <summary>Length-prefixed messages: one byte of flags (1 = compressed), four bytes of length, the message.</summary>
internal static class GrpcFrame
{
    public const int HeaderLength = 5;
    public const int DefaultMaximalMessageLength = 4 * 1024 * 1024;

    /// <summary>Reads one message, or null at the end of the stream.</summary>
    /// <exception cref="GrpcException">The frame is malformed, cut short, too long or not this message.</exception>
    public static async ValueTask<T?> ReadAsync<T>(
        PipeReader reader, MessageParser<T> parser, FrameLimits limits, CancellationToken cancellation)
        where T : class, IMessage<T>
    {
        while (true)
        {
            ReadResult read = await reader.ReadAsync(cancellation).ConfigureAwait(false);
            ReadOnlySequence<byte> buffer = read.Buffer;
            if (TryReadFrame(buffer, limits, out bool compressed, out ReadOnlySequence<byte> payload))
            {
                T message = Parse(parser, compressed ? Decompress(payload, limits) : payload);
                reader.AdvanceTo(payload.End);
                return message;
            }

            if (read.IsCompleted)
            {
                bool empty = buffer.IsEmpty;
                reader.AdvanceTo(buffer.End);
                return empty ? null : throw new GrpcException(GrpcStatus.Internal, "the stream ended inside a message");
            }

            reader.AdvanceTo(buffer.Start, buffer.End);
        }
    }

    public static void Write(IBufferWriter<byte> output, IMessage message)
    {
        int length = message.CalculateSize();
        Span<byte> span = output.GetSpan(HeaderLength + length);
        span[0] = 0;
        BinaryPrimitives.WriteUInt32BigEndian(span[1..], (uint)length);
        message.WriteTo(span.Slice(HeaderLength, length));
        output.Advance(HeaderLength + length);
    }

    private static bool TryReadFrame(
        in ReadOnlySequence<byte> buffer, FrameLimits limits, out bool compressed, out ReadOnlySequence<byte> payload)
    {
        compressed = false;
        payload = default;
        if (buffer.Length < HeaderLength)
            return false;
        Span<byte> header = stackalloc byte[HeaderLength];
        buffer.Slice(0, HeaderLength).CopyTo(header);
        if (header[0] > 1)
            throw new GrpcException(GrpcStatus.Internal, $"a message has the unknown flags 0x{header[0]:x2}");
        compressed = header[0] == 1;
        if (compressed && !limits.IsGzip)
            throw new GrpcException(GrpcStatus.Internal, "a message is compressed, but the call names no grpc-encoding");
        uint length = BinaryPrimitives.ReadUInt32BigEndian(header[1..]);
        // Checked before the message is there: the limit bounds what a peer can make us buffer.
        if (length > limits.MaximalMessageLength)
            throw new GrpcException(GrpcStatus.ResourceExhausted, $"received message larger than max ({length} vs. {limits.MaximalMessageLength})");
        if (buffer.Length < HeaderLength + length)
            return false;
        payload = buffer.Slice(HeaderLength, length);
        return true;
    }

    private static ReadOnlySequence<byte> Decompress(in ReadOnlySequence<byte> payload, FrameLimits limits)
    {
        try
        {
            using var gzip = new GZipStream(new MemoryStream(payload.ToArray()), CompressionMode.Decompress);
            var plain = new ArrayBufferWriter<byte>();
            int read;
            while ((read = gzip.Read(plain.GetSpan(4096))) > 0)
            {
                plain.Advance(read);
                if (plain.WrittenCount > limits.MaximalMessageLength)
                    throw new GrpcException(GrpcStatus.ResourceExhausted, $"received message inflates beyond max ({limits.MaximalMessageLength})");
            }

            return new ReadOnlySequence<byte>(plain.WrittenMemory);
        }
        catch (InvalidDataException e)
        {
            throw new GrpcException(GrpcStatus.Internal, "a compressed message cannot be inflated", e);
        }
    }

    private static T Parse<T>(MessageParser<T> parser, in ReadOnlySequence<byte> payload)
        where T : class, IMessage<T>
    {
        try
        {
            return parser.ParseFrom(payload);
        }
        catch (InvalidProtocolBufferException e)
        {
            throw new GrpcException(GrpcStatus.Internal, $"error unmarshalling message: {e.Message}", e);
        }
    }
}

/// <summary>What a receiver accepts on one stream.</summary>
internal readonly record struct FrameLimits(uint MaximalMessageLength, bool IsGzip);
