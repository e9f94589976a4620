// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Axoneme.Agent;
using Axoneme.Agent.Configuration;
using Axoneme.Hosting;
using Axoneme.Kubernetes;
using Microsoft.Extensions.Logging;

if (args is ["--version"] or ["version"])
{
    Console.WriteLine($"cilium-agent {AgentVersion.Text}");
    return 0;
}

try
{
    RawConfig raw = RawConfig.Load(args);
    string? nodeName = Environment.GetEnvironmentVariable("K8S_NODE_NAME");
    string? podNamespace = Environment.GetEnvironmentVariable("CILIUM_K8S_NAMESPACE");
    // Twice: where the API is that has more settings is a setting itself.
    AgentOptions options = AgentOptionsBinder.Bind(raw, nodeName, podNamespace);
    var remarks = new List<string>();
    IReadOnlyList<ConfigOverride> overrides;
    using (KubernetesClient client = AgentProcess.Connect(options))
    {
        overrides = raw.Apply(await NodeConfigOverrides.ReadAsync(
            client, options.NodeName, options.Namespace, options.StateDirectory, remarks.Add, CancellationToken.None));
    }

    options = AgentOptionsBinder.Bind(raw, nodeName, podNamespace);
    using ILoggerFactory loggers = LoggerFactory.Create(logging => logging
        .SetMinimumLevel(options.Debug ? LogLevel.Debug : LogLevel.Information)
        .AddFilter("Microsoft", LogLevel.Warning)
        .AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
            console.UseUtcTimestamp = true;
        }));
    foreach (ConfigOverride entry in overrides)
        loggers.CreateLogger("config").LogInformation("{Source}: {Key}={Value}", entry.Source, entry.Key, entry.Value);
    raw.Warnings.AddRange(remarks);
    foreach (string warning in raw.Warnings)
        loggers.CreateLogger("config").LogWarning("{Warning}", warning);

    using var stop = new CancellationTokenSource();
    using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
    using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
    await new AgentProcess(options, raw.Warnings, overrides, loggers).RunAsync(stop.Token);
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
    Console.Error.WriteLine($"cilium-agent: {e.Message}");
    return 1;
}
