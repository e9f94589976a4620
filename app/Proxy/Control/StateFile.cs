// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using System.Buffers.Binary;
using System.Text.Json;
using Axoneme.DnsProxy;

namespace Axoneme.Proxy.Control;

/// <summary>Messages in a file, as they would travel. It has the old contents or the new, whatever happens.</summary>
internal sealed class StateFile(string path)
{
    private const int HeaderBytes = sizeof(uint);

    /// <summary>Bound of what is read, far above 100,000 names on each of 250 endpoints that share them.</summary>
    private const long MaximalBytes = 1L << 30;

    private readonly ArrayBufferWriter<byte> _buffer = new();

    /// <summary>Replaces the contents.</summary>
    /// <exception cref="IOException">No space, and others; the file is as before.</exception>
    public void Save(IEnumerable<ProxyMessage> messages)
    {
        string fresh = path + ".new";
        using (var file = new FileStream(fresh, FileMode.Create, FileAccess.Write))
        {
            File.SetUnixFileMode(file.SafeFileHandle, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            foreach (ProxyMessage message in messages)
                Write(file, message);
            file.Flush(flushToDisk: true);
        }

        File.Move(fresh, path, overwrite: true);
    }

    /// <summary>What is readable of the contents, from the start: all of it, unless somebody else changed the file.</summary>
    /// <param name="messages">Empty when there is no file.</param>
    /// <param name="problem">Why there is not more.</param>
    /// <returns>False when there is a problem.</returns>
    public bool TryLoad(out List<ProxyMessage> messages, out string problem)
    {
        messages = [];
        problem = "";
        if (!File.Exists(path))
            return true;
        try
        {
            using FileStream file = File.OpenRead(path);
            if (file.Length > MaximalBytes)
                throw new InvalidDataException($"it has {file.Length} bytes");
            byte[] header = new byte[HeaderBytes];
            while (file.ReadAtLeast(header, HeaderBytes, throwOnEndOfStream: false) is > 0 and var got)
                messages.Add(Read(file, header.AsSpan(0, got)));
            return true;
        }
        catch (Exception e) when (e is IOException or InvalidDataException or JsonException or NotSupportedException or UnauthorizedAccessException)
        {
            problem = $"{path} is read to message {messages.Count} only: {e.Message}";
            return false;
        }
    }

    private void Write(FileStream file, ProxyMessage message)
    {
        _buffer.ResetWrittenCount();
        using (var writer = new Utf8JsonWriter(_buffer))
            JsonSerializer.Serialize(writer, message, MessageJson.Default.ProxyMessage);
        Span<byte> header = stackalloc byte[HeaderBytes];
        BinaryPrimitives.WriteInt32LittleEndian(header, _buffer.WrittenCount);
        file.Write(header);
        file.Write(_buffer.WrittenSpan);
    }

    private static ProxyMessage Read(FileStream file, ReadOnlySpan<byte> header)
    {
        if (header.Length < HeaderBytes)
            throw new InvalidDataException("it ends within a message");
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(header);
        if (length > DnsProxyConnection.MaximalBytes || length > file.Length - file.Position)
            throw new InvalidDataException($"a message would have {length} bytes");
        byte[] json = new byte[length];
        file.ReadExactly(json);
        return JsonSerializer.Deserialize(json, MessageJson.Default.ProxyMessage) ?? throw new InvalidDataException("a message is null");
    }
}
