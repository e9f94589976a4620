// SPDX-License-Identifier: Apache-2.0
using Axoneme.Cni;
using Axoneme.Linux;
using Microsoft.Extensions.Logging;

namespace Axoneme.Agent.Cni;

/// <summary>Serves checked requests; implemented by the endpoints' life cycle.</summary>
internal interface ICniHandler
{
    /// <summary>Creates the interface, or returns the existing one of the same attachment.</summary>
    Task<CniResult> AddAsync(CniCall call, NetworkNamespace podNamespace, CancellationToken cancellation);

    /// <summary>Removes the interface; one that is not there is success.</summary>
    Task DeleteAsync(CniAttachmentId attachment, CancellationToken cancellation);

    /// <exception cref="CniException">The interface is not as ADD left it; the message lists every difference.</exception>
    Task CheckAsync(CniCall call, NetworkNamespace podNamespace, CancellationToken cancellation);

    /// <summary>Removes every interface that is not in <paramref name="valid"/>.</summary>
    Task CollectGarbageAsync(IReadOnlyCollection<CniAttachmentId> valid, CancellationToken cancellation);

    /// <summary>Why an ADD would fail now, or null when it would be served.</summary>
    string? NotReadyReason { get; }
}

/// <summary>Accepts plugin calls on a root-only socket. Anything but one well-formed request is answered by closing.</summary>
internal sealed class CniServer(string socketPath, ICniHandler handler, ILogger<CniServer> log)
{
    // More at once than a runtime ever starts; beyond it the kernel's backlog holds them.
    private const int ConcurrentCalls = 64;

    // The plugin sends at once after connecting; nobody else may hold a place.
    private static readonly TimeSpan ReceiveTimeout = TimeSpan.FromSeconds(5);

    // Below the plugin's own patience, so that it gets our reason rather than none.
    private static readonly TimeSpan CallTimeout = TimeSpan.FromSeconds(50);

    public async Task RunAsync(CancellationToken cancellation)
    {
        ReplayDeletions(cancellation);
        using DescriptorSocket listener = DescriptorSocket.Listen(socketPath);
        using CancellationTokenRegistration stop = cancellation.Register(listener.Shutdown);
        using var places = new SemaphoreSlim(ConcurrentCalls);
        await Task.Factory.StartNew(() => AcceptLoop(listener, places, cancellation), TaskCreationOptions.LongRunning);
    }

    private void AcceptLoop(DescriptorSocket listener, SemaphoreSlim places, CancellationToken cancellation)
    {
        while (listener.Accept() is { } connection)
        {
            places.Wait(CancellationToken.None);
            _ = ServeAndReleaseAsync(connection, places, cancellation);
        }
    }

    private async Task ServeAndReleaseAsync(DescriptorSocket connection, SemaphoreSlim places, CancellationToken cancellation)
    {
        // Off the accepting thread before the blocking receive.
        await Task.Yield();
        try
        {
            await ServeAsync(connection, cancellation);
        }
        catch (Exception e) when (e is SystemCallException or ObjectDisposedException)
        {
            log.LogWarning("A CNI connection broke: {Reason}", e.Message);
        }
        finally
        {
            connection.Dispose();
            places.Release();
        }
    }

    private async Task ServeAsync(DescriptorSocket connection, CancellationToken cancellation)
    {
        connection.SetTimeout(ReceiveTimeout);
        if (connection.PeerUserId() != 0)
        {
            log.LogWarning("Refused a CNI connection of user {User}: only root may call", connection.PeerUserId());
            return;
        }

        var buffer = new byte[CniRequest.MaximalBytes];
        int length = connection.Receive(buffer, out int descriptor);
        using NetworkNamespace? podNamespace = descriptor < 0 ? null : NetworkNamespace.Adopt(descriptor, "the pod's namespace");
        if (length <= 0 || !CniRequest.TryDecode(buffer.AsSpan(0, length), out CniRequest? request))
        {
            log.LogWarning("Dropped {Length} bytes on {Socket} that are no CNI request", length, socketPath);
            return;
        }

        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(CallTimeout);
        (byte exitCode, byte[] output) = await AnswerAsync(request!, podNamespace, limit.Token);
        connection.Send([exitCode, .. output]);
    }

    private async Task<(byte ExitCode, byte[] Output)> AnswerAsync(CniRequest request, NetworkNamespace? podNamespace, CancellationToken cancellation)
    {
        CniCall? call = null;
        CniErrorCode code;
        string details;
        try
        {
            call = CniCall.Parse(request);
            return (0, await DispatchAsync(call, podNamespace, cancellation));
        }
        catch (CniException e)
        {
            (code, details) = (e.Code, e.Message);
        }
        catch (OperationCanceledException)
        {
            (code, details) = (CniErrorCode.TryAgainLater, "the agent is stopping, or the call took too long");
        }
        catch (Exception e)
        {
            log.LogError(e, "CNI {Command} of {Container} failed", request.Command, request.ContainerId);
            (code, details) = (CniErrorCode.Internal, e.Message);
        }

        return (1, CniJson.Error(call?.Version ?? "0.3.1", request.Command, code, details));
    }

    private async Task<byte[]> DispatchAsync(CniCall call, NetworkNamespace? podNamespace, CancellationToken cancellation)
    {
        switch (call.Command)
        {
            case "ADD":
                return CniJson.Result(call, await handler.AddAsync(call, RequireNamespace(call, podNamespace), cancellation));
            case "DEL":
                await handler.DeleteAsync(call.Attachment, cancellation);
                return [];
            case "CHECK":
                await handler.CheckAsync(call, RequireNamespace(call, podNamespace), cancellation);
                return [];
            case "GC":
                if (call.ValidAttachments is { } valid)
                    await handler.CollectGarbageAsync(valid, cancellation);
                return [];
            case "STATUS":
                return handler.NotReadyReason is { } reason ? throw new CniException(CniErrorCode.PluginNotAvailable, reason) : [];
            default:
                throw new CniException(CniErrorCode.InvalidEnvironment, $"CNI_COMMAND '{call.Command}' is not one of ADD, DEL, CHECK, GC, STATUS, VERSION");
        }
    }

    private static NetworkNamespace RequireNamespace(CniCall call, NetworkNamespace? podNamespace)
    {
        if (podNamespace is null)
            throw new CniException(CniErrorCode.InvalidEnvironment, $"CNI_NETNS {call.NetworkNamespace} could not be opened");
        try
        {
            podNamespace.Run(static () => { });
            return podNamespace;
        }
        catch (SystemCallException e)
        {
            throw new CniException(CniErrorCode.InvalidEnvironment, $"CNI_NETNS {call.NetworkNamespace} is no network namespace: {e.Message}", e);
        }
    }

    /// <summary>Works through the deletions that the plugin queued while no agent listened.</summary>
    private void ReplayDeletions(CancellationToken cancellation)
    {
        string directory = Path.Combine(Path.GetDirectoryName(socketPath)!, "deleteQueue");
        if (!Directory.Exists(directory))
            return;
        foreach (string file in Directory.GetFiles(directory, "*.delete"))
        {
            try
            {
                if (CniRequest.TryDecode(File.ReadAllBytes(file), out CniRequest? request))
                    handler.DeleteAsync(CniCall.Parse(request!).Attachment, cancellation).GetAwaiter().GetResult();
                File.Delete(file);
            }
            catch (Exception e)
            {
                log.LogError(e, "A queued deletion, {File}, failed and stays for the next start", file);
            }
        }
    }
}
