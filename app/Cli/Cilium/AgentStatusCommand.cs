// SPDX-License-Identifier: Apache-2.0
using Axoneme.AgentApi;

namespace Axoneme.Cli.Cilium;

/// <summary><c>cilium status</c>: the exit status is 0 when the agent is well.</summary>
internal sealed class AgentStatusCommand(TextWriter output, TimeProvider time)
{
    private static readonly TimeSpan PollInterval = TimeSpan.FromSeconds(1);

    private TimeSpan _timeout = TimeSpan.FromSeconds(30);
    private TimeSpan _waitTimeout = TimeSpan.FromMinutes(5);
    private bool _isBrief;
    private bool _isWait;
    private readonly StatusDetail _detail = new();

    public async Task<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        var flags = new AgentFlags("cilium status [flags]");
        AddFlags(flags.Set);
        if (flags.Parse(arguments, output) is not { } rest)
            return 0;
        if (rest.Count > 0)
            throw new UserErrorException($"unknown argument \"{rest[0]}\"");
        using AgentClient agent = flags.Connect();
        agent.Timeout = _timeout;
        StatusResponse status = _isWait
            ? await WaitAsync(agent, cancellation).ConfigureAwait(false) : await agent.GetStatusAsync(_isBrief, cancellation).ConfigureAwait(false);
        if (flags.IsStructured)
            flags.WriteStructured(output, status, AgentJson.Default.StatusResponse);
        else if (_isBrief)
            await output.WriteLineAsync(StatusText.Brief(status)).ConfigureAwait(false);
        else
            StatusText.Write(output, status, _detail, time.GetUtcNow());
        return IsWell(status) ? 0 : 1;
    }

    private void AddFlags(FlagSet flags)
        => flags.Switch("all-addresses", v => _detail.Addresses = v, "every address that is given out")
            .Switch("all-controllers", v => _detail.Controllers = v, "healthy controllers too")
            .Switch("all-health", v => _detail.Health = v, "reachable nodes too")
            .Switch("all-nodes", v => _detail.Nodes = v, "every node")
            .Switch("all-redirects", v => _detail.Redirects = v, "every redirect to the proxy")
            .Switch("all-clusters", v => _detail.Clusters = v, "every remote cluster")
            .Switch("verbose", v => _detail.SetAll(v), "all of the above and more")
            .Switch("brief", v => _isBrief = v, "one line")
            .Switch("require-k8s-connectivity", _ => { }, "kept for scripts")
            .Switch("wait", v => _isWait = v, "until the agent is well")
            .Duration("wait-duration", v => _waitTimeout = v, "how long --wait waits (5m)")
            .Duration("timeout", v => _timeout = v, "of a single request (30s)");

    private static bool IsWell(StatusResponse status) => status.Cilium?.State is ComponentStatus.Ok or ComponentStatus.Disabled;

    private async Task<StatusResponse> WaitAsync(AgentClient agent, CancellationToken cancellation)
    {
        long start = time.GetTimestamp();
        while (true)
        {
            try
            {
                StatusResponse status = await agent.GetStatusAsync(_isBrief, cancellation).ConfigureAwait(false);
                if (StatusText.Brief(status) == "OK" || time.GetElapsedTime(start) >= _waitTimeout)
                    return status;
            }
            catch (AgentException) when (time.GetElapsedTime(start) < _waitTimeout)
            {
                // The agent is still starting.
            }

            await Task.Delay(PollInterval, time, cancellation).ConfigureAwait(false);
        }
    }
}

/// <summary>What <c>cilium status</c> shows besides the usual.</summary>
internal sealed class StatusDetail
{
    public bool Addresses { get; set; }

    public bool Controllers { get; set; }

    public bool Health { get; set; }

    public bool Nodes { get; set; }

    public bool Redirects { get; set; }

    public bool Clusters { get; set; }

    public bool IsVerbose { get; set; }

    public void SetAll(bool isOn)
        => Addresses = Controllers = Health = Nodes = Redirects = Clusters = IsVerbose = isOn;
}
