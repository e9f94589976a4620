// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Hosting;
using Axoneme.Kubernetes;
using Axoneme.Operator;
using Microsoft.Extensions.Logging;

try
{
    RawConfig raw = RawConfig.Load(args);
    OperatorOptions options = OperatorOptions.Bind(raw, Environment.MachineName, Environment.GetEnvironmentVariable("CILIUM_K8S_NAMESPACE"));
    using ILoggerFactory loggers = LoggerFactory.Create(logging => logging
        .SetMinimumLevel(options.Debug ? LogLevel.Debug : LogLevel.Information)
        .AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
            console.UseUtcTimestamp = true;
        }));
    using var client = new KubernetesClient(
        KubernetesConfig.Load(options.KubeConfigPath), new KubernetesClientOptions { UserAgent = "cilium-operator", Qps = 100, Burst = 200 });
    using var stop = new CancellationTokenSource();
    using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
    using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
    await new OperatorProcess(options, client, loggers).RunAsync(stop.Token);
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
catch (Exception e) when (e is ConfigException or KubernetesConfigException)
{
    Console.Error.WriteLine($"cilium-operator-generic: {e.Message}");
    return 1;
}
