// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Kubernetes;

/// <summary>How one API server is doing, for status output.</summary>
/// <param name="IsCurrent">Requests go there now.</param>
/// <param name="LastError">Why it was last left; empty when it never was, or has answered since.</param>
public sealed record ApiServerStatus(Uri Server, bool IsCurrent, string LastError, DateTimeOffset? FailedAt);

/// <summary>
/// The API servers of a cluster. All requests go to one of them until it fails; then the next takes over, and stays. A failed one is
/// tried again only when its rest is over or when all others failed more recently.
/// </summary>
internal sealed class ApiServers
{
    private static readonly TimeSpan Rest = TimeSpan.FromSeconds(10);

    private readonly Lock _gate = new();
    private readonly TimeProvider _time;
    private readonly Uri[] _servers;
    private readonly (string Error, DateTimeOffset At)?[] _failures;
    private int _current;

    public ApiServers(IReadOnlyList<Uri> servers, TimeProvider time)
    {
        ArgumentOutOfRangeException.ThrowIfZero(servers.Count);
        _servers = [.. servers];
        _failures = new (string, DateTimeOffset)?[_servers.Length];
        _time = time;
    }

    public int Count => _servers.Length;

    public IReadOnlyList<ApiServerStatus> Status
    {
        get
        {
            lock (_gate)
                return [.. _servers.Select((s, i) => new ApiServerStatus(s, i == _current, _failures[i]?.Error ?? "", _failures[i]?.At))];
        }
    }

    public Uri Current
    {
        get
        {
            lock (_gate)
                return _servers[_current];
        }
    }

    public void Succeeded(Uri server)
    {
        lock (_gate)
            _failures[Array.IndexOf(_servers, server)] = null;
    }

    /// <summary>Leaves the server if requests still go there; several requests that fail together move on only once.</summary>
    public void Failed(Uri server, string error)
    {
        lock (_gate)
        {
            int failed = Array.IndexOf(_servers, server);
            _failures[failed] = (error, _time.GetUtcNow());
            if (failed == _current)
                _current = Next(failed);
        }
    }

    private int Next(int failed)
    {
        DateTimeOffset rested = _time.GetUtcNow() - Rest;
        int longestAgo = failed;
        for (int i = 1; i < _servers.Length; i++)
        {
            int candidate = (failed + i) % _servers.Length;
            if (_failures[candidate] is not { } failure || failure.At <= rested)
                return candidate;
            if (failure.At < _failures[longestAgo]!.Value.At)
                longestAgo = candidate;
        }

        return longestAgo;
    }
}
