// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Axoneme.DnsProxy;
using Axoneme.Linux;

namespace Axoneme.Proxy.KernelTests;

/// <summary>
/// Three namespaces in a row, pod, node and server. Routing rules of the node hand DNS to the proxy, as the datapath does elsewhere; port 5300 goes
/// to the server directly.
/// </summary>
internal sealed class ProxyNode : IDisposable
{
    public const string PodAddress = "10.99.1.2", PodAddress6 = "fd99:1::2", ServerAddress = "10.99.2.2", ServerAddress6 = "fd99:2::2";
    public const string StrangerAddress = "10.99.1.3";
    public const int DirectPort = 5300;

    private const string Directory = "/run/netns";
    private static int s_count;

    private readonly string _name;
    private readonly string _program;
    private Process? _process;

    /// <param name="program">Path of axoneme-proxy.</param>
    public ProxyNode(string program)
    {
        _program = program;
        _name = $"axdns{Environment.ProcessId % 10000}x{Interlocked.Increment(ref s_count)}";
        State = System.IO.Directory.CreateTempSubdirectory("axdns").FullName;
        try
        {
            Pod = NetworkNamespace.Create(Directory, $"{_name}-pod");
            Node = NetworkNamespace.Create(Directory, $"{_name}-node");
            Server = NetworkNamespace.Create(Directory, $"{_name}-srv");
            Connect();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public NetworkNamespace Pod { get; } = null!;

    public NetworkNamespace Node { get; } = null!;

    public NetworkNamespace Server { get; } = null!;

    /// <summary>The proxy's state directory.</summary>
    public string State { get; }

    public string Socket => Path.Combine(State, ProxyMessage.SocketName);

    public int ProcessId => _process!.Id;

    /// <summary>Starts the proxy; it listens when the agent's socket answers.</summary>
    public void Start(params string[] flags)
    {
        var start = new ProcessStartInfo("nsenter") { RedirectStandardError = true };
        foreach (string word in (string[])[$"--net={Directory}/{_name}-node", "--", _program, $"--state-dir={State}", "--bpf-root=/nonexistent",
            "--tofqdns-proxy-port=53", "--dnsproxy-any-address=true", .. flags])
            start.ArgumentList.Add(word);
        _process = Process.Start(start)!;
        _process.ErrorDataReceived += (_, line) => Output.Add(line.Data ?? "");
        _process.BeginErrorReadLine();
    }

    public List<string> Output { get; } = [];

    public bool HasEnded => _process!.HasExited;

    /// <summary>SIGKILL.</summary>
    public void Kill()
    {
        _process!.Kill();
        _process.WaitForExit();
    }

    /// <summary>SIGTERM; returns the exit code.</summary>
    public int Terminate()
    {
        Run("kill", "-TERM", _process!.Id.ToString());
        if (!_process.WaitForExit(TimeSpan.FromSeconds(20)))
            throw new TimeoutException("The proxy did not end.");
        return _process.ExitCode;
    }

    /// <summary>Connects as the agent once the proxy is there.</summary>
    public async Task<(DnsProxyConnection Connection, ProxyHello Hello)> ConnectAsync(CancellationToken cancellation)
    {
        while (true)
        {
            if (_process!.HasExited)
                throw new InvalidOperationException($"The proxy ended: {string.Join('\n', Output)}");
            if (await DnsProxyConnection.TryConnectAsync(Socket, cancellation) is { } connected)
                return connected;
            await Task.Delay(20, cancellation);
        }
    }

    public void Dispose()
    {
        if (_process is { HasExited: false })
            Kill();
        _process?.Dispose();
        foreach (string place in (string[])["pod", "node", "srv"])
            NetworkNamespace.Delete(Directory, $"{_name}-{place}");
        Pod?.Dispose();
        Node?.Dispose();
        Server?.Dispose();
        System.IO.Directory.Delete(State, recursive: true);
    }

    private void Connect()
    {
        Ip($"link add pod0 netns {_name}-node type veth peer name eth0 netns {_name}-pod");
        Ip($"link add srv0 netns {_name}-node type veth peer name eth0 netns {_name}-srv");
        foreach ((string place, string device, string address, string address6) in (IEnumerable<(string, string, string, string)>)[
            ("pod", "eth0", PodAddress, PodAddress6), ("node", "pod0", "10.99.1.1", "fd99:1::1"),
            ("srv", "eth0", ServerAddress, ServerAddress6), ("node", "srv0", "10.99.2.1", "fd99:2::1")])
        {
            Ip($"-n {_name}-{place} address add {address}/24 dev {device}");
            Ip($"-n {_name}-{place} -6 address add {address6}/64 dev {device} nodad");
            Ip($"-n {_name}-{place} link set {device} up");
            Ip($"-n {_name}-{place} link set lo up");
        }

        Ip($"-n {_name}-pod address add {StrangerAddress}/24 dev eth0");
        foreach (string family in (string[])["-4", "-6"])
        {
            bool isV6 = family == "-6";
            Ip($"-n {_name}-pod {family} route add default via {(isV6 ? "fd99:1::1" : "10.99.1.1")}");
            Ip($"-n {_name}-srv {family} route add default via {(isV6 ? "fd99:2::1" : "10.99.2.1")}");
            Ip($"-n {_name}-node {family} route add local default dev lo table 2004");
            foreach (string protocol in (string[])["udp", "tcp"])
                Ip($"-n {_name}-node {family} rule add pref 10 iif pod0 ipproto {protocol} dport 53 lookup 2004");
            // Everything else that the server sends is for the proxy: answers, their fragments, and errors about questions.
            Ip($"-n {_name}-node {family} rule add pref 11 iif srv0 ipproto udp sport {DirectPort} lookup main");
            Ip($"-n {_name}-node {family} rule add pref 12 iif srv0 lookup 2004");
        }

        Node.Run(() =>
        {
            Sysctl.Write("net/ipv4/ip_forward", "1");
            Sysctl.Write("net/ipv6/conf/all/forwarding", "1");
        });
    }

    private static void Ip(string words) => Run("ip", words.Split(' '));

    private static void Run(string program, params string[] words)
    {
        var start = new ProcessStartInfo(program, words) { RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"{program} {string.Join(' ', words)}: {error}");
    }
}
