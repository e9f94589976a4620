// SPDX-License-Identifier: Apache-2.0
using System.Net;
using Axoneme.Agent.Configuration;
using Axoneme.Agent.Ipcache;
using Axoneme.Agent.Policies;
using Axoneme.Datapath;
using Axoneme.Kubernetes;
using Axoneme.Linux;
using Axoneme.Netlink;
using Axoneme.Network;

namespace Axoneme.Agent.HostPolicy;

/// <summary>What the node's sockets say before and during a trial.</summary>
/// <param name="Sessions">Of people who were there when the trial began.</param>
/// <param name="OpenPorts">Of the ports by which people come, those that somebody listened on then.</param>
internal sealed record ManagementAccess(IReadOnlyList<ManagementSession> Sessions, IReadOnlyCollection<ushort> OpenPorts);

/// <summary>Looks at the node for what a policy for it may have cut off.</summary>
/// <param name="options">The ports that count.</param>
/// <param name="ipcache">Whose the addresses are.</param>
/// <param name="policies">The identities that there are.</param>
/// <param name="connect">A client of the API that shares no connection with any other.</param>
/// <param name="reach">Evaluates policies.</param>
internal sealed class HostPolicyChecks(
    HostFirewallOptions options, Ipcache.Ipcache ipcache, PolicyController policies, Func<KubernetesClient> connect, HostPolicyReach reach)
{
    private static readonly TimeSpan ProbeTimeout = TimeSpan.FromSeconds(4);

    /// <summary>The sessions and listeners of now. Nobody's where the kernel does not list sockets.</summary>
    public ManagementAccess Observe()
    {
        var ports = options.ManagementPorts.ToHashSet();
        using var sockets = SocketDiag.Open();
        return new ManagementAccess(
            [
                .. sockets.List(L4Protocol.Tcp, SocketStates.Established, s => ports.Contains(s.Local.Port) && !IsLocal(s))
                    .Select(s => new ManagementSession(s.Remote, IdentityOf(s.Remote.Address), s.Local.Port)),
            ],
            sockets.List(L4Protocol.Tcp, SocketStates.Listen, s => ports.Contains(s.Local.Port)).Select(s => s.Local.Port).ToHashSet());
    }

    /// <summary>What does not work under the policy although it did before, in words; empty when all is well.</summary>
    /// <param name="before">The confirmed policy.</param>
    /// <param name="policy">The one on trial.</param>
    /// <param name="access">What <see cref="Observe"/> saw when the trial began.</param>
    /// <param name="cancellation">Ends the wait for the API.</param>
    public async Task<IReadOnlyList<TrialFailure>> RunAsync(
        EndpointPolicy before, EndpointPolicy policy, ManagementAccess access, CancellationToken cancellation)
    {
        List<TrialFailure> failures = [.. reach.CutSessions(policy, access.Sessions).Select(text => new TrialFailure(text))];
        List<SecurityIdentity> outside = policies.Read(engine => engine.Identities.Select(i => i.Id).Where(HostPolicyReach.IsOutside).ToList());
        if (reach.IsOpen(before, access.OpenPorts, outside) && !reach.IsOpen(policy, access.OpenPorts, outside))
            failures.Add(new TrialFailure($"nobody outside the cluster's pods could open port {string.Join(" or ", access.OpenPorts.Order())} any more"));
        if (await ProbeAsync(cancellation) is { } problem)
            failures.Add(new TrialFailure($"the API server could not be reached by a new connection ({problem})", MayPass: true));
        return failures;
    }

    /// <summary>Null when the API answers on a connection that did not exist before, whatever it answers.</summary>
    public async Task<string?> ProbeAsync(CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(ProbeTimeout);
        try
        {
            using KubernetesClient client = connect();
            using HttpResponseMessage response = await client.SendAsync(HttpMethod.Get, "/version", null, limit.Token);
            return null;
        }
        catch (KubernetesException)
        {
            return null;
        }
        catch (Exception e) when (e is HttpRequestException or TimeoutException or IOException)
        {
            return e.Message;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return $"no answer within {ProbeTimeout.TotalSeconds:0} s";
        }
    }

    // Such packets never leave the node, so that no policy sees them.
    private bool IsLocal(DiagnosedSocket socket)
        => IPAddress.IsLoopback(IPAddress.Parse(socket.Remote.Address.ToString())) || IdentityOf(socket.Remote.Address) == SecurityIdentity.Host;

    private SecurityIdentity IdentityOf(IpAddress address) => ipcache.Find(address)?.Identity ?? SecurityIdentity.World;
}
