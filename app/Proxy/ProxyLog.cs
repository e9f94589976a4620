// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Proxy;

/// <summary>Lines on standard error. The proxy says something when its state changes, not for each question.</summary>
internal sealed class ProxyLog(TimeProvider time, TextWriter output)
{
    private readonly Lock _lock = new();

    public void Info(string message) => Write("info", message);

    public void Warn(string message) => Write("warn", message);

    private void Write(string level, string message)
    {
        lock (_lock)
            output.WriteLine($"{time.GetUtcNow():yyyy-MM-ddTHH:mm:ss.fffZ} {level}: {message}");
    }
}
