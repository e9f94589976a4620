// SPDX-License-Identifier: Apache-2.0
using System.Text;
using Axoneme.Linux;
using Microsoft.Win32.SafeHandles;

namespace Axoneme.CniPlugin;

/// <summary>Standard input and output by descriptor; <see cref="Console"/> would cost more than the rest of the start.</summary>
internal static class StandardStreams
{
    public static string ReadInput()
    {
        using var handle = new SafeFileHandle(0, ownsHandle: false);
        using var stream = new FileStream(handle, FileAccess.Read, bufferSize: 0);
        var content = new byte[4096];
        int length = 0;
        int read;
        while ((read = stream.Read(content, length, content.Length - length)) > 0)
        {
            length += read;
            if (length == content.Length)
                Array.Resize(ref content, length * 2);
        }

        return Encoding.UTF8.GetString(content, 0, length);
    }

    public static int Finish(int exitCode, string output) => Finish(exitCode, Encoding.UTF8.GetBytes(output));

    public static unsafe int Finish(int exitCode, ReadOnlySpan<byte> output)
    {
        // Not a FileStream: on a regular file that would write at its own offset and leave the shared one behind.
        fixed (byte* start = output)
        {
            nint written = 0;
            while (written < output.Length)
            {
                nint count = Libc.Write(1, start + written, (nuint)(output.Length - written));
                if (count <= 0)
                    break;
                written += count;
            }
        }

        return exitCode;
    }
}
