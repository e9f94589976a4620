// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.Text;

namespace Axoneme.Cni;

/// <summary>
/// What a container runtime hands to the plugin (CNI specification 1.1, section 2: environment and standard input), as the
/// plugin passes it on to the agent.
/// </summary>
/// <remarks>
/// One message on a SOCK_SEQPACKET socket, so that the socket keeps the message boundary. Little endian:
/// <code>
/// +-----------+---------------------------------------------+
/// | "AXC1" @0 | seven fields: length u32, then UTF-8 bytes  |
/// +-----------+---------------------------------------------+
/// </code>
/// The open network namespace travels beside it as SCM_RIGHTS: the agent may live in another mount namespace, where the
/// runtime's path means nothing.
/// </remarks>
public sealed record CniRequest(
    string Command, string ContainerId, string NetworkNamespace, string InterfaceName, string Args, string Path, string Config)
{
    /// <summary>Larger requests are refused; a network configuration with a long GC list stays far below.</summary>
    public const int MaximalBytes = 128 * 1024;

    private const int FieldCount = 7;

    private static ReadOnlySpan<byte> Magic => "AXC1"u8;

    public byte[] Encode()
    {
        string[] fields = [Command, ContainerId, NetworkNamespace, InterfaceName, Args, Path, Config];
        int size = Magic.Length;
        foreach (string field in fields)
            size += sizeof(uint) + Encoding.UTF8.GetByteCount(field);

        var message = new byte[size];
        Magic.CopyTo(message);
        int at = Magic.Length;
        foreach (string field in fields)
        {
            int length = Encoding.UTF8.GetBytes(field, message.AsSpan(at + sizeof(uint)));
            BinaryPrimitives.WriteInt32LittleEndian(message.AsSpan(at), length);
            at += sizeof(uint) + length;
        }

        return message;
    }

    /// <summary>Decodes a message from an untrusted peer; false for anything that is not exactly one request.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> message, out CniRequest? request)
    {
        request = null;
        if (!message.StartsWith(Magic))
            return false;
        ReadOnlySpan<byte> rest = message[Magic.Length..];
        var fields = new string[FieldCount];
        for (int i = 0; i < FieldCount; i++)
        {
            if (rest.Length < sizeof(uint))
                return false;
            uint length = BinaryPrimitives.ReadUInt32LittleEndian(rest);
            rest = rest[sizeof(uint)..];
            if (length > (uint)rest.Length)
                return false;
            fields[i] = Encoding.UTF8.GetString(rest[..(int)length]);
            rest = rest[(int)length..];
        }

        if (!rest.IsEmpty)
            return false;
        request = new CniRequest(fields[0], fields[1], fields[2], fields[3], fields[4], fields[5], fields[6]);
        return true;
    }
}
