// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Kubernetes;

/// <summary>
/// What a file holds, parsed, and read again now and then: tokens and certificates are rotated in place. It is not enough to look at the
/// file's time, because a projected volume swaps a symbolic link further up. While the file cannot be read or parsed, the last value serves.
/// </summary>
internal sealed class FileContent<T>(string path, Func<byte[], T> parse, TimeProvider time)
    where T : class
{
    // Rotated tokens stay valid for minutes, and a refused one makes us look at once.
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(30);

    private readonly Lock _gate = new();
    private byte[] _bytes = [];
    private T? _value;
    private long _readAt;

    public string Path => path;

    /// <exception cref="IOException">The file cannot be read and never could.</exception>
    public T Get()
    {
        lock (_gate)
        {
            if (_value is not null && time.GetElapsedTime(_readAt) < Interval)
                return _value;
            try
            {
                byte[] bytes = File.ReadAllBytes(path);
                if (_value is null || !bytes.AsSpan().SequenceEqual(_bytes))
                    _value = parse(bytes);
                _bytes = bytes;
            }
            catch (Exception) when (_value is not null)
            {
            }

            _readAt = time.GetTimestamp();
            return _value!;
        }
    }

    /// <summary>The value was refused: the next use looks at the file.</summary>
    public void Invalidate()
    {
        lock (_gate)
            _readAt = time.GetTimestamp() - (long)(Interval.TotalSeconds * time.TimestampFrequency);
    }
}
