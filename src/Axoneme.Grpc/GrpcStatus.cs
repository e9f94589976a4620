// SPDX-License-Identifier: Apache-2.0
using System.Text;

namespace Axoneme.Grpc;

/// <summary>Status codes of the gRPC wire protocol.</summary>
public enum GrpcStatus
{
    OK = 0,
    Canceled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

/// <summary>A call that ended with another status than OK: thrown by clients, and by handlers to choose the status.</summary>
public sealed class GrpcException(GrpcStatus status, string detail, Exception? inner = null)
    : Exception($"rpc error: code = {status} desc = {detail}", inner)
{
    public GrpcStatus Status { get; } = status;

    public string Detail { get; } = detail;
}

/// <summary>
/// <c>grpc-message</c> travels percent-encoded: header values are limited to printable ASCII, messages are UTF-8 text.
/// </summary>
public static class GrpcMessageText
{
    // Header blocks have a size limit at the receiver; a longer message would turn an error into a broken stream.
    private const int MaximalLength = 4096;

    public static string Encode(string message)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(message.Length > MaximalLength ? message[..MaximalLength] : message);
        var text = new StringBuilder(bytes.Length);
        foreach (byte b in bytes)
        {
            if (b is >= 0x20 and <= 0x7e and not (byte)'%')
                text.Append((char)b);
            else
                text.Append('%').Append(b.ToString("X2"));
        }

        return text.ToString();
    }

    /// <summary>Decodes; broken escapes are kept as they are, because an error text must never be lost to a second error.</summary>
    public static string Decode(string encoded)
    {
        if (!encoded.Contains('%', StringComparison.Ordinal))
            return encoded;
        var bytes = new List<byte>(encoded.Length);
        for (int i = 0; i < encoded.Length; i++)
        {
            if (encoded[i] == '%' && i + 2 < encoded.Length
                && char.IsAsciiHexDigit(encoded[i + 1]) && char.IsAsciiHexDigit(encoded[i + 2]))
            {
                bytes.Add(Convert.ToByte(encoded.Substring(i + 1, 2), 16));
                i += 2;
            }
            else
            {
                bytes.AddRange(Encoding.UTF8.GetBytes(encoded[i].ToString()));
            }
        }

        return Encoding.UTF8.GetString([.. bytes]);
    }
}
