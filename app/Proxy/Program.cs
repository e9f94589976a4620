// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Linux;
using Axoneme.Proxy;

if (args is ["--version"] or ["version"])
{
    Console.WriteLine($"axoneme-proxy {typeof(ProxyProcess).Assembly.GetName().Version?.ToString(3)}");
    return 0;
}

var log = new ProxyLog(TimeProvider.System, Console.Error);
try
{
    ProxySettings settings = ProxySettings.Parse(args);
    if (Capabilities.GiveUpOthers(settings.Port) is { } reason)
        log.Warn(reason);
    using var stop = new CancellationTokenSource();
    using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
    using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
    await new ProxyProcess(settings, TimeProvider.System, log).RunAsync(stop.Token);
    return 0;

    void Stop(PosixSignalContext signal)
    {
        signal.Cancel = true;
        stop.Cancel();
    }
}
catch (OperationCanceledException)
{
    return 0;
}
catch (Exception e) when (e is ProxySettingException or SystemCallException or IOException)
{
    Console.Error.WriteLine($"axoneme-proxy: {e.Message}");
    return 1;
}
catch (Exception e)
{
    // A mistake of ours: with all there is to find it by.
    Console.Error.WriteLine($"axoneme-proxy: {e}");
    return 2;
}
