// SPDX-License-Identifier: Apache-2.0
using Axoneme.AgentApi;

namespace Axoneme.Cli.Cilium;

/// <summary><c>cilium service list|get</c>.</summary>
internal sealed class ServiceCommand(TextWriter output)
{
    public async Task<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        var flags = new AgentFlags("cilium service list|get ID [flags]");
        flags.Set.Switch("clustermesh-affinity", _ => { }, "kept for scripts");
        if (flags.Parse(arguments, output) is not { } rest)
            return 0;
        using AgentClient agent = flags.Connect();
        switch (rest)
        {
            case ["list"]:
                PrintList(await agent.GetServicesAsync(cancellation).ConfigureAwait(false), flags);
                return 0;
            case ["get", string id]:
                IReadOnlyList<ServiceModel> services = await agent.GetServicesAsync(cancellation).ConfigureAwait(false);
                PrintList([services.FirstOrDefault(s => $"{s.Spec.Id}" == id) ?? throw new UserErrorException($"service {id} does not exist")], flags);
                return 0;
            default:
                throw new UserErrorException("usage: cilium service list|get ID");
        }
    }

    internal void PrintList(IReadOnlyList<ServiceModel> services, AgentFlags flags)
    {
        if (flags.IsStructured)
        {
            flags.WriteStructured(output, services, AgentJson.Default.IReadOnlyListServiceModel);
            return;
        }

        TabWriter table = new TabWriter(output).Row("ID", "Frontend", "Service Type", "Backend");
        foreach (ServiceSpec service in services.Select(s => s.Status?.Realized ?? s.Spec).OrderBy(s => s.Id))
        {
            FrontendAddress frontend = service.FrontendAddress;
            string scope = frontend.Scope == "internal" ? "/i" : "";
            string[] backends = [.. (service.BackendAddresses ?? []).Select((b, i) => Backend(b, i + 1, frontend.Protocol))];
            table.Row($"{service.Id}", Address(frontend.Ip, frontend.Port, frontend.Protocol) + scope, service.Flags?.Type ?? "", backends.FirstOrDefault() ?? "");
            foreach (string backend in backends.Skip(1))
                table.Row("", "", "", backend);
        }

        table.Flush();
    }

    private static string Backend(BackendAddress backend, int position, string protocol)
        => $"{position} => {Address(backend.Ip, backend.Port, backend.Protocol ?? protocol)} ({backend.State ?? "active"})";

    private static string Address(string ip, int port, string protocol)
        => ip.Contains(':', StringComparison.Ordinal) ? $"[{ip}]:{port}/{protocol.ToUpperInvariant()}" : $"{ip}:{port}/{protocol.ToUpperInvariant()}";
}
