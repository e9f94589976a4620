// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Text;
using Axoneme.Cni;
using Axoneme.Linux;

namespace Axoneme.CniPlugin;

/// <summary>One request to the agent, with the patience that each command deserves while the agent restarts.</summary>
internal static class AgentCall
{
    private const string DefaultSocket = "/var/run/cilium/cni.sock";

    // A restart takes seconds; a runtime gives a sandbox minutes. Past this, the runtime retries on its own.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    // A deletion never needs the agent's answer: it is queued when the agent stays away.
    private static readonly TimeSpan DeletePatience = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(60);
    private const int RetryMilliseconds = 50;

    public static int Run(CniRequest request)
    {
        string path = Environment.GetEnvironmentVariable("CILIUM_CNI_SOCK") ?? DefaultSocket;
        int netns = request.NetworkNamespace.Length == 0
            ? -1
            : Libc.Open(request.NetworkNamespace, Libc.O_RDONLY | Libc.O_CLOEXEC);
        try
        {
            return Exchange(request, path, netns);
        }
        catch (Exception e) when (e is SystemCallException or IOException or ArgumentException)
        {
            return Fail(request, CniErrorCode.IoFailure, e.Message);
        }
    }

    private static int Exchange(CniRequest request, string path, int netns)
    {
        var buffer = new byte[CniRequest.MaximalBytes];
        byte[] message = request.Encode();
        long started = Stopwatch.GetTimestamp();
        TimeSpan patience = request.Command switch
        {
            "DEL" => DeletePatience,
            // The runtime polls STATUS; waiting would only hide the answer.
            "STATUS" => TimeSpan.Zero,
            _ => Patience,
        };
        do
        {
            using DescriptorSocket? socket = DescriptorSocket.TryConnect(path);
            if (socket is not null)
            {
                socket.SetTimeout(AnswerTimeout);
                socket.Send(message, netns >= 0 ? [netns] : []);
                int length = socket.Receive(buffer, out _);
                if (length > 0)
                    return StandardStreams.Finish(buffer[0], buffer.AsSpan(1, length - 1));

                // An agent that died in between has either done nothing or left state that its restart cleans up, and ADD
                // for the same container starts over; so the request is sent again.
                if (length < 0)
                    return Fail(request, CniErrorCode.TryAgainLater, $"the agent did not answer within {AnswerTimeout.TotalSeconds} s");
            }

            Thread.Sleep(RetryMilliseconds);
        }
        while (Stopwatch.GetElapsedTime(started) < patience);

        if (request.Command == "DEL")
        {
            DeleteQueue.Add(Path.GetDirectoryName(path)!, request.ContainerId, message);
            return 0;
        }

        CniErrorCode code = request.Command == "STATUS" ? CniErrorCode.PluginNotAvailable : CniErrorCode.TryAgainLater;
        return Fail(request, code, $"the agent does not listen on {path}; is cilium-agent running on this node?");
    }

    private static int Fail(CniRequest request, CniErrorCode code, string message)
    {
        var text = new StringBuilder();
        text.Append("{\"cniVersion\":\"").Append(CniVersions.Of(request.Config)).Append("\",\"code\":").Append((int)code);
        text.Append(",\"msg\":\"cilium-cni ").Append(Escape(request.Command)).Append(" failed\",\"details\":\"");
        text.Append(Escape(message)).Append("\"}\n");
        return StandardStreams.Finish(1, text.ToString());
    }

    private static string Escape(string text)
    {
        var escaped = new StringBuilder(text.Length);
        foreach (char c in text)
        {
            if (c is '"' or '\\')
                escaped.Append('\\').Append(c);
            else if (c < ' ')
                escaped.Append("\\u").Append(((int)c).ToString("x4"));
            else
                escaped.Append(c);
        }

        return escaped.ToString();
    }
}
