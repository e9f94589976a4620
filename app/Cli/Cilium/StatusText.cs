// SPDX-License-Identifier: Apache-2.0
using Axoneme.AgentApi;

namespace Axoneme.Cli.Cilium;

/// <summary>The lines of <c>cilium status</c>, in the order and with the words that scripts look for.</summary>
internal static class StatusText
{
    /// <summary><c>OK</c>, or the first part that is not.</summary>
    public static string Brief(StatusResponse status)
    {
        (string Name, ComponentStatus? Part)[] parts =
        [
            ("kvstore", status.Kvstore),
            ("kubernetes", status.Kubernetes is { } k8s ? new ComponentStatus(k8s.State, k8s.Msg) : null),
            ("cilium", status.Cilium),
            ("cilium-health", status.Cluster?.CiliumHealth),
        ];
        foreach ((string name, ComponentStatus? part) in parts)
        {
            if (part is { IsBad: true })
                return $"error in {name}: {part.Msg}";
        }

        ControllerStatus? failing = status.Controllers?.FirstOrDefault(c => c.Status.ConsecutiveFailureCount > 0);
        return failing is null ? "OK" : $"error in controller {failing.Name}: {failing.Status.LastFailureMsg}";
    }

    public static void Write(TextWriter output, StatusResponse status, StatusDetail detail, DateTimeOffset now)
    {
        var table = new TabWriter(output);
        Component(table, "KVStore", status.Kvstore);
        if (status.Kubernetes is { } kubernetes)
        {
            table.Row("Kubernetes:", kubernetes.State, kubernetes.Msg ?? "");
            if (kubernetes.ApiVersions is { Count: > 0 } versions)
                table.Row("Kubernetes APIs:", $"[{string.Join(", ", versions.Select(v => $"\"{v}\""))}]");
        }

        WriteFeatures(table, status, detail);
        WriteDaemon(table, status);
        WriteIpam(table, status.Ipam, detail);
        WriteDatapath(table, status);
        if (detail.IsVerbose && status.ClockSource is { } clock)
            table.Row("Clock Source for BPF:", clock.Mode == "jiffies" ? $"jiffies   [{clock.Hertz} Hz]" : clock.Mode);
        WriteControllers(table, status, detail, now);
        WriteProxy(table, status.Proxy);
        if (status.IdentityRange is { } range)
            table.Row("Global Identity Range:", $"min {range.MinIdentity}, max {range.MaxIdentity}");
        WriteHubble(table, status);
        if (detail.IsVerbose)
            StatusDetails.Write(table, status);
        if (status.Encryption is { } encryption)
            table.Row("Encryption:", $"{encryption.Mode}{Bracketed(encryption.Msg)}");
        if (status.Cluster?.CiliumHealth is { } health)
            table.Row("Cluster health:", health.State == ComponentStatus.Disabled ? "Probe disabled" : $"{health.State}   {health.Msg}".TrimEnd());
        if (status.Modules is { } modules)
            WriteModules(table, modules, detail);
        table.Flush();
    }

    private static void WriteProblems(TabWriter table, IReadOnlyList<ServiceProblem> problems, StatusDetail detail)
    {
        const int Shown = 5;
        table.Row("Service problems:", $"{problems.Count} objects with frontends that are not served as they ask for");
        foreach (ServiceProblem problem in problems.Take(detail.IsVerbose ? problems.Count : Shown))
            table.Row($"  {problem.About}: {string.Join("; ", problem.Problems)}");
        if (!detail.IsVerbose && problems.Count > Shown)
            table.Row($"  and {problems.Count - Shown} more (--verbose)");
    }

    private static void WriteFeatures(TabWriter table, StatusResponse status, StatusDetail detail)
    {
        if (status.KubeProxyReplacement is { } replacement)
        {
            IEnumerable<string> devices = (replacement.DeviceList ?? []).Select(d =>
                $"{d.Name}   {string.Join(' ', d.Ip)}{(d.Name == replacement.DirectRoutingDevice ? " (Direct Routing)" : "")}");
            table.Row("KubeProxyReplacement:", replacement.Mode, replacement.DeviceList is { Count: > 0 } ? $"[{string.Join(", ", devices)}]" : "");
        }

        if (status.ServiceProblems is { Count: > 0 } problems)
            WriteProblems(table, problems, detail);
        if (status.HostFirewall is { } firewall)
        {
            table.Row("Host firewall:", $"{firewall.Mode}{(firewall.Devices is { Count: > 0 } on ? $" [{string.Join(", ", on)}]" : "")}");
            if (firewall.Msg is { Length: > 0 } message)
                table.Row($"  {message}");
        }

        if (status.CniChaining is { } chaining)
            table.Row("CNI Chaining:", chaining.Mode);
        if (status.CniFile is { } file)
            table.Row("CNI Config file:", file.Msg ?? file.State);
    }

    private static void WriteDaemon(TabWriter table, StatusResponse status)
    {
        Component(table, "Cilium", status.Cilium);
        if (status.Stale is { Count: > 0 } stale)
            table.Row("Stale status:", string.Join(", ", stale.Select(s => $"{s.Key} since {s.Value}")));
        if (status.NodeMonitor is { } monitor)
        {
            table.Row("NodeMonitor:", monitor.Cpus == 0
                ? "Disabled" : $"Listening for events on {monitor.Cpus} CPUs with {monitor.Npages}x{monitor.Pagesize} of shared memory");
            if (monitor.Lost + monitor.Unknown > 0)
                table.Row("", $"{monitor.Lost} events lost, {monitor.Unknown} notifications unknown");
        }

        if (status.Cluster?.CiliumHealth is { } health)
            table.Row("Cilium health daemon:", health.State, health.Msg ?? "");
    }

    private static void WriteIpam(TabWriter table, IpamStatus? ipam, StatusDetail detail)
    {
        if (ipam is null)
            return;
        table.Row("IPAM:", ipam.Status ?? $"IPv4: {ipam.Ipv4?.Count ?? 0} allocated, IPv6: {ipam.Ipv6?.Count ?? 0} allocated");
        if (!detail.Addresses || ipam.Allocations is not { Count: > 0 } allocations)
            return;
        table.Row("Allocated addresses:");
        foreach ((string address, string owner) in allocations.OrderBy(a => a.Key, StringComparer.Ordinal))
            table.Row($"  {address} ({owner})");
    }

    private static void WriteDatapath(TabWriter table, StatusResponse status)
    {
        BigTcp(table, "IPv4 BIG TCP", status.IPv4BigTcp);
        BigTcp(table, "IPv6 BIG TCP", status.IPv6BigTcp);
        if (status.BandwidthManager is { } bandwidth)
        {
            table.Row("BandwidthManager:", !bandwidth.Enabled ? "Disabled"
                : $"EDT with BPF [{bandwidth.CongestionControl?.ToUpperInvariant()}] [{string.Join(", ", bandwidth.Devices ?? [])}]");
        }

        if (status.Routing is { } routing)
        {
            string tunnel = routing.InterHostRoutingMode == "Tunnel" && routing.TunnelProtocol is { } protocol ? $" [{protocol}]" : "";
            table.Row("Routing:", $"Network: {routing.InterHostRoutingMode}{tunnel}   Host: {routing.IntraHostRoutingMode}");
            // The line's older form, which runbooks still look for.
            table.Row("Host Routing:", routing.IntraHostRoutingMode);
        }

        if (status.AttachMode is { } attach)
            table.Row("Attach Mode:", attach == "tcx" ? "TCX" : "Legacy TC");
        if (status.DatapathMode is { } mode)
        {
            string configured = status.ConfiguredDatapathMode is { } wanted && wanted != mode ? $" [Configured: {wanted}]" : "";
            table.Row("Device Mode:", mode + configured);
        }

        if (status.Masquerading is { } masquerading)
            table.Row("Masquerading:", Masquerading(masquerading));
    }

    private static string Masquerading(MasqueradingStatus status)
    {
        if (!status.Enabled)
            return "Disabled";
        string protocols = $"[IPv4: {OnOff(status.EnabledProtocols?.Ipv4)}, IPv6: {OnOff(status.EnabledProtocols?.Ipv6)}]";
        if (status.Mode != "BPF")
            return $"IPTables {protocols}";
        if (status.IpMasqAgent)
            return $"BPF (ip-masq-agent)   {protocols}";
        string exclusions = $"{status.ExclusionV4} {status.ExclusionV6}".Trim();
        return $"BPF   [{string.Join(", ", status.Devices ?? [])}]   {exclusions}  {protocols}";
    }

    private static void WriteControllers(TabWriter table, StatusResponse status, StatusDetail detail, DateTimeOffset now)
    {
        if (status.Controllers is not { } controllers)
            return;
        int healthy = controllers.Count(c => c.Status.ConsecutiveFailureCount == 0);
        table.Row("Controller Status:", $"{healthy}/{controllers.Count} healthy");
        ControllerStatus[] shown = [.. controllers.Where(c => detail.Controllers || c.Status.ConsecutiveFailureCount > 0)
            .OrderBy(c => c.Name, StringComparer.Ordinal)];
        if (shown.Length == 0)
            return;
        table.Row("  Name", "Last success", "Last error", "Count", "Message");
        foreach (ControllerStatus controller in shown)
        {
            ControllerRun run = controller.Status;
            bool isFailing = run.ConsecutiveFailureCount > 0;
            table.Row($"  {controller.Name}", Ago(run.LastSuccessTimestamp, now), Ago(run.LastFailureTimestamp, now),
                $"{run.ConsecutiveFailureCount}", isFailing ? run.LastFailureMsg ?? "" : "no error");
        }
    }

    private static void WriteProxy(TabWriter table, ProxyStatus? proxy)
    {
        if (proxy is null)
            return;
        string ports = proxy.PortRange is { } range ? $" active on ports {range}" : "";
        table.Row("Proxy Status:", proxy.Ip is null && proxy.TotalRedirects == 0 ? "No managed proxy redirect"
            : $"OK, ip {proxy.Ip}, {proxy.TotalRedirects} redirects{ports}, Envoy: {proxy.EnvoyDeploymentMode ?? "none"}");
        if (proxy.Dns is { } dns)
            table.Row("DNS Proxy:", dns);
    }

    private static void WriteHubble(TabWriter table, StatusResponse status)
    {
        if (status.Hubble is not { } hubble)
            return;
        if (hubble.Observer is not { } observer)
        {
            table.Row("Hubble:", hubble.State, hubble.Msg ?? "");
            return;
        }

        string share = observer.MaxFlows > 0 ? $" ({100.0 * observer.CurrentFlows / observer.MaxFlows:0.00}%)" : "";
        string rate = observer.Uptime > 0 ? $"{observer.SeenFlows / (observer.Uptime / 1e9):0.00}" : "N/A";
        string metrics = status.HubbleMetrics is { } state ? $"   Metrics: {state.State}" : "";
        table.Row("Hubble:", hubble.State, $"Current/Max Flows: {observer.CurrentFlows}/{observer.MaxFlows}{share}, Flows/s: {rate}{metrics}");
    }

    private static void WriteModules(TabWriter table, IReadOnlyList<ModuleHealth> modules, StatusDetail detail)
    {
        int Count(string level) => modules.Count(m => m.Level == level);
        table.Row("Modules Health:", $"Stopped({Count("Stopped")}) Degraded({Count("Degraded")}) OK({Count("OK")})");
        if (!detail.IsVerbose)
            return;
        foreach (ModuleHealth module in modules.OrderBy(m => m.Name, StringComparer.Ordinal))
            table.Row($"  {module.Name}", $"[{module.Level}]", module.Message ?? "");
    }

    private static void Component(TabWriter table, string label, ComponentStatus? status)
    {
        if (status is not null)
            table.Row($"{label}:", status.State, status.Msg ?? "");
    }

    private static void BigTcp(TabWriter table, string label, BigTcpStatus? status)
    {
        if (status is null)
            return;
        string sizes = status.MaxGro == status.MaxGso ? $"{status.MaxGso}" : $"{status.MaxGro}, {status.MaxGso}";
        table.Row($"{label}:", status.Enabled ? $"Enabled [{sizes}]" : "Disabled");
    }

    private static string Ago(DateTimeOffset? at, DateTimeOffset now)
        => at is { } then ? $"{TimeText.Format(TimeSpan.FromSeconds(Math.Round((now - then).TotalSeconds)))} ago" : "never";

    private static string OnOff(bool? isOn) => isOn == true ? "Enabled" : "Disabled";

    private static string Bracketed(string? text) => string.IsNullOrEmpty(text) ? "" : $"   [{text}]";
}

