// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;

namespace Axoneme.Lab.ScenarioTests;

/// <summary>One TCP connection from a pod to an echo server that stays open between questions.</summary>
internal sealed class LiveConnection : IDisposable
{
    private const string Script = """
        exec 3<>/dev/tcp/$0/7 || exit 1
        while read -r word; do
          echo "$word" >&3
          # An answer that comes late belongs to an earlier question.
          answer=; while [ "$answer" != "$word" ]; do read -r -t 1 -u 3 answer || break; done
          [ "$answer" = "$word" ] && echo alive || echo silent
        done
        """;

    private readonly Process _process;
    private int _words;

    private LiveConnection(Process process) => _process = process;

    public static async Task<LiveConnection> OpenAsync(LabCluster lab, string pod, string address)
    {
        var connection = new LiveConnection(lab.Start("exec", pod, "--", "bash", "-c", Script, address));
        Assert.Equal("alive", await connection.AskAsync());
        return connection;
    }

    /// <summary>"alive" when the other side answered within a second, else "silent".</summary>
    public async Task<string> AskAsync()
    {
        await _process.StandardInput.WriteLineAsync($"word{++_words}");
        await _process.StandardInput.FlushAsync();
        return await _process.StandardOutput.ReadLineAsync() ?? $"ended: {await _process.StandardError.ReadToEndAsync()}";
    }

    public void Dispose()
    {
        _process.StandardInput.Close();
        _process.WaitForExit();
        _process.Dispose();
    }
}
