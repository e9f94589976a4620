// SPDX-License-Identifier: Apache-2.0
using System.Buffers;

namespace Axoneme.Kubernetes;

/// <summary>A pooled buffer that grows; dispose to give it back.</summary>
internal sealed class PooledBytes(int capacity) : IDisposable
{
    private byte[] _bytes = ArrayPool<byte>.Shared.Rent(capacity);
    private int _start;
    private int _end;

    /// <summary>What was read and not consumed.</summary>
    public ReadOnlySpan<byte> Span => _bytes.AsSpan(_start, _end - _start);

    public int Length => _end - _start;

    public void Consume(int count) => _start += count;

    /// <summary>Reads once; false at the end of the stream.</summary>
    /// <exception cref="IOException">More than <paramref name="maximum"/> bytes would be held.</exception>
    public async ValueTask<bool> FillAsync(Stream stream, int maximum, CancellationToken cancellationToken)
    {
        if (_end == _bytes.Length)
            MakeRoom(maximum);
        int read = await stream.ReadAsync(_bytes.AsMemory(_end), cancellationToken);
        _end += read;
        return read > 0;
    }

    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(_bytes);
        _bytes = [];
        _start = _end = 0;
    }

    private void MakeRoom(int maximum)
    {
        int length = Length;
        if (length >= maximum)
            throw new IOException($"The API server sent more than {maximum} bytes in one piece.");
        byte[] target = _bytes;
        if (length > _bytes.Length / 2)
            target = ArrayPool<byte>.Shared.Rent((int)Math.Min(2L * _bytes.Length, int.MaxValue / 2));
        Buffer.BlockCopy(_bytes, _start, target, 0, length);
        if (!ReferenceEquals(target, _bytes))
            ArrayPool<byte>.Shared.Return(_bytes);
        _bytes = target;
        _start = 0;
        _end = length;
    }
}

internal static class BodyReader
{
    private const int FirstCapacity = 16 * 1024;

    /// <summary>The whole body in a pooled buffer.</summary>
    public static async Task<PooledBytes> ReadAllAsync(HttpResponseMessage response, int maximum, CancellationToken cancellationToken)
    {
        var bytes = new PooledBytes((int)Math.Clamp((response.Content.Headers.ContentLength ?? FirstCapacity) + 1, FirstCapacity, maximum));
        try
        {
            await using Stream stream = await response.Content.ReadAsStreamAsync(cancellationToken);
            while (await bytes.FillAsync(stream, maximum, cancellationToken))
            {
            }

            return bytes;
        }
        catch
        {
            bytes.Dispose();
            throw;
        }
    }
}