/// <summary>Blocks that only <c>--verbose</c> shows.</summary>
internal static class StatusDetails
{
    public static void Write(TabWriter table, StatusResponse status)
    {
        if (status.KubeProxyReplacement is { } replacement)
            WriteReplacement(table, replacement);
        if (status.BpfMaps is not { } maps)
            return;
        table.Row("BPF Maps:", maps.DynamicSizeRatio is { } ratio ? $"dynamic sizing: on (ratio: {ratio:0.000000})" : "dynamic sizing: off");
        table.Row("  Name", "Size", "In use");
        foreach (BpfMapSize map in maps.Maps.OrderBy(m => m.Name, StringComparer.Ordinal))
            table.Row($"  {map.Name}", $"{map.Size}", map.Fill is { } fill ? $"{fill * 100:0.##}%" : "");
    }

    private static void WriteReplacement(TabWriter table, KubeProxyReplacement replacement)
    {
        KubeProxyFeatures? features = replacement.Features;
        NodePortStatus? nodePort = features?.NodePort;
        table.Row("KubeProxyReplacement Details:");
        table.Row("  Status:", replacement.Mode);
        table.Row("  Socket LB:", OnOff(features?.SocketLb));
        table.Row("  Socket LB Tracing:", OnOff(features?.SocketLbTracing));
        table.Row("  Socket LB Coverage:", features?.BpfSocketLbHostNamespaceOnly == true ? "Hostns-only" : "Full");
        table.Row("  Devices:", string.Join(", ", (replacement.DeviceList ?? []).Select(d => $"{d.Name}   {string.Join(' ', d.Ip)}")));
        if (nodePort is not null)
        {
            string table16 = nodePort.Algorithm == "Maglev" ? $" (Table Size: {nodePort.LutSize})" : "";
            table.Row("  Mode:", nodePort.Mode ?? "");
            if (nodePort.DsrMode is { } dispatch)
                table.Row("  DSR Dispatch Mode:", dispatch);
            table.Row("  Backend Selection:", $"{nodePort.Algorithm}{table16}");
            table.Row("  XDP Acceleration:", Acceleration(nodePort));
        }

        table.Row("  Session Affinity:", OnOff(features?.SessionAffinity));
        table.Row("  NAT46/64 Support:", OnOff(features?.Nat46X64));
        table.Row("  Services:");
        table.Row("  - ClusterIP:", "Enabled");
        table.Row("  - NodePort:", nodePort is { Enabled: true } ? $"Enabled (Range: {nodePort.PortMin}-{nodePort.PortMax})" : "Disabled");
        table.Row("  - LoadBalancer:", nodePort is { Enabled: true } ? "Enabled" : "Disabled");
        table.Row("  - externalIPs:", OnOff(features?.ExternalIps));
        table.Row("  - HostPort:", OnOff(features?.HostPort));
        table.Row("  Annotations:");
        foreach (string annotation in features?.Annotations ?? [])
            table.Row($"  - {annotation}");
    }

    private static string Acceleration(NodePortStatus nodePort)
    {
        if (nodePort.Acceleration is null or "None")
            return "Disabled";
        return nodePort.AcceleratedDevices is { } devices
            ? $"{nodePort.Acceleration} (Devices: {(devices.Count == 0 ? "none" : string.Join(", ", devices))})" : nodePort.Acceleration;
    }

    private static string OnOff(FeatureSwitch? feature) => feature?.Enabled == true ? "Enabled" : "Disabled";
}
